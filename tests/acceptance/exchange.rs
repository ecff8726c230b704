//! Design 8: sidecars of Ambient's sessions, which exchange what the session has for one provider's credential.

use super::credentials::{HTTP, ambient, init_names, wrapped};
use serde_json::{Value, json};
use support::example;
use vertex_injector_core::admission::Reason;

const EXCHANGE: &str = "  isolation: BestEffort
  sidecars: [{preset: github, credential: {ambientExchange: {}}}]";

/// An Ambient runner whose control plane has a token service and no sidecars of its own.
fn bound() -> Value {
    let mut pod = example("ambient-cp-runner-novertex");
    for entry in pod["spec"]["containers"][0]["env"].as_array_mut().unwrap() {
        match entry["name"].as_str().unwrap() {
            "AMBIENT_CP_TOKEN_URL" => {
                entry["value"] = "http://ambient-control-plane.ambient-code.svc:8080/token".into();
            }
            "AMBIENT_CP_TOKEN_PUBLIC_KEY" => {
                entry["value"] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into();
            }
            "CREDENTIAL_IDS" => entry["value"] = r#"{"github":"cred-1"}"#.into(),
            _ => {}
        }
    }
    pod
}

#[test]
fn ambients_exchange_gets_this_sessions_variables_and_the_one_provider() {
    let mut two = bound();
    set(&mut two, "CREDENTIAL_IDS", r#"{"github":"cred-1","jira":"cred-2"}"#);
    let both = EXCHANGE.replace("}}]", "}}, {preset: jira, credential: {ambientExchange: {}}}]");
    let admission = ambient(&both).admit(&two);
    let pod = admission.injected();
    let sidecar = pod.container("vertex-injector-github");
    assert_eq!(sidecar.env("SESSION_ID"), "2xYz0NoVertex0000000000000");
    assert_eq!(
        sidecar.env("AMBIENT_API_URL"),
        "https://ambient-api-server.ambient-code.svc:8000"
    );
    assert_eq!(
        sidecar.env("AMBIENT_CP_TOKEN_URL"),
        "http://ambient-control-plane.ambient-code.svc:8080/token"
    );
    assert!(
        sidecar
            .env("AMBIENT_CP_TOKEN_PUBLIC_KEY")
            .starts_with("-----BEGIN PUBLIC KEY-----\n")
    );
    assert_eq!(sidecar.env("CREDENTIAL_IDS"), r#"{"github":"cred-1"}"#);
    let (flags, _) = wrapped(&admission, "vertex-injector-github");
    assert_eq!(
        flags[..6],
        [
            "--source",
            "ambient",
            "--allow-host",
            "ambient-api-server.ambient-code.svc:8000",
            "--allow-host",
            "ambient-control-plane.ambient-code.svc:8080"
        ]
    );
    let runner = pod.container("ambient-code-runner");
    assert_eq!(
        runner.env("CREDENTIAL_MCP_URLS"),
        r#"{"github":"http://localhost:8480","jira":"http://localhost:8482"}"#
    );
    assert_eq!(runner.env("CREDENTIAL_SIDECAR_MODE"), "true");
    let told = admission.decision.warnings.join("\n");
    assert!(
        told.contains("ambientExchange, which the agent can do as well"),
        "{told}"
    );
}

fn set(pod: &mut Value, name: &str, value: &str) {
    let env = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    let entry = env.iter_mut().find(|entry| entry["name"] == name).unwrap();
    entry["value"] = value.into();
}

#[test]
fn an_incomplete_session_is_denied_with_everything_that_is_missing_and_nothing_is_injected() {
    for (missing, named) in [
        ("SESSION_ID", "SESSION_ID"),
        ("BACKEND_API_URL", "AMBIENT_API_URL or BACKEND_API_URL"),
        ("AMBIENT_CP_TOKEN_URL", "AMBIENT_CP_TOKEN_URL"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", "AMBIENT_CP_TOKEN_PUBLIC_KEY"),
    ] {
        let mut pod = bound();
        set(&mut pod, missing, "");
        let denied = ambient(EXCHANGE).admit(&pod);
        let message = denied.denied(Reason::Conflict);
        assert!(message.contains(named) && message.contains("\"github\""), "{message}");
    }
    // As this control plane is when it has no token service.
    let denied = ambient(EXCHANGE).admit(&example("ambient-cp-runner-novertex"));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("AMBIENT_CP_TOKEN_URL, AMBIENT_CP_TOKEN_PUBLIC_KEY;"),
        "{message}"
    );
}

#[test]
fn a_token_service_on_another_host_than_the_operators_gets_nothing() {
    for url in [
        "http://evil.svc/token",
        "http://ambient-control-plane.ambient-code.svc.cluster.local.evil.com:8080/token",
        "http://u@ambient-control-plane.ambient-code.svc:8080/token",
    ] {
        let mut pod = bound();
        set(&mut pod, "AMBIENT_CP_TOKEN_URL", url);
        let denied = ambient(EXCHANGE).admit(&pod);
        let message = denied.denied(Reason::Conflict);
        assert!(message.contains("AMBIENT_CP_TOKEN_URL"), "{message}");
    }
}

#[test]
fn a_preset_is_for_a_bound_provider_that_has_no_sidecar_yet() {
    let both = format!("  sidecars: [{{preset: github, {HTTP}}}, {{preset: jira, {HTTP}}}]");
    let admission = ambient(&both).admit(&bound());
    assert_eq!(
        init_names(&admission),
        ["vertex-injector-copy", "vertex-injector-github"]
    );
    let jira = admission
        .decision
        .units
        .iter()
        .find(|unit| unit.name == "sidecars[jira]")
        .unwrap();
    assert_eq!(jira.reason, Some(Reason::ProviderNotBound));
    assert!(jira.detail.contains("not bound to jira"), "{}", jira.detail);
    let mut served = bound();
    served["spec"]["containers"][0]["env"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "CREDENTIAL_MCP_URLS", "value": r#"{"github":"http://localhost:8091"}"#}));
    let left_alone = ambient(&both).admit(&served);
    let github = left_alone
        .decision
        .units
        .iter()
        .find(|unit| unit.name == "sidecars[github]")
        .unwrap();
    assert_eq!(github.reason, Some(Reason::ProviderServed));
    left_alone.changes_nothing();
}

#[test]
fn a_platforms_own_sidecar_stays_in_place_of_a_preset_where_the_runner_is_told_of_no_bindings() {
    let both = format!("  sidecars: [{{preset: github, {HTTP}}}, {{preset: gitlab, {HTTP}}}]");
    let runner = example("ambient-cp-runner");
    assert!(
        !runner["spec"]["containers"][0]["env"]
            .to_string()
            .contains("CREDENTIAL_IDS")
    );
    let admission = ambient(&both).admit(&runner);
    assert_eq!(
        init_names(&admission),
        ["vertex-injector-copy", "vertex-injector-gitlab"]
    );
    let reasons: Vec<_> = { admission.decision.units.iter() }
        .filter(|unit| unit.name.starts_with("sidecars["))
        .map(|unit| (unit.name.as_str(), unit.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            ("sidecars[github]", Some(Reason::ProviderServed)),
            ("sidecars[gitlab]", None)
        ]
    );
}
