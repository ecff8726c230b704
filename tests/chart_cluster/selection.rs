//! Which pods the API server sends to the webhook. Nothing answers there, so a pod that is sent is refused, with the
//! name of the webhook that should have been called.

use crate::release::{OWN, RELEASE, Release, pod};
use harness::process::repository;
use regex::Regex;
use serde_json::{Value, json};
use vertex_injector_core::manifest::{self, workload};

#[test]
fn agents_of_the_known_systems_are_sent_where_the_namespace_opted_in() {
    let Some(release) = &*RELEASE else { return };
    release
        .cluster
        .create_namespace("opted-in", &[("vertex-injector.dev/injection", "enabled")]);
    release.cluster.create_namespace("not-opted-in", &[]);
    for (file, webhook) in [
        ("ambient-cp-runner", Some("ambient-session")),
        ("ambient-operator-runner", Some("ambient-runner")),
        ("fracta-job-pod", Some("fracta")),
        ("gastown-polecat", Some("gastown")),
        ("kagent-agent", Some("kagent")),
        ("kartograph-ephemeral-worker", None),
        ("kartograph-sticky", Some("kartograph")),
        ("openshell-combined", Some("agent-sandbox")),
    ] {
        let labels = labels(file);
        assert_eq!(
            sent_to(release, &pod("opted-in", "agent", labels.clone())).as_deref(),
            webhook,
            "{file}"
        );
        assert_eq!(
            sent_to(release, &pod("not-opted-in", "agent", labels.clone())),
            None,
            "{file}"
        );
        let mut out = labels;
        out["vertex-injector.dev/inject"] = json!("false");
        assert_eq!(
            sent_to(release, &pod("opted-in", "agent", out)),
            None,
            "{file} that opted out"
        );
    }
    for (labels, webhook) in [
        (json!({"vertex-injector.dev/inject": "true"}), Some("inject")),
        (json!({"app": "kubetask", "kubetask.io/task": "t"}), Some("kubetask")),
        (json!({"managed-by": "optio", "optio.type": "repo"}), Some("optio")),
        (json!({"managed-by": "optio"}), None),
        (json!({"app": "fracta"}), None),
        (json!({}), None),
    ] {
        assert_eq!(
            sent_to(release, &pod("opted-in", "agent", labels.clone())).as_deref(),
            webhook,
            "{labels}"
        );
    }
}

#[test]
fn pods_without_labels_are_sent_by_their_service_account() {
    let Some(release) = &*RELEASE else { return };
    release
        .cluster
        .create_namespace("accounts", &[("vertex-injector.dev/injection", "enabled")]);
    for account in ["extractor", "other"] {
        release
            .cluster
            .kubectl(&["--namespace", "accounts", "create", "serviceaccount", account]);
    }
    let with = |account: &str, labels: Value| {
        let mut pod = pod("accounts", "agent", labels);
        if !account.is_empty() {
            pod["spec"]["serviceAccountName"] = json!(account);
        }
        sent_to(release, &pod)
    };
    assert_eq!(with("extractor", json!({})).as_deref(), Some("jobs"));
    assert_eq!(with("other", json!({})), None);
    assert_eq!(with("", json!({})), None);
    assert_eq!(with("extractor", json!({"vertex-injector.dev/inject": "false"})), None);
    // With labels as well, both must match; a pod that names no account has the one called default.
    assert_eq!(with("", json!({"team": "unnamed"})).as_deref(), Some("unnamed"));
    assert_eq!(with("other", json!({"team": "unnamed"})), None);
}

#[test]
fn the_systems_namespaces_and_our_own_are_left_out_even_when_labelled() {
    let Some(release) = &*RELEASE else { return };
    for namespace in ["kube-system", "kube-public", "kube-node-lease", OWN] {
        release.cluster.kubectl(&[
            "label",
            "--overwrite",
            "namespace",
            namespace,
            "vertex-injector.dev/injection=enabled",
        ]);
        let account = release
            .cluster
            .try_kubectl(&["--namespace", namespace, "create", "serviceaccount", "default"]);
        assert!(
            account.success() || account.stderr.contains("already exists"),
            "{}",
            account.stderr
        );
        assert_eq!(
            sent_to(
                release,
                &pod(namespace, "agent", json!({"vertex-injector.dev/inject": "true"}))
            ),
            None,
            "{namespace}"
        );
    }
}

/// The webhook that the pod is sent to; `None` when it is admitted without one.
#[track_caller]
fn sent_to(release: &Release, pod: &Value) -> Option<String> {
    let ran = release
        .cluster
        .try_kubectl_stdin(&["create", "--dry-run=server", "--filename", "-"], &pod.to_string());
    if ran.success() {
        return None;
    }
    let call = Regex::new(r#"failed calling webhook "([a-z-]+)\.vertex-injector\.dev""#).expect("a pattern");
    let found = call
        .captures(&ran.stderr)
        .unwrap_or_else(|| panic!("refused otherwise: {}", ran.stderr));
    Some(found[1].to_owned())
}

/// Labels of the pod in a file of `tests/pods`.
fn labels(file: &str) -> Value {
    let text =
        std::fs::read_to_string(repository().join("tests/pods").join(file).with_extension("yaml")).expect("a pod");
    for document in manifest::documents(&text).expect("well-formed") {
        if let Some(pod) = workload::pods(&document).first() {
            return document.pointer(&pod.pointer()).expect("the pod")["metadata"]["labels"].clone();
        }
    }
    panic!("{file} has no pod")
}
