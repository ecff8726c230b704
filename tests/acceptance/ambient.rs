//! Checks A1–A6, A9, A11 and A12: the runners of the Ambient Code platform.

use serde_json::{Map, Value};
use support::golden::Case;
use support::view::list;
use support::{Admission, Provided, pod_security};
use vertex_injector_core::admission::Reason;

const RUNNER: &str = "ambient-code-runner";
const FILE: &str = "/var/run/secrets/vertex-injector/application_default_credentials.json";

/// The runner's own check at its start, with the policy's values.
#[track_caller]
fn passes_the_runners_check(admission: &Admission) {
    let runner = admission.injected().container(RUNNER);
    assert_eq!(runner.env("USE_VERTEX"), "1");
    assert_eq!(runner.env("CLAUDE_CODE_USE_VERTEX"), "1");
    assert_eq!(runner.seen("ANTHROPIC_VERTEX_PROJECT_ID"), "team-project");
    assert_eq!(runner.seen("GOOGLE_CLOUD_PROJECT"), "team-project");
    assert_eq!(runner.seen("CLOUD_ML_REGION"), "europe-west1");
    assert_eq!(runner.env("GOOGLE_APPLICATION_CREDENTIALS"), FILE);
    assert!(matches!(runner.file(FILE).0, Provided::Text(_)), "the file must exist");
    runner.same_but_env_and_mounts();
}

/// A5: everybody else in the pod.
#[track_caller]
fn leaves_the_other_containers_alone(admission: &Admission) {
    let pod = admission.injected();
    for list_name in ["containers", "initContainers"] {
        for container in list(&admission.before["spec"], list_name)
            .iter()
            .filter(|it| it["name"] != RUNNER)
        {
            pod.container(container["name"].as_str().unwrap()).unchanged();
        }
    }
}

#[test]
fn a1_the_platforms_switches_turn_on_in_place_and_the_runner_finds_all_it_checks() {
    let admission = Case::named("a1-a2-ambient-novertex").admit();
    passes_the_runners_check(&admission);
    leaves_the_other_containers_alone(&admission);
    let runner = admission.injected().container(RUNNER);
    runner.lacks(&["ANTHROPIC_API_KEY"]);
    let position = |name: &str| runner.names().iter().position(|it| *it == name);
    assert_eq!(
        (position("USE_VERTEX"), position("CLAUDE_CODE_USE_VERTEX")),
        (Some(11), Some(12))
    );
}

#[test]
fn a1_a_literal_api_key_that_is_kept_stays_unspoken() {
    let admission = Case::named("a1-ambient-novertex-keeps-its-key").admit();
    admission.changes_nothing().skipped(Reason::OwnApiKey);
    let said = format!("{:?} {}", admission.decision, admission.response);
    assert!(!said.contains("example-not-a-real-key"), "{said}");
}

#[test]
fn a1_under_keep_a_switch_that_says_off_is_believed() {
    let admission = Case::named("a1-ambient-novertex-stays-off").admit();
    let message = admission.changes_nothing().skipped(Reason::VertexSwitchedOff);
    assert!(
        message.contains("USE_VERTEX") && message.contains("conflicts.values"),
        "{message}"
    );
}

#[test]
fn a2_token_and_configuration_are_readable_without_user_and_group_in_the_spec() {
    let admission = Case::named("a1-a2-ambient-novertex").admit();
    let pod = admission.injected();
    let runner = pod.container(RUNNER);
    for (path, is_token) in [(FILE, false), ("/var/run/secrets/vertex-injector/token", true)] {
        let (_, mode) = runner.file(path);
        assert_eq!(mode, 0o444);
        assert!(pod_security::can_read(pod.pod(), runner.value(), 1001, mode, is_token));
    }
}

#[test]
fn a3_an_overridden_static_key_goes_with_mount_and_volume() {
    let admission = Case::named("a3-a4-a5-ambient-static-key-overridden").admit();
    passes_the_runners_check(&admission);
    let pod = admission.injected();
    assert_eq!(pod.volume("vertex"), None);
    assert!(!pod.container(RUNNER).mount_paths().contains(&"/app/vertex"));
    for name in ["workspace", "service-ca", "cred-tmp-github", "cred-tmp-jira"] {
        assert!(pod.volume(name).is_some(), "{name} went too");
    }
}

#[test]
fn a3_a_kept_static_key_means_an_empty_patch() {
    let admission = Case::named("a3-ambient-static-key-kept").admit();
    let message = admission.changes_nothing().skipped(Reason::OwnCredentials);
    assert!(message.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{message}");
}

#[test]
fn a4_the_fence_around_the_metadata_server_stays_in_file_mode() {
    let admission = Case::named("a3-a4-a5-ambient-static-key-overridden").admit();
    let runner = admission.injected().container(RUNNER);
    assert_eq!(runner.env("GCE_METADATA_HOST"), "metadata.invalid");
    assert_eq!(runner.env("GCE_METADATA_TIMEOUT"), "1");
    runner.lacks(&["GCE_METADATA_IP", "GCE_METADATA_ROOT"]);
}

#[test]
fn a5_the_platforms_sidecars_see_neither_variables_nor_tokens() {
    for case in ["a3-a4-a5-ambient-static-key-overridden", "a5-a6-mcp-urls"] {
        let admission = Case::named(case).admit();
        leaves_the_other_containers_alone(&admission);
        let pod = admission.injected();
        for container in list(&pod.pod()["spec"], "containers")
            .iter()
            .filter(|it| it["name"] != RUNNER)
        {
            let mounts = list(container, "volumeMounts");
            assert!(
                mounts
                    .iter()
                    .all(|mount| mount["name"] != "vertex-injector-credentials")
            );
        }
    }
}

fn urls(admission: &Admission) -> Map<String, Value> {
    serde_json::from_str(admission.injected().container(RUNNER).env("CREDENTIAL_MCP_URLS")).expect("a JSON object")
}

#[test]
fn a6_a_sidecars_endpoint_joins_the_others() {
    let admission = Case::named("a5-a6-mcp-urls").admit();
    let urls = urls(&admission);
    assert_eq!(urls["github"], "http://localhost:8091");
    assert_eq!(urls["jira"], "http://localhost:8092");
    let port = &admission.injected().container("vertex-injector-gitlab").value()["ports"][0]["containerPort"];
    assert_eq!(urls["gitlab"], format!("http://localhost:{port}"));
    assert_eq!(urls.len(), 3);
    let taken = [8001, 8090, 8091, 8092, 8093, 8094];
    assert!(!taken.contains(&port.as_i64().unwrap()), "port {port} is taken");
    assert_eq!(
        admission.injected().container(RUNNER).env("CREDENTIAL_SIDECAR_MODE"),
        "true"
    );
}

#[test]
fn a6_a_policy_cannot_choose_a_port_that_ambient_uses() {
    for port in [8001, 8090, 8091, 8092, 8093, 8094, 8174, 8787] {
        let world = support::World::serving_under(
            "sidecarImages: ['*']",
            &format!(
                "  agents: [{{podSelector: {{}}}}]
  sidecars: [{{name: x, image: x, port: {port}}}]"
            ),
        );
        let pod = support::example("kartograph-sticky");
        let refused = world.admit(&pod);
        let message = refused.denied(Reason::PolicyUnusable);
        assert!(
            message.contains("spec.sidecars[0].port") && message.contains(&port.to_string()),
            "{message}"
        );
    }
}

#[test]
fn a6_urls_that_are_no_object_of_strings_are_refused_and_never_clobbered() {
    for case in [
        "a6-mcp-urls-malformed-list",
        "a6-mcp-urls-malformed-text",
        "a6-mcp-urls-malformed-number",
    ] {
        let admission = Case::named(case).admit();
        let message = admission.denied(Reason::Conflict);
        assert!(
            message.contains("CREDENTIAL_MCP_URLS") && message.contains(RUNNER),
            "{message}"
        );
        assert!(!message.contains("not json"), "the value is told: {message}");
    }
}

#[test]
fn a6_the_same_key_with_another_url_is_refused() {
    let admission = Case::named("a6-mcp-key-taken").admit();
    let message = admission.denied(Reason::Conflict);
    assert!(message.contains("\"jira\"") && message.contains("mcpKey"), "{message}");
}

#[test]
fn a6_sidecar_mode_needs_a_sidecar_for_every_bound_provider() {
    let refused = Case::named("a6-bound-provider-without-a-sidecar").admit();
    let message = refused.denied(Reason::Conflict);
    assert!(
        message.contains("github") && message.contains("CREDENTIAL_SIDECAR_MODE"),
        "{message}"
    );
    let admission = Case::named("a6-bound-provider").admit();
    assert_eq!(
        urls(&admission).into_iter().collect::<Vec<_>>(),
        [("github".to_owned(), "http://localhost:8095".into())]
    );
    let runner = admission.injected().container(RUNNER);
    assert_eq!(runner.env("CREDENTIAL_SIDECAR_MODE"), "true");
    assert_eq!(
        runner.env("CREDENTIAL_IDS"),
        r#"{"github":"2xYzCred0github000000000000"}"#
    );
}

#[test]
fn a9_the_older_operators_pod_keeps_its_token_probes_lifecycle_and_sources() {
    let admission = Case::named("a9-ambient-operator-runner").admit();
    passes_the_runners_check(&admission);
    leaves_the_other_containers_alone(&admission);
    let pod = admission.injected();
    let runner = pod.container(RUNNER);
    let before = &admission.before["spec"]["containers"][0];
    for field in ["readinessProbe", "livenessProbe", "lifecycle", "envFrom", "resources"] {
        assert_eq!(
            runner.value()[field].to_string(),
            before[field].to_string(),
            "{field} changed"
        );
    }
    assert_eq!(
        runner.entry("AGUI_TOKEN")["valueFrom"]["secretKeyRef"]["key"],
        "agui-token"
    );
    assert_eq!(runner.mount("/var/run/secrets/ambient")["name"], "runner-token");
    assert!(pod.volume("runner-token").is_some());
    assert_eq!(pod.volume("vertex"), None);
    assert_eq!(runner.env("GCE_METADATA_HOST"), "metadata.invalid");
    assert_eq!(runner.env("LLM_MODEL_VERTEX_ID"), "claude-sonnet-4-6@default");
}

#[test]
fn a9_what_env_from_may_hide_is_said_with_the_name_of_the_source() {
    let admission = Case::named("a9-ambient-operator-runner").admit();
    let warning = admission.warning("envFrom");
    assert!(warning.contains("Secret ambient-non-vertex-integrations"), "{warning}");
}

#[test]
fn a11_the_api_token_stays_mounted_and_our_sidecar_gets_none() {
    let admission = Case::named("a11-api-token").admit();
    passes_the_runners_check(&admission);
    let pod = admission.injected();
    pod.same("/spec/automountServiceAccountToken")
        .same("/spec/serviceAccountName")
        .same("/spec/volumes/2");
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(pod.container(RUNNER).mount(path)["name"], "kube-api-access-x7k2p");
    let stored = Case::named("a11-api-token")
        .world()
        .create("team-b", &admission.before)
        .expect("admitted");
    let sidecar = &stored["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], "vertex-injector-github");
    let mounts = list(sidecar, "volumeMounts")
        .iter()
        .filter(|mount| mount["mountPath"] == path);
    let volumes: Vec<&Value> = mounts.map(|mount| &mount["name"]).collect();
    assert_eq!(
        volumes,
        ["vertex-injector-no-api-token"],
        "the ServiceAccount plugin gave the sidecar a token"
    );
}

#[test]
fn a12_a_tenant_namespace_without_ambients_labels_is_served_by_its_own_policy() {
    let admission = Case::named("a12-mpp-namespace").admit();
    passes_the_runners_check(&admission);
    assert_eq!(
        admission.decision.policy.as_deref(),
        Some("ambient-code--team-d/ambient@0")
    );
}
