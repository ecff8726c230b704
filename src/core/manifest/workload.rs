//! Where the pod is in an object: the object itself, or the template of a workload.

use super::document::{name_of, text};
use serde_json::Value;

/// A pod, or a template of pods, within a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAt {
    /// JSON pointer from the document to the object that owns the template; empty unless the document is a list.
    pub object: String,
    /// JSON pointer from that object to the pod's `metadata` and `spec`; empty for a Pod.
    pub template: String,
    /// Namespace that the object names.
    pub namespace: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Its `metadata.name`, else `metadata.generateName` and `*`, else nothing.
    pub name: String,
}

impl PodAt {
    /// JSON pointer from the document to the pod.
    pub fn pointer(&self) -> String {
        format!("{}{}", self.object, self.template)
    }
}

/// The pods of a document, in its order.
///
/// Found in: Pod; PodTemplate; the workloads of `apps` and `batch` and ReplicationController; every other object with
/// a pod at `spec.template` or `spec.podTemplate` (a Sandbox of `agents.x-k8s.io`, an Argo Rollout); lists of these.
pub fn pods(document: &Value) -> Vec<PodAt> {
    let mut found = Vec::new();
    search(document, String::new(), text(document, "kind"), &mut found);
    found
}

fn search(object: &Value, at: String, kind: &str, found: &mut Vec<PodAt>) {
    if let (Some(element), Some(items)) = (kind.strip_suffix("List"), object.get("items").and_then(Value::as_array)) {
        for (index, item) in items.iter().enumerate() {
            // Elements of a typed list such as PodList need not repeat their kind.
            let own = text(item, "kind");
            search(
                item,
                format!("{at}/items/{index}"),
                if own.is_empty() { element } else { own },
                found,
            );
        }
        return;
    }
    let Some(template) = template(object, kind) else { return };
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    found.push(PodAt {
        object: at,
        template: template.to_owned(),
        namespace: Some(text(metadata, "namespace"))
            .filter(|namespace| !namespace.is_empty())
            .map(str::to_owned),
        kind: kind.to_owned(),
        name: name_of(object),
    });
}

/// JSON pointer of the pod in an object, if it has one.
fn template(object: &Value, kind: &str) -> Option<&'static str> {
    match (kind, text(object, "apiVersion")) {
        ("Pod", "" | "v1") => Some(""),
        ("PodTemplate", "" | "v1") => Some("/template"),
        ("CronJob", _) => Some("/spec/jobTemplate/spec/template"),
        ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job", _) => {
            Some("/spec/template")
        }
        _ => ["/spec/template", "/spec/podTemplate"].into_iter().find(|pointer| {
            object
                .pointer(&format!("{pointer}/spec/containers"))
                .is_some_and(Value::is_array)
        }),
    }
    .filter(|pointer| object.pointer(pointer).is_some_and(Value::is_object))
}
