//! Every place where an object keeps its pod.

use super::{Files, TEAM_POLICY, all, one, pod, run_with};
use serde_json::{Value, json};

/// The pod without what only a Pod has.
fn template() -> Value {
    let pod = one(&pod("unused"));
    json!({"metadata": {"labels": pod.pointer("/metadata/labels")}, "spec": pod["spec"]})
}

fn injected(object: &Value) -> (Value, Value) {
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let policy = files.path("policy.yaml");
    let arguments = ["inject", "-f", "-", "--policy", &policy];
    let written = one(&run_with(&arguments, &object.to_string()).output());
    let patch = run_with(&[&arguments[..], &["-o", "patch"]].concat(), &object.to_string()).output();
    (written, serde_json::from_str(&patch).unwrap())
}

#[test]
fn the_pod_of_every_workload_is_injected_like_a_pod() {
    let (alone, _) = injected(&one(&pod("x")));
    for (version, kind, path) in [
        ("v1", "PodTemplate", "/template"),
        ("v1", "ReplicationController", "/spec/template"),
        ("apps/v1", "Deployment", "/spec/template"),
        ("apps/v1", "StatefulSet", "/spec/template"),
        ("apps/v1", "DaemonSet", "/spec/template"),
        ("apps/v1", "ReplicaSet", "/spec/template"),
        ("batch/v1", "Job", "/spec/template"),
        ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
        ("agents.x-k8s.io/v1beta1", "Sandbox", "/spec/podTemplate"),
        (
            "extensions.agents.x-k8s.io/v1beta1",
            "SandboxTemplate",
            "/spec/podTemplate",
        ),
        ("argoproj.io/v1alpha1", "Rollout", "/spec/template"),
    ] {
        let mut object = template();
        for key in path.rsplit('/').filter(|key| !key.is_empty()) {
            object = json!({key: object, "other": [1, {"kept": "yes"}]});
        }
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": "x", "namespace": "team"});

        let (written, patch) = injected(&object);
        let pod = written.pointer(path).unwrap();
        assert_eq!(pod["spec"], alone["spec"], "{kind}");
        assert_eq!(
            pod.pointer("/metadata/annotations"),
            alone.pointer("/metadata/annotations"),
            "{kind}"
        );
        let mut without = written.clone();
        *without.pointer_mut(path).unwrap() = template();
        assert_eq!(without, object, "{kind}: nothing else changes");

        // The patch fits the whole object.
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched, written, "{kind}");
    }
}

#[test]
fn the_pods_of_lists_are_injected_where_they_stand() {
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let list = json!({
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "0644"}}, one(&pod("a")), one(&pod("b"))],
    });
    let written = one(&run_with(
        &["inject", "-f", "-", "--policy", &files.path("policy.yaml")],
        &list.to_string(),
    )
    .output());
    assert_eq!(written["items"][0], list["items"][0]);
    for index in [1, 2] {
        assert!(written["items"][index].pointer("/spec/volumes/0").is_some());
    }
}

#[test]
fn the_namespace_is_that_of_the_object_else_the_one_that_is_asked_for_else_default() {
    let without = |text: &str| text.replace(", namespace: team", "");
    let stream = format!("{}---\n{}", without(&pod("a")), without(TEAM_POLICY));
    for (namespace, skipped) in [(&[][..], false), (&["-n", "team"], false)] {
        let ran = run_with(&[&["inject", "-f", "-"], namespace].concat(), &stream);
        assert_eq!(ran.stderr.contains("skipped"), skipped, "{}", ran.stderr);
        assert!(all(&ran.stdout)[0].pointer("/spec/volumes").is_some());
    }
    // The pod says team, the policy is for another namespace.
    let stream = format!("{}---\n{}", pod("a"), without(TEAM_POLICY));
    let ran = run_with(&["inject", "-f", "-", "-n", "other"], &stream);
    assert!(
        ran.stderr.contains("Pod team/a: skipped (NotSelected)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_policy_that_ended_up_in_a_namespace_without_pods_is_told() {
    let policy = TEAM_POLICY.replace(", namespace: team", "");
    let ran = run_with(&["inject", "-f", "-"], &format!("{}---\n{policy}", pod("a")));
    assert!(
        ran.stderr.contains(
            "warning: standard input (document 2): InjectionPolicy/agents names no namespace and is taken for \"default\", \
             where none of the pods is; say -n NAMESPACE"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_labels_of_a_namespace_among_the_inputs_count() {
    let policy = TEAM_POLICY
        .replace("kind: InjectionPolicy", "kind: ClusterInjectionPolicy")
        .replace(", namespace: team", "")
        .replace("spec:", "spec:\n  namespaceSelector: {matchLabels: {tier: agents}}");
    let namespace =
        |tier: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: team, labels: {{tier: {tier}}}}}\n");
    for (tier, injected) in [("agents", true), ("other", false)] {
        let ran = run_with(
            &["inject", "-f", "-"],
            &format!("{}---\n{policy}---\n{}", pod("a"), namespace(tier)),
        );
        assert_eq!(
            all(&ran.stdout)[0].pointer("/spec/volumes").is_some(),
            injected,
            "{tier}"
        );
    }
    // A namespace that nobody describes counts as opted in, and has its own name.
    for label in [
        "vertex-injector.dev/injection: enabled",
        "kubernetes.io/metadata.name: team",
    ] {
        let policy = policy.replace("tier: agents", label);
        let ran = run_with(&["inject", "-f", "-"], &format!("{}---\n{policy}", pod("a")));
        assert!(all(&ran.stdout)[0].pointer("/spec/volumes").is_some(), "{label}");
    }
}
