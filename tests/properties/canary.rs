//! A secret that is planted wherever a pod has free text, and the search for it in everything that leaves us.

use crate::{envelope, model, policies};
use serde_json::{Value, json};
use vertex_injector_core::clients::{Setting, VARIABLES};

/// What is planted.
const SECRET: &str = "c4n4ry-hunter2";

/// Variables whose content is rewritten in place: the same field of the same pod.
const REWRITTEN: [&str; 3] = ["CREDENTIAL_MCP_URLS", "CREDENTIAL_IDS", model::OPENSHELL];

/// Puts the secret into every free text: values of variables, arguments, images, labels, annotations, volumes and
/// fields that nobody knows.
pub(crate) fn plant(pod: &mut Value) {
    let metadata = &mut pod["metadata"];
    metadata["labels"]["note"] = SECRET.into();
    if metadata["annotations"].is_null() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"]["example.com/note"] = SECRET.into();
    metadata["managedFields"] = json!([{"manager": SECRET}]);
    pod["spec"]["hostname"] = SECRET.into();
    pod["spec"]["futureField"] = json!({"deep": [SECRET]});
    for pointer in ["/spec/containers", "/spec/initContainers"] {
        for container in pod
            .pointer_mut(pointer)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            plant_container(container);
        }
    }
    for volume in pod
        .pointer_mut("/spec/volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        volume["futureField"] = SECRET.into();
        if let Some(driver) = volume.pointer_mut("/csi/volumeAttributes") {
            *driver = json!({"password": SECRET});
        }
    }
}

fn plant_container(container: &mut Value) {
    container["image"] = SECRET.into();
    container["command"] = json!(["sh", "-c", SECRET]);
    container["args"] = json!([SECRET]);
    container["lifecycle"] = json!({"preStop": {"exec": {"command": [SECRET]}}});
    container["futureField"] = SECRET.into();
    for entry in container["env"].as_array_mut().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default().to_owned();
        entry["futureField"] = SECRET.into();
        // A root URL of the pod's own is carried over to the variables that want another path behind it.
        let url = VARIABLES
            .iter()
            .any(|variable| variable.name == name && variable.setting == Setting::Endpoint);
        if url || REWRITTEN.contains(&name.as_str()) {
            continue;
        }
        match entry.get_mut("value") {
            Some(Value::String(value)) if value.contains("$(") => value.push_str(SECRET),
            Some(value) => *value = SECRET.into(),
            None => {}
        }
        if let Some(key) = entry.pointer_mut("/valueFrom/secretKeyRef/key") {
            *key = SECRET.into();
        }
    }
    for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
        mount["futureField"] = SECRET.into();
        if mount.get("subPath").is_some() {
            mount["subPath"] = SECRET.into();
        }
    }
}

/// Looks for the secret in the decision, in what is logged and shown of it, and in the response.
pub(crate) fn check(pod: &Value, policy: &Value) {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": policies::NAMESPACE, "object": pod,
            "userInfo": {"extra": {"token": [SECRET]}}, "options": {"fieldManager": SECRET}, "oldObject": {"x": SECRET},
        },
    });
    let answer = envelope::check_answer(review.to_string().as_bytes(), &policies::set_of(policy)).expect("an answer");
    let decision = &answer.decision;
    let outputs = [
        ("message", decision.message.clone()),
        ("warnings", decision.warnings.join("\n")),
        ("explanation", serde_json::to_string(decision).unwrap()),
        ("patch", serde_json::to_string(&decision.patch).unwrap()),
        ("debug text", format!("{decision:?}")),
        ("response", String::from_utf8(answer.response.clone()).unwrap()),
    ];
    for (output, text) in outputs {
        assert!(!text.contains(SECRET), "the secret is in the {output}: {text}");
    }
}
