//! `helm test` of the installed chart, and what `helm uninstall` leaves.

use crate::installed::{Agents, RELEASE, WELL, node};
use harness::process::{pause, repository};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn helm_test_creates_a_pod_for_a_policy_as_a_dry_run_and_leaves_nothing_behind() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "chart-test", "default");
    agents.policy(&json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "agents"},
        "spec": {"env": [{"name": "TEAM", "value": "a"}]},
    }));
    let tested = node.try_helm(&["test", RELEASE, "--namespace", RELEASE, "--timeout", "90s"]);
    // It succeeds when nothing is broken and everything could be looked at. Policies of other tests may be broken on purpose; then the pod
    // stays, for its log.
    if !tested.success() {
        let log = node.kubectl(&["--namespace", RELEASE, "logs", "vertex-injector-test"]);
        node.kubectl(&[
            "--namespace",
            RELEASE,
            "delete",
            "pod",
            "vertex-injector-test",
            "--wait=true",
        ]);
        let ours = log
            .lines()
            .find(|line| line.contains("a pod in chart-test is injected (chart-test/agents@"));
        assert!(ours.is_some_and(|line| line.contains('✓')), "{log}");
        assert!(log.contains(" 0 not looked at,"), "{log}");
    }
    assert_eq!(agents.get(&["pods"])["items"], json!([]));
    let kinds = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,\
                 serviceaccounts,roles,rolebindings";
    let left = node.kubectl(&["--namespace", RELEASE, "get", kinds, "--output", "name"]);
    assert!(!left.contains("vertex-injector-test"), "{left}");
}

#[test]
fn uninstalling_takes_the_secrets_that_the_webhook_made_along() {
    let Some(node) = node() else { return };
    // Another release beside the first is something that `helm test` tells.
    let _unwell = WELL.write();
    let values = node.helm(&["get", "values", RELEASE, "--namespace", RELEASE, "--output", "json"]);
    let mut values: Value = serde_json::from_str(&values).expect("JSON");
    // It serves nobody, and stands in nobody's way.
    values["namespaceSelector"] = json!({"matchLabels": {"nobody": "here"}});
    values["crds"] = json!({"install": false});
    for policy in ["annotationGuard", "brokerGuard", "injectionGuard", "authorGuard"] {
        values["admissionPolicies"][policy] = json!(false);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), values.to_string()).expect("the values");
    let (chart, values) = (repository().join("charts/vertex-injector"), file.path());
    let own = ["--namespace", "gone"];
    node.create_namespace("gone", &[]);
    let install = [
        "install",
        "gone",
        chart.to_str().expect("UTF-8"),
        "--values",
        values.to_str().expect("UTF-8"),
    ];
    node.helm(&[&install[..], &own, &["--wait", "--timeout=120s"]].concat());
    let secrets = || {
        let secrets = node.kubectl(&[&own[..], &["get", "secrets", "--output", "name"]].concat());
        let ours = |name: &&str| name.contains("gone-vertex-injector");
        secrets.lines().filter(ours).map(str::to_owned).collect::<Vec<_>>()
    };
    let made = ["secret/gone-vertex-injector-ca", "secret/gone-vertex-injector-tls"];
    assert_eq!(secrets(), made);

    node.helm(&[&["uninstall", "gone", "--wait"][..], &own].concat());

    let until = Instant::now() + Duration::from_mins(1);
    while !secrets().is_empty() {
        assert!(Instant::now() < until, "{:?} stay", secrets());
        pause(Duration::from_millis(500));
    }
}
