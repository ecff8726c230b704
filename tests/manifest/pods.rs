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

#[test]
fn templates_are_found_wherever_they_stand_and_all_of_them() {
    let template = "{metadata: {}, spec: {containers: [{name: a, image: i}]}}";
    for (head, spec, pointers) in [
        (
            "jobset.x-k8s.io/v1alpha2, kind: JobSet",
            format!(
                "{{replicatedJobs: [{{template: {{spec: {{template: {template}}}}}}}, {{template: {{spec: {{template: {template}}}}}}}]}}"
            ),
            vec![
                "/spec/replicatedJobs/0/template/spec/template",
                "/spec/replicatedJobs/1/template/spec/template",
            ],
        ),
        (
            "leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet",
            format!("{{leaderWorkerTemplate: {{leaderTemplate: {template}, workerTemplate: {template}}}}}"),
            vec![
                "/spec/leaderWorkerTemplate/leaderTemplate",
                "/spec/leaderWorkerTemplate/workerTemplate",
            ],
        ),
        (
            "ray.io/v1, kind: RayService",
            format!(
                "{{rayClusterConfig: {{headGroupSpec: {{template: {template}}}, workerGroupSpecs: [{{template: {template}}}]}}}}"
            ),
            vec![
                "/spec/rayClusterConfig/headGroupSpec/template",
                "/spec/rayClusterConfig/workerGroupSpecs/0/template",
            ],
        ),
        (
            "kubeflow.org/v1, kind: PyTorchJob",
            format!("{{pytorchReplicaSpecs: {{Master: {{template: {template}}}, Worker: {{template: {template}}}}}}}"),
            vec![
                "/spec/pytorchReplicaSpecs/Master/template",
                "/spec/pytorchReplicaSpecs/Worker/template",
            ],
        ),
        (
            "batch.volcano.sh/v1alpha1, kind: Job",
            format!("{{tasks: [{{name: t, template: {template}}}]}}"),
            vec!["/spec/tasks/0/template"],
        ),
        (
            "sparkoperator.k8s.io/v1beta2, kind: SparkApplication",
            format!("{{driver: {{template: {template}}}, executor: {{template: {template}}}}}"),
            vec!["/spec/driver/template", "/spec/executor/template"],
        ),
        (
            "serving.knative.dev/v1, kind: Service",
            format!("{{template: {template}}}"),
            vec!["/spec/template"],
        ),
    ] {
        let object = one(&format!("{{apiVersion: {head}, metadata: {{name: x}}, spec: {spec}}}"));
        let found = workload::found(&object);
        let places: Vec<String> = found.pods.iter().map(workload::PodAt::pointer).collect();
        assert_eq!(places, pointers, "{head}");
        assert_eq!(found.unserved, [], "{head}");
        assert!(found.pods.iter().all(|pod| pod.one_of_several == (pointers.len() > 1)));
    }
}

#[test]
fn what_looks_like_a_pod_and_is_no_template_is_named() {
    for (head, spec, fields) in [
        (
            "argoproj.io/v1alpha1, kind: Workflow",
            "{templates: [{name: a, container: {image: i}}, {name: b, script: {image: i, source: x}}]}",
            vec!["spec.templates[0]", "spec.templates[1]"],
        ),
        (
            "tekton.dev/v1, kind: Task",
            "{steps: [{name: a, image: i}]}",
            vec!["spec"],
        ),
        (
            "sparkoperator.k8s.io/v1beta2, kind: SparkApplication",
            "{image: i, driver: {cores: 1}, executor: {cores: 1}}",
            vec!["spec.driver", "spec.executor"],
        ),
        (
            "serving.kserve.io/v1beta1, kind: InferenceService",
            "{predictor: {containers: [{name: a, image: i}]}}",
            vec!["spec.predictor"],
        ),
        (
            "apps.kruise.io/v1alpha1, kind: SidecarSet",
            "{containers: [{name: a, image: i}]}",
            vec!["spec"],
        ),
        (
            "trainer.kubeflow.org/v1alpha1, kind: TrainJob",
            "{podTemplateOverrides: [{spec: {containers: [{name: node}]}}]}",
            vec!["spec.podTemplateOverrides[0].spec"],
        ),
    ] {
        let object = one(&format!("{{apiVersion: {head}, metadata: {{name: x}}, spec: {spec}}}"));
        let found = workload::found(&object);
        assert_eq!(found.pods, [], "{head}");
        let named: Vec<&str> = found.unserved.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(named, fields, "{head}");
    }
    for head in [
        "apiextensions.k8s.io/v1, kind: CustomResourceDefinition",
        "v1, kind: ConfigMap",
    ] {
        let object = one(&format!(
            "{{apiVersion: {head}, spec: {{template: {{spec: {{containers: [{{image: i}}]}}}}}}}}"
        ));
        let found = workload::found(&object);
        assert_eq!((found.pods, found.unserved), (vec![], vec![]), "{head}");
    }
}

#[test]
fn a_pod_is_judged_with_the_volumes_of_its_claim_templates_and_its_controllers_labels() {
    let set = one(
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {template: {spec: {containers: [{name: a}], volumes: [{name: own, emptyDir: {}}]}},
          volumeClaimTemplates: [{metadata: {name: data}}, {metadata: {name: own}}]}}",
    );
    let at = workload::pods(&set).remove(0);
    let pod = at.pod(&set["spec"]["template"]);
    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    assert_eq!(pod["spec"]["volumes"], json!([claim("own"), claim("data")]));
    let job = one(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {template: {spec: {containers: [{name: a}]}}}}",
    );
    let at = workload::pods(&job).remove(0);
    assert_eq!(at.pod(&job["spec"]["template"])["metadata"]["labels"]["job-name"], "x");
}
