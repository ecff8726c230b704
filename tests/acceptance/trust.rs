//! Whose certificates credential sidecars trust: those of their images, the operator's, and the agent's where nothing in the pod
//! writes them. They add to each other. What is not taken over is among the attacks of `tests/attack`.

use crate::credentials::{of_sidecars, wrapped};
use serde_json::{Value, json};
use support::{Provided, World, agent_with};

/// An agent that trusts a private CA.
fn trusting() -> Value {
    let mut pod = agent_with(
        "[{name: SSL_CERT_FILE, value: /trust/ca.pem}, {name: NODE_EXTRA_CA_CERTS, value: /trust/more/ca.pem}]",
    );
    let container = &mut pod["spec"]["containers"][0];
    container["volumeMounts"] = json!([{"name": "trust", "mountPath": "/trust", "subPath": "of"}]);
    pod["spec"]["volumes"] = json!([{"name": "trust", "projected": {"sources": [{"configMap": {"name": "ca"}}]}}]);
    pod
}

const FROM_SECRET: &str = "credential: {secret: {secretName: s}}";

#[test]
fn a_server_that_our_program_runs_trusts_the_agents_certificates_too() {
    let spec = format!("[{{preset: github, {FROM_SECRET}}}]");
    let admission = of_sidecars(&spec).admit(&trusting());
    let plain = of_sidecars(&spec).admit(&agent_with("[]"));
    let server = "vertex-injector-github";
    assert_eq!(wrapped(&admission, server), wrapped(&plain, server));
    let pod = admission.injected();
    let github = pod.container("vertex-injector-github");
    assert_eq!(
        github.env("VERTEX_INJECTOR_CA_FILES"),
        "/run/vertex-injector/trust/SSL_CERT_FILE/ca.pem,/run/vertex-injector/trust/NODE_EXTRA_CA_CERTS/ca.pem"
    );
    let mount = github.mount("/run/vertex-injector/trust/NODE_EXTRA_CA_CERTS/ca.pem");
    assert_eq!(mount["subPath"], "of/more/ca.pem");
}

#[test]
fn an_image_that_runs_its_own_command_learns_of_more_certificates_by_nodes_variable_and_says_so() {
    let spec = format!(
        "[{{name: tool, image: 'ghcr.io/acme/tool:1', port: 9000, {FROM_SECRET}, credentialEnv: [{{name: T, field: t}}]}}]"
    );
    let admission = of_sidecars(&spec).admit(&trusting());
    let tool = admission.injected().container("vertex-injector-tool");
    assert_eq!(
        tool.env("NODE_EXTRA_CA_CERTS"),
        "/run/vertex-injector/trust/NODE_EXTRA_CA_CERTS/ca.pem"
    );
    tool.lacks(&["SSL_CERT_FILE", "VERTEX_INJECTOR_CA_FILES"]);
    let warnings = admission.decision.warnings.join("\n");
    assert!(
        warnings.contains("sidecar \"tool\" runs its image's own command"),
        "{warnings}"
    );
}

#[test]
fn the_operators_certificates_are_every_credential_sidecars() {
    let operator = "{sidecarImages: ['*'], presetImages: {github: 'g:1'}, broker: {image: 'i:1', caConfigMap: {name: acme, key: ca.pem}}}";
    let spec = format!("  agents: [{{podSelector: {{}}}}]\n  sidecars: [{{preset: github, {FROM_SECRET}}}]");
    let admission = World::serving_under(operator, &spec).admit(&agent_with("[]"));
    let github = admission.injected().container("vertex-injector-github");
    let expected = Provided::Key {
        kind: "ConfigMap",
        name: "acme".to_owned(),
        key: "ca.pem".to_owned(),
    };
    assert_eq!(github.file(github.env("VERTEX_INJECTOR_CA_FILES")), (expected, 0o444));
    assert!(
        admission
            .decision
            .needs
            .iter()
            .any(|need| need.kind == "ConfigMap" && need.name == "acme")
    );
}

/// The files that a sidecar trusts of an agent's with these variables, whose volume `trust` is mounted and filled like this.
fn taken_over(env: &str, mount: &Value, volume: &Value, policy: &str) -> Option<String> {
    let mut pod = agent_with(env);
    let mut mounted = json!({"name": "trust"});
    mounted
        .as_object_mut()
        .unwrap()
        .extend(mount.as_object().unwrap().clone());
    pod["spec"]["containers"][0]["volumeMounts"] = json!([mounted]);
    let mut filled = json!({"name": "trust"});
    filled
        .as_object_mut()
        .unwrap()
        .extend(volume.as_object().unwrap().clone());
    pod["spec"]["volumes"] = json!([filled]);
    let admission = of_sidecars(&format!("[{{preset: github, {FROM_SECRET}}}]{policy}")).admit(&pod);
    let github = admission.injected().container("vertex-injector-github");
    let has = github.names().contains(&"VERTEX_INJECTOR_CA_FILES");
    has.then(|| github.env("VERTEX_INJECTOR_CA_FILES").to_owned())
}

#[test]
fn a_file_whose_place_cannot_be_told_or_that_the_pod_can_write_is_not_taken_over() {
    let (at, kept) = (json!({"mountPath": "/trust"}), json!({"configMap": {"name": "ca"}}));
    let of = |file: &str| format!("[{{name: SSL_CERT_FILE, value: '{file}'}}]");
    let plain = of("/trust/ca.pem");
    let file = "/run/vertex-injector/trust/SSL_CERT_FILE/ca.pem";
    assert_eq!(taken_over(&plain, &at, &kept, "").as_deref(), Some(file));
    let expression = json!({"mountPath": "/trust", "subPathExpr": "$(POD)"});
    for (env, mount, volume) in [
        (of("/trust/a,b.pem"), &at, &kept),
        (of("/trust//ca.pem"), &at, &kept),
        (of("/trust/../trust/ca.pem"), &at, &kept),
        (of("/trusted/ca.pem"), &at, &kept),
        (plain.clone(), &expression, &kept),
        (plain.clone(), &json!({"mountPath": "/../trust"}), &kept),
        (plain, &at, &json!({"emptyDir": {}})),
    ] {
        assert_eq!(taken_over(&env, mount, volume, ""), None, "{env} {mount} {volume}");
    }
}

#[test]
fn two_variables_with_one_file_are_one_file() {
    let of = |other: &str| {
        let env =
            format!("[{{name: SSL_CERT_FILE, value: /trust/ca.pem}}, {{name: REQUESTS_CA_BUNDLE, value: {other}}}]");
        let (at, kept) = (json!({"mountPath": "/trust"}), json!({"configMap": {"name": "ca"}}));
        taken_over(&env, &at, &kept, "").expect("files")
    };
    let first = "/run/vertex-injector/trust/SSL_CERT_FILE/ca.pem";
    assert_eq!(of("/trust/ca.pem"), first);
    let second = "/run/vertex-injector/trust/REQUESTS_CA_BUNDLE/b.pem";
    assert_eq!(of("/trust/b.pem"), format!("{first},{second}"));
}

#[test]
fn what_the_policy_tells_the_agent_to_trust_is_not_the_agents() {
    let env = "[{name: SSL_CERT_FILE, value: /trust/ca.pem}]";
    let (at, kept) = (json!({"mountPath": "/trust"}), json!({"configMap": {"name": "ca"}}));
    let policy = |name: &str| format!("\n  env: [{{name: {name}, value: /trust/ca.pem}}]");
    assert_eq!(taken_over(env, &at, &kept, &policy("SSL_CERT_FILE")), None);
    let file = "/run/vertex-injector/trust/SSL_CERT_FILE/ca.pem";
    assert_eq!(taken_over(env, &at, &kept, &policy("OTHER")).as_deref(), Some(file));
}
