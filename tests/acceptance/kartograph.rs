//! Checks K1–K5 and K8: Kartograph's runtimes.

use serde_json::Value;
use std::fs;
use support::golden::Case;
use support::view::list;
use support::{Injected, PROVIDER, Provided, World, example, example_document, pod_security};
use vertex_injector_core::admission::{Operator, Reason};

/// What both runtimes need, with the credential directory of one.
#[track_caller]
fn has_kartographs_vertex(pod: Injected<'_>, container: &str, directory: &str) {
    let agent = pod.container(container);
    let file = format!("{directory}/application_default_credentials.json");
    for (name, value) in [
        ("CLAUDE_CODE_USE_VERTEX", "1"),
        ("ANTHROPIC_VERTEX_PROJECT_ID", "my-project"),
        ("CLOUD_ML_REGION", "us-east5"),
        ("VERTEXAI_LOCATION", "us-east5"),
        // gcloud writes there, and the credentials' directory is read-only.
        ("CLOUDSDK_CONFIG", "/tmp/gcloud"),
        ("GOOGLE_APPLICATION_CREDENTIALS", &file),
        ("HOME", "/tmp"),
    ] {
        assert_eq!(agent.env(name), value, "{name}");
    }
    let mount = agent.mount(directory);
    assert_eq!(mount["readOnly"], true);
    assert_eq!(mount["name"], "vertex-injector-credentials");
    let (Provided::Text(json), _) = agent.file(&file) else {
        panic!("{file} is no text of the pod");
    };
    let configuration: Value = serde_json::from_str(&json).expect("JSON");
    let token = configuration["credential_source"]["file"]
        .as_str()
        .expect("a token file");
    let audience = format!("https://iam.googleapis.com/{PROVIDER}");
    let expiration = 3600;
    assert_eq!(agent.file(token).0, Provided::Token { audience, expiration });
}

#[test]
fn k1_a_sticky_session_has_each_variable_once_and_a_credential_file_that_names_its_token() {
    let admission = Case::named("k1-k2-kartograph-sticky").admit();
    has_kartographs_vertex(admission.injected(), "agent-runtime", "/gcloud/config");
}

#[test]
fn k2_a_sticky_session_keeps_its_hardening_and_gains_no_writable_mount() {
    let admission = Case::named("k1-k2-kartograph-sticky").admit();
    let pod = admission.injected();
    pod.same("/metadata/labels")
        .same("/spec/securityContext")
        .same("/spec/automountServiceAccountToken")
        .same("/spec/volumes/0")
        .same("/spec/volumes/1");
    let agent = pod.container("agent-runtime");
    agent.same_but_env_and_mounts();
    let security = &agent.value()["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    assert_eq!(agent.value()["ports"][0]["containerPort"], 8787);
    assert_eq!(agent.mount("/tmp")["name"], "tmp");
    let kartograph = agent.names().into_iter().filter(|name| name.starts_with("KARTOGRAPH_"));
    assert_eq!(kartograph.count(), 10);
    let before = list(&admission.before["spec"]["containers"][0], "env");
    assert_eq!(
        &list(agent.value(), "env")[..before.len()],
        before,
        "the pod's own variables changed"
    );
    let added = list(agent.value(), "volumeMounts").iter().skip(3);
    assert!(added.clone().count() > 0);
    for mount in added {
        assert_eq!(mount["readOnly"], true, "{mount} is writable");
    }
}

#[test]
fn k2_a_sticky_session_can_read_both_files_as_uid_65532() {
    let admission = Case::named("k1-k2-kartograph-sticky").admit();
    let pod = admission.injected();
    let agent = pod.container("agent-runtime");
    for (file, is_token) in [("application_default_credentials.json", false), ("token", true)] {
        let (_, mode) = agent.file(&format!("/gcloud/config/{file}"));
        assert!(
            pod_security::can_read(pod.pod(), agent.value(), 65532, mode, is_token),
            "{file} has mode {mode:o}"
        );
    }
}

#[test]
fn k3_the_same_policy_serves_the_batch_job_in_a_directory_of_its_own() {
    let case = Case::named("k3-kartograph-job");
    let policy = |case: &Case| fs::read(case.directory.join("policy.yaml")).expect("policy.yaml");
    assert_eq!(
        policy(&case),
        policy(&Case::named("k1-k2-kartograph-sticky")),
        "one policy for both runtimes"
    );
    let admission = case.admit();
    let pod = admission.injected();
    has_kartographs_vertex(pod, "agentic-ci", "/home/agent-ci/.config/gcloud");
    let agent = pod.container("agentic-ci");
    agent.same_but_env_and_mounts();
    assert_eq!(agent.mount("/workspace")["name"], "workdir");
    assert_eq!(agent.env("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://127.0.0.1:4318");
    assert_eq!(agent.names().iter().filter(|name| name.starts_with("OTEL_")).count(), 5);
    pod.same("/metadata/labels").same("/spec/volumes/0");
    let (_, mode) = agent.file("/home/agent-ci/.config/gcloud/application_default_credentials.json");
    assert!(pod_security::can_read(pod.pod(), agent.value(), 1000, mode, false));
}

#[test]
fn k4_a_kept_api_key_means_no_vertex_at_all_and_a_recorded_reason() {
    let admission = Case::named("k4-api-key-keep").admit();
    let message = admission.changes_nothing().skipped(Reason::OwnApiKey);
    assert!(
        message.contains("ANTHROPIC_API_KEY") && message.contains("conflicts.apiKeys: Keep"),
        "{message}"
    );
    assert!(
        admission
            .decision
            .warnings
            .iter()
            .any(|warning| warning.contains("ANTHROPIC_API_KEY"))
    );
}

#[test]
fn k4_a_removed_api_key_makes_way_for_vertex() {
    let admission = Case::named("k4-api-key-remove").admit();
    let pod = admission.injected();
    pod.container("agentic-ci").lacks(&["ANTHROPIC_API_KEY"]);
    has_kartographs_vertex(pod, "agentic-ci", "/home/agent-ci/.config/gcloud");
}

#[test]
fn k4_a_denied_api_key_is_refused_with_both_named() {
    let admission = Case::named("k4-api-key-deny").admit();
    let message = admission.denied(Reason::Conflict);
    for part in [
        "ANTHROPIC_API_KEY",
        "Vertex",
        "conflicts.apiKeys",
        "kartograph-workloads/kartograph",
        "agentic-ci",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn k5_an_ephemeral_worker_is_left_byte_for_byte_as_it_is() {
    let admission = Case::named("k5-kartograph-ephemeral-worker").admit();
    admission.changes_nothing().skipped(Reason::NotSelected);
    assert_eq!(admission.after.to_string(), admission.before.to_string());
    assert!(admission.decision.warnings.is_empty());
}

#[test]
fn k8_without_a_policy_both_runtimes_are_admitted_unchanged() {
    let world = World::new(&[], "kartograph-workloads", &Operator::default());
    for pod in [
        example("kartograph-sticky"),
        example("kartograph-agentic-ci-job"),
        example_document("kartograph-agentic-ci-job", 1),
    ] {
        let admission = world.admit_in("kartograph-workloads", &pod);
        admission.changes_nothing().skipped(Reason::NotSelected);
    }
}
