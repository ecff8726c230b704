//! What happens to a pod between our patch and our next sight of it: the API server writes it down in its own way, and
//! other admission plugins add their share.

use crate::model::list;
use crate::tape::Tape;
use serde_json::{Value, json};
use vertex_injector_core::admission::Decision;
use vertex_injector_core::names::NAME_PREFIX;

/// The API server's way of writing: what is empty or false is left out, quantities have one form, references have a
/// version. Only in what the decision added; the rest came from the API server already.
pub(crate) fn round_trip(pod: &mut Value, decision: &Decision) {
    let added: Vec<&str> = decision.volumes.iter().map(|change| change.name.as_str()).collect();
    for volume in items(pod, "/spec/volumes").filter(|volume| added.contains(&name(volume))) {
        canonical(volume);
    }
    for container in items(pod, "/spec/initContainers").filter(|container| name(container).starts_with(NAME_PREFIX)) {
        canonical(container);
    }
}

fn canonical(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, value| {
                let kept = matches!(key.as_str(), "allowPrivilegeEscalation" | "emptyDir");
                kept || !matches!(value, Value::Bool(false))
                    && *value != json!("")
                    && *value != json!([])
                    && *value != json!({})
            });
            if object.contains_key("fieldPath") {
                object.insert("apiVersion".to_owned(), "v1".into());
            }
            for value in object.values_mut() {
                canonical(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(canonical),
        Value::String(text) => {
            let quantities = [("1024Mi", "1Gi"), ("0.1", "100m"), ("1000m", "1")];
            if let Some((_, canonical)) = quantities.iter().find(|(other, _)| other == text) {
                *text = (*canonical).to_owned();
            }
        }
        _ => {}
    }
}

/// What LimitRanger, OpenShift, service meshes and the ServiceAccount plugin add to a pod.
pub(crate) fn add(pod: &mut Value, tape: &mut Tape<'_>, chosen: &[String]) {
    let token = "kube-api-access-abcde";
    let mount = json!({"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true});
    for container in items(pod, "/spec/initContainers").filter(|container| name(container).starts_with(NAME_PREFIX)) {
        let context = &mut container["securityContext"];
        if tape.chance(50) && context.get("runAsUser").is_none() {
            context["runAsUser"] = 1_000_650_000.into();
        }
        if tape.chance(50) {
            context["seLinuxOptions"] = json!({"level": "s0:c26,c5"});
        }
        if tape.chance(50) {
            container["resources"]["requests"]["ephemeral-storage"] = "1Gi".into();
        }
        if tape.chance(50) {
            container["terminationMessagePath"] = "/dev/termination-log".into();
            container["terminationMessagePolicy"] = "File".into();
        }
        if tape.chance(50) {
            container["imagePullPolicy"] = "Always".into();
        }
        if tape.chance(50) {
            container["securityContext"]["capabilities"]["drop"] = json!(["ALL", "KILL", "MKNOD"]);
        }
    }
    for container in items(pod, "/spec/containers").filter(|container| chosen.iter().any(|own| own == name(container)))
    {
        if tape.chance(50) {
            push(container, "env", json!({"name": "OTEL_SERVICE_NAME", "value": "agent"}));
            push(container, "volumeMounts", mount.clone());
            container["imagePullPolicy"] = "IfNotPresent".into();
        }
    }
    push(
        &mut pod["spec"],
        "volumes",
        json!({"name": token, "projected": {"sources": []}}),
    );
    push(
        &mut pod["spec"],
        "tolerations",
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists"}),
    );
    if tape.chance(50) {
        let mesh =
            json!({"name": "istio-init", "image": "mesh", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}});
        let own = list(&pod["spec"], "initContainers").to_vec();
        // A sidecar of the pod's own decides with whether the pod is Guaranteed; this one has what makes it stay as it is.
        if own.iter().all(|container| !name(container).starts_with(NAME_PREFIX)) {
            pod["spec"]["initContainers"] = [vec![mesh], own].concat().into();
        }
    }
    pod["metadata"]["annotations"]["sidecar.istio.io/status"] = "{}".into();
    pod["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
}

fn name(object: &Value) -> &str {
    object["name"].as_str().unwrap_or_default()
}

fn items<'v>(pod: &'v mut Value, pointer: &str) -> impl Iterator<Item = &'v mut Value> + use<'v> {
    pod.pointer_mut(pointer)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn push(object: &mut Value, key: &str, item: Value) {
    match object.get_mut(key).and_then(Value::as_array_mut) {
        Some(items) => items.push(item),
        None => object[key] = json!([item]),
    }
}
