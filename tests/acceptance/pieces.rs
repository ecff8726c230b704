//! Promises 2 and 4: all or nothing, collisions told together, and what stands under our names.

use serde_json::{Value, json};
use support::view::list;
use support::{World, yaml};
use vertex_injector_core::admission::Reason;

const POLICY: &str = "apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: p}
spec:
  agents: [{podSelector: {}, containers: [agent]}]
  identity: {workloadIdentityFederation: {provider: projects/42/locations/global/workloadIdentityPools/pool/providers/prov}}
  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]
  tokens: [{name: gateway, audience: gateway, mountPath: /srv/gateway}]
  volumes: [{name: settings, configMap: {name: settings}}]
  volumeMounts: [{name: settings, mountPath: /srv/settings, readOnly: true}]
  sidecars: [{name: github, image: 'mcp:1', port: 9000, env: [{name: MODE, value: strict}]}]
";

fn world() -> World {
    World::under("sidecarImages: ['*']", POLICY)
}

fn pod() -> Value {
    yaml(
        "{metadata: {name: a}, spec: {
            containers: [{name: agent, image: a, volumeMounts: [{name: work, mountPath: /work}]}, {name: helper, image: h}],
            volumes: [{name: work, emptyDir: {}}]}}",
    )
}

fn agent(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

/// The injected pod.
fn injected() -> Value {
    let admission = world().admit(&pod());
    admission.injected();
    admission.after
}

/// Changes the injected pod, injects again, and asserts that all is as it was.
#[track_caller]
fn is_restored(change: impl FnOnce(&mut Value)) {
    let whole = injected();
    let mut changed = whole.clone();
    change(&mut changed);
    assert_ne!(changed, whole, "the test changes nothing");
    let again = world().admit(&changed);
    again.injected();
    assert_eq!(sorted(&again.after), sorted(&whole));
}

/// The same with what other admission plugins do, which stays.
#[track_caller]
fn is_tolerated(change: impl FnOnce(&mut Value)) {
    let whole = injected();
    let mut changed = whole.clone();
    change(&mut changed);
    assert_ne!(changed, whole, "the test changes nothing");
    world().admit(&changed).changes_nothing().injected();
}

fn sorted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|it| it["name"].to_string());
    agent(&mut pod)["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|it| it["mountPath"].to_string());
    agent(&mut pod)["env"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|it| it["name"].to_string());
    pod
}

fn named<'v>(list: &'v mut Value, name: &str) -> &'v mut Value {
    list.as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|it| it["name"] == name)
        .unwrap()
}

fn volume<'v>(pod: &'v mut Value, name: &str) -> &'v mut Value {
    named(&mut pod["spec"]["volumes"], name)
}

fn sidecar(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["initContainers"][0]
}

const CREDENTIALS: &str = "vertex-injector-credentials";

#[test]
fn every_collision_is_told_in_one_message_and_nothing_is_injected() {
    let mut full = pod();
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/opt/helpers"}),
    );
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/var/run/secrets/vertex-injector"}),
    );
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/srv", "readOnly": true}),
    );
    push(
        &mut full["spec"]["volumes"],
        json!({"name": "settings", "emptyDir": {}}),
    );
    full["spec"]["containers"][1]["ports"] = json!([{"containerPort": 9000}]);
    push(
        &mut full["spec"]["containers"],
        json!({"name": "vertex-injector-github", "image": "x"}),
    );
    let denied = world().admit(&full);
    let message = denied.denied(Reason::Conflict);
    for part in [
        "team/p",
        "at /opt/helpers",
        "at /var/run/secrets/vertex-injector",
        "mounts /srv read-only",
        "/srv/gateway",
        "/srv/settings",
        "volume \"settings\"",
        "a container \"vertex-injector-github\"",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("Text("), "{message}");
}

#[test]
fn a_port_in_use_is_told_with_its_user() {
    let mut busy = pod();
    busy["spec"]["containers"][1]["ports"] = json!([{"containerPort": 9000}]);
    let denied = world().admit(&busy);
    let message = denied.denied(Reason::Conflict);
    for part in ["\"github\"", "port 9000", "\"helper\""] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_mount_collides_when_equal_or_below_a_read_only_parent_and_not_otherwise() {
    let with = |path: &str, read_only: bool| {
        let mut pod = pod();
        push(
            &mut agent(&mut pod)["volumeMounts"],
            json!({"name": "work", "mountPath": path, "readOnly": read_only}),
        );
        world().admit(&pod)
    };
    for (path, read_only) in [
        ("/opt/helpers", false),
        ("/opt/helpers/", false),
        ("/opt", true),
        ("/srv", true),
    ] {
        let denied = with(path, read_only);
        let message = denied.denied(Reason::Conflict);
        assert!(
            message.contains("\"agent\"") && message.contains(path.trim_end_matches('/')),
            "{path}: {message}"
        );
    }
    for (path, read_only) in [
        ("/opt", false),
        ("/srv", false),
        ("/opt/help", true),
        ("/opt/helpers-2", true),
        ("/", false),
    ] {
        with(path, read_only).injected();
    }
}

#[test]
fn a_mount_of_the_pod_below_one_of_ours_is_refused_where_a_file_of_ours_is() {
    let mut below = pod();
    push(
        &mut agent(&mut below)["volumeMounts"],
        json!({"name": "work", "mountPath": "/opt/helpers/cache"}),
    );
    // The kubelet makes the directory in a volume that it writes itself.
    world().admit(&below).injected();
    let directory = "/var/run/secrets/vertex-injector";
    for (path, said) in [
        (format!("{directory}/token"), true),
        (format!("{directory}/logs"), false),
    ] {
        let mut below = pod();
        push(
            &mut agent(&mut below)["volumeMounts"],
            json!({"name": "work", "mountPath": path}),
        );
        let admission = world().admit(&below);
        if said {
            let message = admission.denied(Reason::Conflict);
            assert!(message.contains(&path) && message.contains("below"), "{message}");
        } else {
            admission.injected();
        }
    }
}

#[test]
fn what_the_pod_mounts_already_is_recognised_before_and_after_the_api_servers_defaults() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers, defaultMode: 420}]
  tokens: [{name: gateway, audience: gateway, mountPath: /srv/gateway}]
  volumes: [{name: own, secret: {secretName: s, defaultMode: 420}}]
  volumeMounts: [{name: own, mountPath: /srv/own}]",
    );
    let mut own = pod();
    let agent = agent(&mut own);
    push(
        &mut agent["volumeMounts"],
        json!({"name": "h", "mountPath": "/opt/helpers"}),
    );
    push(
        &mut agent["volumeMounts"],
        json!({"name": "t", "mountPath": "/srv/gateway", "readOnly": true}),
    );
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "h", "configMap": {"name": "helpers"}}),
    );
    let token = json!({"serviceAccountToken": {"audience": "gateway", "path": "token"}});
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "t", "projected": {"defaultMode": 292, "sources": [token]}}),
    );
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "own", "secret": {"secretName": "s"}}),
    );
    let admission = world.admit(&own);
    assert_eq!(admission.injected().volume_names(), ["work", "h", "t", "own"]);
}

#[test]
fn a_mount_in_another_container_is_no_collision() {
    let mut other = pod();
    other["spec"]["containers"][1]["volumeMounts"] = json!([{"name": "work", "mountPath": "/opt/helpers"}]);
    world().admit(&other).injected().container("helper").unchanged();
}

#[test]
fn our_volume_in_a_container_that_the_policy_does_not_serve_is_refused_whatever_the_policy_says() {
    for name in [CREDENTIALS, "vertex-injector-token-gateway"] {
        let mut thief = injected();
        thief["spec"]["containers"][1]["volumeMounts"] = json!([{"name": name, "mountPath": "/stolen"}]);
        let overriding = World::under(
            "sidecarImages: ['*']",
            &format!("{POLICY}  conflicts: {{values: Override, apiKeys: Remove}}\n"),
        );
        for world in [world(), overriding] {
            let denied = world.admit(&thief);
            let message = denied.denied(Reason::Conflict);
            for part in ["\"helper\"", name, "remove the mount"] {
                assert!(message.contains(part), "{message} lacks {part}");
            }
        }
        let mut before = pod();
        before["spec"]["containers"][1]["volumeMounts"] = json!([{"name": name, "mountPath": "/stolen"}]);
        let denied = world().admit(&before);
        assert!(
            denied.denied(Reason::Conflict).contains(name),
            "before the volume exists"
        );
        let mut init = pod();
        init["spec"]["initContainers"] =
            json!([{"name": "early", "image": "x", "volumeMounts": [{"name": name, "mountPath": "/stolen"}]}]);
        let denied = world().admit(&init);
        assert!(
            denied.denied(Reason::Conflict).contains("\"early\""),
            "in an init container"
        );
    }
}

#[test]
fn our_volume_in_a_sidecar_of_ours_is_taken_out_again() {
    is_restored(|pod| {
        push(
            &mut sidecar(pod)["volumeMounts"],
            json!({"name": CREDENTIALS, "mountPath": "/stolen", "readOnly": true}),
        );
    });
}

#[test]
fn a_stale_or_forged_volume_is_replaced_by_our_rendering() {
    is_restored(|pod| volume(pod, CREDENTIALS)["projected"]["defaultMode"] = 0o777.into());
    is_restored(|pod| {
        volume(pod, CREDENTIALS)["projected"]["sources"][0]["serviceAccountToken"]["audience"] = "elsewhere".into();
    });
    is_restored(|pod| {
        volume(pod, CREDENTIALS)["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] = 86400.into();
    });
    is_restored(|pod| {
        push(
            &mut volume(pod, CREDENTIALS)["projected"]["sources"],
            json!({"secret": {"name": "more"}}),
        );
    });
    is_restored(|pod| {
        *volume(pod, CREDENTIALS) = json!({"name": CREDENTIALS, "hostPath": {"path": "/"}});
    });
    is_restored(|pod| {
        let item = &mut volume(pod, CREDENTIALS)["projected"]["sources"][1]["downwardAPI"]["items"][0];
        item["fieldRef"]["fieldPath"] = "metadata.annotations['mine']".into();
    });
    is_restored(|pod| volume(pod, "vertex-injector-helper-helpers")["configMap"]["name"] = "evil".into());
    is_restored(|pod| {
        volume(pod, "vertex-injector-helper-helpers")["configMap"]["items"] = json!([{"key": "a", "path": "b"}]);
    });
    is_restored(|pod| volume(pod, "vertex-injector-helper-helpers")["configMap"]["optional"] = true.into());
}

#[test]
fn a_forged_configuration_is_replaced_by_ours() {
    is_restored(|pod| {
        let annotation = &mut pod["metadata"]["annotations"]["vertex-injector.dev/credential-configuration"];
        *annotation = annotation
            .as_str()
            .unwrap()
            .replace("sts.googleapis.com", "sts.evil.example")
            .into();
    });
    is_restored(|pod| {
        drop(
            pod["metadata"]["annotations"]
                .as_object_mut()
                .unwrap()
                .shift_remove("vertex-injector.dev/credential-configuration"),
        );
    });
    let mut before = pod();
    before["metadata"]["annotations"] =
        json!({"vertex-injector.dev/credential-configuration": "{\"type\":\"external_account\"}"});
    let admission = world().admit(&before);
    assert_eq!(
        admission.injected().credential_configuration()["token_url"],
        "https://sts.googleapis.com/v1/token"
    );
}

#[test]
fn a_policy_reference_is_never_believed() {
    let mut forged = pod();
    forged["metadata"]["annotations"] =
        json!({"vertex-injector.dev/policy-ref": "team/p@0", "vertex-injector.dev/skipped": "OptedOut"});
    let admission = world().admit(&forged);
    let pod = admission.injected();
    pod.container("agent").mount("/opt/helpers");
    assert_eq!(pod.annotation("vertex-injector.dev/skipped"), None);
}

#[test]
fn a_forged_list_of_rendered_variables_lets_the_policy_win_and_nobody_else() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  env: [{name: TEAM, value: policy}]",
    );
    let mut forged = pod();
    agent(&mut forged)["env"] = json!([{"name": "TEAM", "value": "own"}, {"name": "OTHER", "value": "own"}]);
    forged["metadata"]["annotations"] = json!({"vertex-injector.dev/rendered-env": "agent/TEAM"});
    let admission = world.admit(&forged);
    let agent = admission.injected().container("agent");
    assert_eq!((agent.env("TEAM"), agent.env("OTHER")), ("policy", "own"));
}

#[test]
fn a_stale_or_forged_mount_is_replaced_by_ours() {
    let mount = |pod: &mut Value, path: &str| -> usize {
        list(agent(pod), "volumeMounts")
            .iter()
            .position(|it| it["mountPath"] == path)
            .unwrap()
    };
    is_restored(|pod| {
        let i = mount(pod, "/opt/helpers");
        agent(pod)["volumeMounts"][i]
            .as_object_mut()
            .unwrap()
            .shift_remove("readOnly");
    });
    is_restored(|pod| {
        let i = mount(pod, "/opt/helpers");
        agent(pod)["volumeMounts"][i]["subPath"] = "one".into();
    });
    is_restored(|pod| {
        let i = mount(pod, "/opt/helpers");
        agent(pod)["volumeMounts"][i]["mountPath"] = "/opt/elsewhere".into();
    });
    is_restored(|pod| {
        let i = mount(pod, "/opt/helpers");
        agent(pod)["volumeMounts"][i]["name"] = CREDENTIALS.into();
    });
    is_restored(|pod| {
        push(
            &mut agent(pod)["volumeMounts"],
            json!({"name": CREDENTIALS, "mountPath": "/twice"}),
        );
    });
    is_restored(|pod| {
        agent(pod)["volumeMounts"].as_array_mut().unwrap().remove(1);
    });
}

#[test]
fn a_stale_or_forged_sidecar_is_replaced_by_our_rendering() {
    is_restored(|pod| sidecar(pod)["image"] = "mcp:old".into());
    is_restored(|pod| sidecar(pod)["restartPolicy"] = json!(null));
    is_restored(|pod| sidecar(pod)["command"] = json!(["/bin/sh", "-c", "steal"]));
    is_restored(|pod| sidecar(pod)["args"] = json!(["--listen", "0.0.0.0:9000"]));
    is_restored(|pod| sidecar(pod)["lifecycle"] = json!({"postStart": {"exec": {"command": ["sh"]}}}));
    is_restored(|pod| sidecar(pod)["envFrom"] = json!([{"secretRef": {"name": "s"}}]));
    is_restored(|pod| sidecar(pod)["env"][0]["value"] = "lax".into());
    is_restored(|pod| push(&mut sidecar(pod)["env"], json!({"name": "MODE", "value": "lax"})));
    is_restored(|pod| sidecar(pod)["securityContext"]["readOnlyRootFilesystem"] = false.into());
    is_restored(|pod| sidecar(pod)["securityContext"]["allowPrivilegeEscalation"] = true.into());
    is_restored(|pod| {
        drop(
            sidecar(pod)["securityContext"]
                .as_object_mut()
                .unwrap()
                .shift_remove("allowPrivilegeEscalation"),
        );
    });
    is_restored(|pod| sidecar(pod)["securityContext"]["privileged"] = true.into());
    is_restored(|pod| sidecar(pod)["securityContext"]["capabilities"]["add"] = json!(["SYS_ADMIN"]));
    is_restored(|pod| sidecar(pod)["ports"][0]["containerPort"] = 9001.into());
    is_restored(|pod| {
        push(
            &mut sidecar(pod)["env"],
            json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}),
        );
    });
    is_restored(|pod| {
        push(
            &mut sidecar(pod)["volumeMounts"],
            json!({"name": "work", "mountPath": "/etc/mesh"}),
        );
    });
    is_restored(|pod| sidecar(pod)["terminationMessagePath"] = "/tmp/x".into());
    is_restored(|pod| sidecar(pod)["securityContext"]["seLinuxOptions"] = json!({"type": "spc_t"}));
    is_restored(|pod| {
        sidecar(pod)["resizePolicy"] = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    });
    is_restored(|pod| sidecar(pod)["unknown"] = json!({"of": "tomorrow"}));
}

#[test]
fn what_the_api_server_fills_in_is_no_forgery() {
    is_tolerated(|pod| {
        let container = sidecar(pod);
        container["terminationMessagePath"] = "/dev/termination-log".into();
        container["terminationMessagePolicy"] = "File".into();
        container["resizePolicy"] = json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
        container["securityContext"]["procMount"] = "Default".into();
    });
}

#[test]
fn a_sidecar_among_the_ordinary_containers_is_not_taken_for_ours() {
    let mut pod = injected();
    let moved = pod["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    push(&mut pod["spec"]["containers"], moved);
    let denied = world().admit(&pod);
    assert!(denied.denied(Reason::Conflict).contains("vertex-injector-github"));
}

#[test]
fn what_other_plugins_add_to_our_pieces_is_left_alone() {
    // LimitRanger, an SCC, SELinux, AlwaysPullImages; a mesh, in the agent.
    is_tolerated(|pod| sidecar(pod)["resources"]["limits"]["ephemeral-storage"] = "1Gi".into());
    is_tolerated(|pod| sidecar(pod)["securityContext"]["runAsUser"] = 1_000_640_000.into());
    is_tolerated(|pod| sidecar(pod)["securityContext"]["seLinuxOptions"] = json!({"level": "s0:c25,c10"}));
    is_tolerated(|pod| sidecar(pod)["securityContext"]["capabilities"]["drop"] = json!(["ALL", "KILL"]));
    is_tolerated(|pod| sidecar(pod)["imagePullPolicy"] = "Always".into());
    is_tolerated(|pod| sidecar(pod)["terminationMessagePolicy"] = "FallbackToLogsOnError".into());
    is_tolerated(|pod| {
        push(
            &mut agent(pod)["volumeMounts"],
            json!({"name": "work", "mountPath": "/etc/mesh"}),
        );
    });
}

#[test]
fn defaults_of_a_limit_range_are_left_alone_where_we_set_no_resources() {
    let mut shared = pod();
    shared["spec"]["resources"] = json!({"limits": {"cpu": "2", "memory": "2Gi"}});
    let mut injected = world().admit(&shared).after;
    sidecar(&mut injected)["resources"] =
        json!({"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "50m"}});
    world().admit(&injected).changes_nothing().injected();
}

#[test]
fn equal_quantities_in_other_words_are_equal() {
    is_tolerated(|pod| sidecar(pod)["resources"]["limits"]["cpu"] = "0.5".into());
    is_tolerated(|pod| sidecar(pod)["resources"]["limits"]["memory"] = "268435456".into());
}

#[test]
fn a_removed_piece_of_the_policy_leaves_no_trace() {
    let less = World::serving_under(
        "sidecarImages: ['*']",
        "  agents: [{podSelector: {}, containers: [agent]}]
  env: [{name: LEFT, value: only}]",
    );
    let admission = less.admit(&injected());
    let pod = admission.injected();
    assert_eq!(
        pod.volume_names(),
        ["work", "settings"],
        "the policy's own volume has no mark of ours and stays"
    );
    assert_eq!(list(&pod.pod()["spec"], "initContainers").len(), 0);
    let agent = pod.container("agent");
    assert_eq!(agent.names(), ["LEFT"]);
    assert_eq!(agent.mount_paths(), ["/work", "/srv/settings"]);
    assert_eq!(pod.annotation("vertex-injector.dev/credential-configuration"), None);
    assert_eq!(pod.annotation("vertex-injector.dev/rendered-env"), Some("agent/LEFT"));
}

#[test]
fn a_template_that_brings_a_key_later_loses_what_was_injected() {
    let policy = format!(
        "{}  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}\n",
        POLICY.split("  authHelpers").next().unwrap()
    );
    let world = World::of(&policy);
    let first = world.admit(&pod());
    first.injected();
    let mut keyed = first.after;
    push(
        &mut agent(&mut keyed)["env"],
        json!({"name": "ANTHROPIC_API_KEY", "value": "k"}),
    );
    let admission = world.admit(&keyed);
    admission.skipped(Reason::OwnApiKey);
    let mut expected = pod();
    agent(&mut expected)["env"] = json!([{"name": "ANTHROPIC_API_KEY", "value": "k"}]);
    expected["metadata"]["annotations"] = json!({"vertex-injector.dev/skipped": "OwnApiKey"});
    assert_eq!(admission.after, expected);
}

#[test]
fn what_the_author_of_a_policy_could_give_a_pod_anyway_the_policy_may_give_it() {
    let mut policy = yaml(POLICY);
    let names = [
        "PATH",
        "LD_PRELOAD",
        "NODE_OPTIONS",
        "PYTHONPATH",
        "SSL_CERT_FILE",
        "GIT_SSH_COMMAND",
    ];
    policy["spec"]["env"] = names
        .map(|name| json!({"name": name, "value": "x"}))
        .into_iter()
        .collect();
    let paths = [
        "/usr/bin",
        "/etc/ssl/certs",
        "/etc/passwd",
        "/opt",
        "/run/secrets",
        "/var/run/secrets/kubernetes.io",
    ];
    let mounts = paths.map(|path| json!({"name": "settings", "mountPath": path}));
    policy["spec"]["volumeMounts"] = mounts.into_iter().collect();
    let admission = World::under("sidecarImages: ['*']", &policy.to_string()).admit(&pod());
    let agent = admission.injected().container("agent");
    for name in names {
        assert_eq!(agent.env(name), "x");
    }
    for path in paths {
        assert!(agent.mount_paths().contains(&path), "{path}");
    }
}

#[test]
fn what_a_promise_of_ours_stands_on_no_policy_takes() {
    let env = |name: &str| json!({"env": [{"name": name, "value": "x"}]});
    let helper = |path: &str| json!({"authHelpers": [{"configMapName": "c", "mountPath": path}]});
    for (spec, field) in [
        (env("VERTEX_INJECTOR_LOG"), "spec.env[0].name"),
        (env("GOOGLE_APPLICATION_CREDENTIALS"), "spec.env[0].name"),
        (env("ANTHROPIC_BASE_URL"), "spec.env[0].name"),
        (env("CREDENTIAL_MCP_URLS"), "spec.env[0].name"),
        (env("GIT_CONFIG_COUNT"), "spec.env[0].name"),
        (env("GIT_CONFIG_KEY_0"), "spec.env[0].name"),
        (env("DEPLOY_TOKEN"), "spec.env[0].value"),
        (
            json!({"agents": [{"podSelector": {}, "env": env("GIT_CONFIG_VALUE_0")["env"]}]}),
            "spec.agents[0].env[0].name",
        ),
        (
            json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/a", "envName": "GCE_METADATA_HOST"}]}),
            "spec.tokens[0].envName",
        ),
        (
            json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/run/vertex-injector/a"}]}),
            "spec.tokens[0].mountPath",
        ),
        (
            helper("/var/run/secrets/vertex-injector"),
            "spec.authHelpers[0].mountPath",
        ),
        (
            helper("/run/secrets/vertex-injector/a"),
            "spec.authHelpers[0].mountPath",
        ),
        (
            helper("/run/secrets/kubernetes.io/serviceaccount"),
            "spec.authHelpers[0].mountPath",
        ),
        (helper("/etc/vertex-injector"), "spec.authHelpers[0].mountPath"),
        (
            json!({"podVolumes": ["vertex-injector-credentials"]}),
            "spec.podVolumes[0]",
        ),
    ] {
        let mut policy = yaml(POLICY);
        let fields = spec.as_object().unwrap().clone();
        policy["spec"].as_object_mut().unwrap().extend(fields);
        let denied = World::under("sidecarImages: ['*']", &policy.to_string()).admit(&pod());
        let message = denied.denied(Reason::PolicyUnusable);
        assert!(message.contains(&format!("{field}: ")), "{spec}: {message}");
    }
}

#[test]
fn helpers_of_any_name_get_a_volume_name_that_kubernetes_accepts_and_their_own() {
    let long = "a".repeat(253);
    let names = [
        "helpers",
        "team.helpers",
        "team-helpers",
        &long,
        &format!("{}b", "a".repeat(252)),
    ];
    let helpers: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("{{configMapName: {name}, mountPath: /opt/h{i}}}"))
        .collect();
    let world = World::serving(&format!(
        "  agents: [{{podSelector: {{}}}}]
  authHelpers: [{}]",
        helpers.join(", ")
    ));
    let admission = world.admit(&pod());
    let pod = admission.injected();
    for (i, name) in names.iter().enumerate() {
        let volume_name = pod.container("agent").mount(&format!("/opt/h{i}"))["name"]
            .as_str()
            .unwrap();
        assert!(
            volume_name.len() <= 63 && !volume_name.contains('.') && !volume_name.ends_with('-'),
            "{volume_name}"
        );
        assert_eq!(pod.volume(volume_name).unwrap()["configMap"]["name"], *name);
    }
}

#[test]
fn one_config_map_at_two_paths_shares_a_volume_and_in_two_modes_does_not() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  authHelpers:
    - {configMapName: helpers, mountPath: /opt/a}
    - {configMapName: helpers, mountPath: /opt/b}
    - {configMapName: helpers, mountPath: /opt/c, defaultMode: 292}",
    );
    let admission = world.admit(&pod());
    let agent = admission.injected().container("agent");
    assert_eq!(agent.mount("/opt/a")["name"], agent.mount("/opt/b")["name"]);
    assert_ne!(agent.mount("/opt/a")["name"], agent.mount("/opt/c")["name"]);
    assert_eq!(agent.file("/opt/a/x").1, 0o755);
    assert_eq!(agent.file("/opt/c/x").1, 0o444);
}
