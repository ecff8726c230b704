//! `helm test` of the installed chart.

use crate::installed::{Agents, RELEASE, WELL, node};
use serde_json::json;

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
