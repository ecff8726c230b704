//! What a policy adds piece by piece: what it may add, and what stands on promises of ours.

use serde_json::{Value, json};
use support::{World, yaml};
use vertex_injector_core::admission::Reason;

pub(super) const POLICY: &str = "apiVersion: vertex-injector.dev/v1alpha1
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

pub(super) fn world() -> World {
    World::under("sidecarImages: ['*']", POLICY)
}

pub(super) fn pod() -> Value {
    yaml(
        "{metadata: {name: a}, spec: {
            containers: [{name: agent, image: a, volumeMounts: [{name: work, mountPath: /work}]}, {name: helper, image: h}],
            volumes: [{name: work, emptyDir: {}}]}}",
    )
}

pub(super) fn agent(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

pub(super) fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
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
