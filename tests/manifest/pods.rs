//! Where pods are found.

use super::one;
use serde_json::json;
use vertex_injector_core::manifest::workload;

/// Pointers of the pods of a document, with their kinds and names.
fn found(yaml: &str) -> Vec<(String, String, String)> {
    let pods = workload::pods(&one(yaml));
    pods.into_iter()
        .map(|pod| (pod.pointer(), pod.kind, pod.name))
        .collect()
}

fn at(pointer: &str, kind: &str, name: &str) -> Vec<(String, String, String)> {
    vec![(pointer.to_owned(), kind.to_owned(), name.to_owned())]
}

#[test]
fn a_pod_is_found_where_its_kind_keeps_it() {
    for (head, path, pointer) in [
        ("apiVersion: v1\nkind: Pod", "", ""),
        ("apiVersion: v1\nkind: PodTemplate", "template", "/template"),
        (
            "apiVersion: v1\nkind: ReplicationController",
            "spec.template",
            "/spec/template",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment",
            "spec.template",
            "/spec/template",
        ),
        (
            "apiVersion: apps/v1\nkind: StatefulSet",
            "spec.template",
            "/spec/template",
        ),
        (
            "apiVersion: apps/v1\nkind: DaemonSet",
            "spec.template",
            "/spec/template",
        ),
        (
            "apiVersion: apps/v1\nkind: ReplicaSet",
            "spec.template",
            "/spec/template",
        ),
        ("apiVersion: batch/v1\nkind: Job", "spec.template", "/spec/template"),
        (
            "apiVersion: batch/v1\nkind: CronJob",
            "spec.jobTemplate.spec.template",
            "/spec/jobTemplate/spec/template",
        ),
        (
            "apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox",
            "spec.podTemplate",
            "/spec/podTemplate",
        ),
        (
            "apiVersion: extensions.agents.x-k8s.io/v1beta1\nkind: SandboxTemplate",
            "spec.podTemplate",
            "/spec/podTemplate",
        ),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout",
            "spec.template",
            "/spec/template",
        ),
        (
            "apiVersion: serving.knative.dev/v1\nkind: Service",
            "spec.template",
            "/spec/template",
        ),
    ] {
        let mut pod = json!({"spec": {"containers": [{"name": "a"}]}});
        for key in path.rsplit('.').filter(|key| !key.is_empty()) {
            pod = json!({key: pod});
        }
        let mut object = one(&format!("{head}\nmetadata: {{name: x}}\n"));
        object.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
        let kind = object["kind"].as_str().unwrap().to_owned();
        assert_eq!(found(&object.to_string()), at(pointer, &kind, "x"), "{head}");
    }
}

#[test]
fn what_has_no_pod_has_none() {
    for yaml in [
        "kind: ConfigMap\ndata: {spec: pod}\n",
        "apiVersion: v1\nkind: Service\nspec: {selector: {a: b}}\n",
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nspec: {secretTemplate: {}}\n",
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec: {template: {metadata: {}, spec: {}}}\n",
        "apiVersion: example.com/v1\nkind: Pod\nspec: {containers: [{name: a}]}\n",
        "apiVersion: apps/v1\nkind: Deployment\nspec: {template: null}\n",
        "apiVersion: v1\nkind: List\nitems: 5\n",
    ] {
        assert_eq!(found(yaml), [], "{yaml}");
    }
}

#[test]
fn lists_are_searched_typed_and_nested_ones_too() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {generateName: a-, namespace: x}, spec: {containers: []}}";
    assert_eq!(
        found(&format!(
            "apiVersion: v1\nkind: List\nitems: [{{kind: ConfigMap}}, {pod}]\n"
        )),
        at("/items/1", "Pod", "a-*")
    );
    assert_eq!(
        found(&format!(
            "apiVersion: v1\nkind: List\nitems: [{{apiVersion: v1, kind: List, items: [{pod}]}}]\n"
        )),
        at("/items/0/items/0", "Pod", "a-*")
    );
    // The elements of a PodList that the API server sends say neither.
    assert_eq!(
        found("apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}, spec: {containers: []}}]\n"),
        at("/items/0", "Pod", "a")
    );
}
