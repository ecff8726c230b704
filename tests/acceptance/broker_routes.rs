//! Design 4, 5 and 7: beside a broker, what the pod brings of ports, routes and settings never leads past it.

use super::broker::{BROKER, METADATA, PROXY, world};
use support::golden::Case;
use support::pod;
use vertex_injector_core::admission::Reason;

#[test]
fn a8_loopback_goes_past_the_runners_proxy() {
    let admission = world(PROXY).admit(&pod(
        "{containers: [{name: agent, image: a, env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}, {name: NO_PROXY, value: .svc}]}]}",
    ));
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("NO_PROXY"), ".svc,127.0.0.1,localhost");
}

#[test]
fn ports_that_the_pod_uses_are_left_to_it_and_the_choice_is_always_the_same() {
    let admission = Case::named("broker-ports-move").admit();
    let injected = admission.injected();
    assert_eq!(injected.container("agent").env("GCE_METADATA_HOST"), "127.0.0.1:8471");
    assert_eq!(
        injected.container("agent").env("ANTHROPIC_VERTEX_BASE_URL"),
        "http://127.0.0.1:8476/v1"
    );
    let broker = injected.container(BROKER);
    assert_eq!(broker.env("VERTEX_INJECTOR_METADATA_PORT"), "8471");
    assert_eq!(broker.env("VERTEX_INJECTOR_PROXY_PORT"), "8476");
}

#[test]
fn a_port_that_the_policy_names_is_not_moved_and_the_denial_names_both() {
    let admission = Case::named("broker-port-taken").admit();
    let message = admission.denied(Reason::Conflict);
    assert!(
        message.contains("port 8600 (broker.metadataPort)") && message.contains("container \"agent\" uses"),
        "{message}"
    );
}

#[test]
fn a_pod_that_was_copied_from_a_running_one_without_its_annotations_keeps_the_route_to_its_broker() {
    let policies = world(PROXY);
    let first = policies.admit(&pod("{containers: [{name: agent, image: a}]}"));
    let mut copy = first.after;
    copy["metadata"] = serde_json::json!({"name": "copy"});
    let again = policies.admit(&copy);
    let agent = again.injected().container("agent");
    assert_eq!(agent.env("ANTHROPIC_VERTEX_BASE_URL"), "http://127.0.0.1:8471/v1");
    // One that leads elsewhere goes, as ever.
    let other = policies.admit(&pod(
        "{containers: [{name: agent, image: a, env: [{name: VERTEXAI_API_BASE, value: 'http://127.0.0.1:8471/v2'}]}]}",
    ));
    other.injected().container("agent").lacks(&["VERTEXAI_API_BASE"]);
}

#[test]
fn the_pods_own_routes_and_credentials_never_stay() {
    let admission = Case::named("broker-routes-of-the-pod-go").admit();
    let agent = admission.injected().container("agent");
    agent.lacks(&[
        "NO_GCE_CHECK",
        "ANTHROPIC_BASE_URL",
        "GOOGLE_VERTEX_BASE_URL",
        "ANTHROPIC_CUSTOM_HEADERS",
        "VERTEXAI_CREDENTIALS",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ]);
    assert_eq!(agent.env("ANTHROPIC_VERTEX_BASE_URL"), "http://127.0.0.1:8471/v1");
    assert_eq!(agent.env("GCE_METADATA_HOST"), "127.0.0.1:8470");
    assert_eq!(agent.mount_paths(), Vec::<&str>::new());
    for name in [
        "ANTHROPIC_BASE_URL",
        "GCE_METADATA_HOST",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    ] {
        let said = admission.decision.warnings.iter().any(|warning| warning.contains(name));
        assert!(said, "no warning of {name}: {:?}", admission.decision.warnings);
    }
}

#[test]
fn under_deny_a_pod_with_routes_or_credentials_of_its_own_is_denied_with_each() {
    let message = Case::named("broker-routes-of-the-pod-denied")
        .admit()
        .denied(Reason::Conflict)
        .to_owned();
    for name in [
        "GCE_METADATA_HOST",
        "NO_GCE_CHECK",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_VERTEX_BASE_URL",
        "GOOGLE_VERTEX_BASE_URL",
        "ANTHROPIC_CUSTOM_HEADERS",
        "VERTEXAI_CREDENTIALS",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ] {
        assert!(
            message.contains(&format!(" sets {name}")),
            "{name} is missing in {message}"
        );
    }
    assert!(
        !message.contains("gateway.example.com") && !message.contains("Bearer"),
        "{message}"
    );
}

#[test]
fn settings_that_the_proxy_would_refuse_are_denied_with_what_it_allows() {
    let message = Case::named("broker-settings-outside-the-proxy")
        .admit()
        .denied(Reason::Conflict)
        .to_owned();
    for part in [
        "sets GOOGLE_CLOUD_PROJECT to what access: Proxy does not let through: the project is my-project (vertex.project)",
        "sets CLOUD_ML_REGION to what access: Proxy does not let through: the location is one of us-east5, global (proxy.regions)",
        "sets ANTHROPIC_MODEL to what access: Proxy does not let through: the model is one of claude-* (proxy.models)",
        "sets VERTEX_REGION_CLAUDE_HAIKU_4_5 to what access: Proxy does not let through",
    ] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    // An alias, and a model with a longer context, are within.
    assert!(
        !message.contains("OPUS") && !message.contains("DEFAULT_HAIKU"),
        "{message}"
    );
    assert!(!message.contains("other-project"), "{message}");
}

#[test]
fn what_the_proxy_lets_through_is_kept_and_what_the_policy_overrides_is_not_judged() {
    let own = pod(
        "{containers: [{name: agent, image: a, env: [{name: CLOUD_ML_REGION, value: global}, {name: GOOGLE_CLOUD_PROJECT, value: other-project}]}]}",
    );
    let within = "  access: Proxy\n  proxy: {regions: [us-east5, global]}";
    world(within).admit(&own).denied(Reason::Conflict);
    let overridden = format!("{within}\n  conflicts: {{values: Override}}");
    let admission = world(&overridden).admit(&own);
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("CLOUD_ML_REGION"), "us-east5");
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "my-project");
    let kept = pod("{containers: [{name: agent, image: a, env: [{name: CLOUD_ML_REGION, value: global}]}]}");
    assert_eq!(
        world(within)
            .admit(&kept)
            .injected()
            .container("agent")
            .env("CLOUD_ML_REGION"),
        "global"
    );
}

#[test]
fn models_are_judged_as_the_container_will_have_them_the_policys_own_variables_included() {
    let own = pod(
        "{containers: [{name: agent, image: a, env: [{name: FAST, value: claude-haiku-4-5}, {name: ANTHROPIC_SMALL_FAST_MODEL, value: $(FAST)}]}]}",
    );
    let within = "  access: Proxy\n  proxy: {models: [claude-haiku-*]}\n  conflicts: {values: Override}";
    let allowed = world(within).admit(&own);
    let agent = allowed.injected().container("agent");
    assert_eq!(agent.env("ANTHROPIC_SMALL_FAST_MODEL"), "$(FAST)");
    let overridden = format!("{within}\n  env: [{{name: FAST, value: claude-opus-4-8}}]");
    let admission = world(&overridden).admit(&own);
    let message = admission.denied(Reason::Conflict);
    assert!(
        message.contains("sets ANTHROPIC_SMALL_FAST_MODEL to what access: Proxy does not let through"),
        "{message}"
    );
    let by_reference = format!(
        "{within}\n  env: [{{name: MODEL, value: claude-opus-4-8}}, {{name: CLAUDE_CODE_SUBAGENT_MODEL, value: $(MODEL)}}]"
    );
    let admission = world(&by_reference).admit(&pod("{containers: [{name: agent, image: a}]}"));
    let message = admission.denied(Reason::Conflict);
    assert!(message.contains("sets CLAUDE_CODE_SUBAGENT_MODEL"), "{message}");
}

#[test]
fn a_pod_that_keeps_its_key_gets_no_broker() {
    let admission = world(PROXY).admit(&pod(
        "{containers: [{name: agent, image: a, env: [{name: ANTHROPIC_API_KEY, value: k}]}]}",
    ));
    admission.changes_nothing().skipped(Reason::OwnApiKey);
    let units: Vec<&str> = admission.decision.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(units, ["broker", "vertex"]);
}

#[test]
fn what_env_from_may_hide_is_warned_of_or_under_deny_refused() {
    let pod = pod("{containers: [{name: agent, image: a, envFrom: [{secretRef: {name: keys}}]}]}");
    let admission = world(METADATA).admit(&pod);
    let warnings = admission.decision.warnings.join("\n");
    for said in [
        "from Secret keys with envFrom, which the injector does not see",
        "GOOGLE_APPLICATION_CREDENTIALS or another route in there would lead past the broker",
        "where an HTTP proxy is among them (HTTP_PROXY, HTTPS_PROXY), NO_PROXY must name 127.0.0.1 and localhost",
    ] {
        assert!(warnings.contains(said), "{warnings}");
    }
    let denied = world(&format!("{METADATA}\n  conflicts: {{values: Deny}}")).admit(&pod);
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("which may hold GOOGLE_APPLICATION_CREDENTIALS"),
        "{message}"
    );
}
