//! What the API server and its controllers make of objects on the way to the webhook.

use serde_json::{Map, Value, json};
use vertex_injector_core::manifest::workload::{self, PodAt};

const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The pod of an object: itself, or made from its template as the object's controller makes it.
pub fn pod_of(object: &Value) -> (PodAt, Value) {
    let at = workload::pods(object).pop().expect("an object with a pod");
    let mut pod = object.pointer(&at.pointer()).expect("the pod").clone();
    if at.kind == "Pod" {
        return (at, pod);
    }
    let pod_map = pod.as_object_mut().expect("a template");
    pod_map.insert("apiVersion".into(), "v1".into());
    pod_map.insert("kind".into(), "Pod".into());
    let metadata = pod_map.entry("metadata").or_insert_with(|| json!({}));
    metadata["generateName"] = format!("{}-", at.name).into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": object["apiVersion"], "kind": at.kind, "name": at.name,
        "uid": "4f6f9b0e-8f0c-4c52-8d37-0b5f6a1f3c11", "controller": true, "blockOwnerDeletion": true,
    }]);
    let labels = metadata
        .as_object_mut()
        .expect("metadata")
        .entry("labels")
        .or_insert_with(|| json!({}));
    for (key, value) in controller_labels(&at) {
        labels[key] = value.into();
    }
    (at, pod)
}

/// The labels that a controller adds to the pods of its template.
fn controller_labels(at: &PodAt) -> Vec<(&'static str, String)> {
    let uid = "4f6f9b0e-8f0c-4c52-8d37-0b5f6a1f3c11".to_owned();
    match at.kind.as_str() {
        "Job" | "CronJob" => vec![
            ("batch.kubernetes.io/controller-uid", uid.clone()),
            ("batch.kubernetes.io/job-name", at.name.clone()),
            ("controller-uid", uid),
            ("job-name", at.name.clone()),
        ],
        "Deployment" | "ReplicaSet" => vec![("pod-template-hash", "6b7c9d8f5".to_owned())],
        "StatefulSet" | "DaemonSet" => vec![("controller-revision-hash", "6b7c9d8f5".to_owned())],
        _ => vec![],
    }
}

/// The AdmissionReview by which the API server asks about the creation of a pod.
pub fn review(pod: &Value, namespace: &str, dry_run: bool) -> Vec<u8> {
    let mut object = pod.clone();
    object["metadata"]["namespace"] = namespace.into();
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": pod["metadata"]["name"].as_str().unwrap_or_default(),
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:job-controller", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": dry_run,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    serde_json::to_vec(&review).expect("JSON")
}

/// Fills in what the API server's defaults and its built-in admission plugins fill in, before the webhooks and again
/// after each that changed the pod.
pub fn fill_in(pod: &mut Value) {
    let spec = pod["spec"].as_object_mut().expect("spec");
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "enableServiceLinks", json!(true));
    default(spec, "serviceAccountName", json!("default"));
    let account = spec["serviceAccountName"].clone();
    spec.insert("serviceAccount".into(), account);
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            fill_in_container(container);
        }
    }
    for volume in items(spec, "volumes") {
        fill_in_volume(volume);
    }
    mount_api_token(spec);
}

fn fill_in_container(container: &mut Value) {
    let container = container.as_object_mut().expect("container");
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    let latest = container["image"]
        .as_str()
        .is_some_and(|image| image.ends_with(":latest"));
    default(
        container,
        "imagePullPolicy",
        json!(if latest { "Always" } else { "IfNotPresent" }),
    );
    for port in items(container, "ports") {
        default(port.as_object_mut().expect("port"), "protocol", json!("TCP"));
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            for (key, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                default(probe, key, json!(value));
            }
        }
    }
    for env in items(container, "env") {
        let field = env.pointer_mut("/valueFrom/fieldRef").and_then(Value::as_object_mut);
        if let Some(field) = field {
            default(field, "apiVersion", json!("v1"));
        }
    }
    if let Some(limits) = container["resources"].get("limits").cloned() {
        let resources = container["resources"].as_object_mut().expect("resources");
        default(resources, "requests", json!({}));
        let requests = resources["requests"].as_object_mut().expect("requests");
        for (name, limit) in limits.as_object().into_iter().flatten() {
            default(requests, name, limit.clone());
        }
    }
}

fn fill_in_volume(volume: &mut Value) {
    for source in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            default(source, "defaultMode", json!(0o644));
        }
    }
    let items = volume.pointer_mut("/downwardAPI/items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        if let Some(field) = item.get_mut("fieldRef").and_then(Value::as_object_mut) {
            default(field, "apiVersion", json!("v1"));
        }
    }
    let sources = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut);
    for source in sources.into_iter().flatten() {
        if let Some(token) = source.get_mut("serviceAccountToken").and_then(Value::as_object_mut) {
            default(token, "expirationSeconds", json!(3600));
        }
        let items = source.pointer_mut("/downwardAPI/items").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            if let Some(field) = item.get_mut("fieldRef").and_then(Value::as_object_mut) {
                default(field, "apiVersion", json!("v1"));
            }
        }
    }
}

/// The ServiceAccount plugin: the API token goes into every container that mounts nothing at its path.
fn mount_api_token(spec: &mut Map<String, Value>) {
    if spec.get("automountServiceAccountToken") == Some(&Value::Bool(false)) {
        return;
    }
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            let container = container.as_object_mut().expect("container");
            default(container, "volumeMounts", json!([]));
            let mounts = container["volumeMounts"].as_array_mut().expect("volumeMounts");
            if mounts.iter().all(|mount| mount["mountPath"] != API_TOKEN) {
                mounts.push(json!({"name": "kube-api-access-x7k2p", "mountPath": API_TOKEN, "readOnly": true}));
                used = true;
            }
        }
    }
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    let volumes = volumes.as_array_mut().expect("volumes");
    if used && volumes.iter().all(|volume| volume["name"] != "kube-api-access-x7k2p") {
        volumes.push(json!({"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 0o644, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}

fn items<'v>(map: &'v mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'v mut Value> {
    map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn default(map: &mut Map<String, Value>, key: &str, value: Value) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value);
    }
}
