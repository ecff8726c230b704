//! What stands under our names: stale or forged, it becomes ours again; what others add to it stays, and what the policy drops goes.

use super::pieces::{POLICY, agent, pod, push, world};
use serde_json::{Value, json};
use support::World;
use support::view::list;
use vertex_injector_core::admission::Reason;

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
fn a_file_in_another_volume_of_ours_is_no_credential_of_the_pods_own_though_no_annotation_says_so() {
    let world = World::under(
        "sidecarImages: ['*']",
        &format!("{POLICY}  conflicts: {{values: Keep}}\n"),
    );
    let directory = "/var/run/secrets/vertex-injector";
    for volume in [
        "vertex-injector-loopback",
        "vertex-injector-credentials",
        "vertex-injector-stale",
    ] {
        let mut pod = pod();
        push(&mut pod["spec"]["volumes"], json!({"name": volume, "emptyDir": {}}));
        push(
            &mut agent(&mut pod)["volumeMounts"],
            json!({"name": volume, "mountPath": directory, "readOnly": true}),
        );
        let file = format!("{directory}/application_default_credentials.json");
        push(
            &mut agent(&mut pod)["env"],
            json!({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": file}),
        );
        // Twice, which has to make no difference.
        let admission = world.admit(&pod);
        assert_eq!(
            admission
                .injected()
                .container("agent")
                .env("GOOGLE_APPLICATION_CREDENTIALS"),
            file
        );
    }
}
