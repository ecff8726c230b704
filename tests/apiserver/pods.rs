//! The systems' pods, made as those systems make them.

use std::fs;

use serde_json::{Value, json};
use vertex_injector_core::manifest;

use crate::difference::{changes, stored};
use crate::world::Namespace;
use harness::process::{Ran, repository};

/// The controllers of Kubernetes, which a control plane does not have; the test acts in their name.
const JOBS: &str = "system:serviceaccount:kube-system:job-controller";
const REPLICA_SETS: &str = "system:serviceaccount:kube-system:replicaset-controller";

/// The one document of a YAML text.
#[track_caller]
pub(crate) fn document(text: &str) -> Value {
    let documents = manifest::documents(text).expect("well-formed YAML");
    let [document] = documents.try_into().expect("one document");
    document
}

/// The documents of a file in `tests/pods`.
#[track_caller]
pub(crate) fn of_file(name: &str) -> Vec<Value> {
    let path = repository().join("tests/pods").join(name).with_extension("yaml");
    manifest::documents(&fs::read_to_string(path).expect("the file")).expect("well-formed YAML")
}

impl Namespace<'_> {
    /// Creates a Pod, or a Job and its pod as the Job controller does; it has to be admitted. The pod as it is stored.
    #[track_caller]
    pub(crate) fn create(&self, object: &Value) -> Value {
        let (arguments, pod) = self.pod_of(object);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let text = self.try_create(&arguments, &pod).output();
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// `kubectl create` of a pod with further arguments; it may be refused.
    #[track_caller]
    pub(crate) fn try_create(&self, arguments: &[&str], pod: &Value) -> Ran {
        let mut pod = pod.clone();
        pod["metadata"]["namespace"] = self.name.clone().into();
        let create = [
            "--namespace",
            &self.name,
            "create",
            "--filename",
            "-",
            "--output",
            "json",
        ];
        self.world
            .cluster
            .try_kubectl_stdin(&[&create, arguments].concat(), &pod.to_string())
    }

    /// Why a pod is refused.
    #[track_caller]
    pub(crate) fn refusal(&self, pod: &Value) -> String {
        self.try_create(&[], pod).error()
    }

    /// What the injector does to a pod: everything by which it differs from the same pod in `plain`, a namespace that
    /// has not opted in.
    #[track_caller]
    pub(crate) fn change(&self, plain: &Namespace<'_>, object: &Value) -> String {
        let without = stored(&plain.create(object));
        let with = stored(&self.create(object));
        changes(&without, &with)
    }

    /// A pod of a Deployment's template, as the ReplicaSet controller makes it.
    #[track_caller]
    pub(crate) fn pod_of_deployment(&self, name: &str) -> Value {
        let deployment = self.get(&["deployment", name]);
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = format!("{name}-6b7c9d8f5-x2v4q").into();
        pod["metadata"]["generateName"] = format!("{name}-6b7c9d8f5-").into();
        pod["metadata"]["labels"]["pod-template-hash"] = "6b7c9d8f5".into();
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-6b7c9d8f5"),
            "uid": "3b9ac9f2-7a43-4b4d-9e0e-2a5ae4d6a1f7", "controller": true, "blockOwnerDeletion": true,
        }]);
        let text = self.try_create(&["--as", REPLICA_SETS], &pod).output();
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    #[track_caller]
    fn pod_of(&self, object: &Value) -> (Vec<String>, Value) {
        if object["kind"] == "Pod" {
            return (Vec::new(), object.clone());
        }
        assert_eq!(object["kind"], "Job");
        let job = self.try_create(&[], object).output();
        let job: Value = serde_json::from_str(&job).expect("kubectl prints JSON");
        let name = job["metadata"]["name"].as_str().expect("a name");
        // The API server has put its own labels into the template.
        let mut pod = job["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = format!("{name}-x2v4q").into();
        pod["metadata"]["generateName"] = format!("{name}-").into();
        pod["metadata"]["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }]);
        (vec!["--as".to_owned(), JOBS.to_owned()], pod)
    }
}
