//! Where the pods are in an object: the object itself, or the templates of a workload, wherever they stand in it.

use super::document::{name_of, text};
use super::makers;
use crate::names::GROUP;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation};
use serde_json::{Map, Value, json};

/// A pod, or a template of pods, within a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAt {
    /// JSON pointer from the document to the object that owns the template; empty unless the document is a list.
    pub object: String,
    /// JSON pointer from that object to the pod's `metadata` and `spec`; empty for a Pod.
    pub template: String,
    /// Whether the object has further templates.
    pub one_of_several: bool,
    /// Namespace that the object names.
    pub namespace: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Its `metadata.name`, else `metadata.generateName` and `*`, else nothing.
    pub name: String,
    /// Names of the volumes that the object's controller makes of its claim templates.
    claims: Vec<String>,
}

/// What looks like a pod in an object and is none that a patch could be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// The field, as people write it; empty for the object itself.
    pub field: String,
    /// Whether there is nothing in it that even looks like a pod, although pods become of it.
    pub hidden: bool,
    /// What to do instead, as the end of a sentence.
    pub advice: &'static str,
    /// Namespace that the object names.
    pub namespace: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What a document has of pods.
#[derive(Debug, Default)]
pub struct Found {
    /// Pods and templates, in the order of the document.
    pub pods: Vec<PodAt>,
    /// What only looks so.
    pub unserved: Vec<Unserved>,
}

/// Deepest field that is looked at.
const MAX_DEPTH: usize = 64;

impl PodAt {
    /// JSON pointer from the document to the pod.
    pub fn pointer(&self) -> String {
        format!("{}{}", self.object, self.template)
    }

    /// The field of the template as people write it; empty for a Pod.
    pub fn field(&self) -> String {
        dotted(&self.template)
    }

    /// Makes a patch for [`pod`](Self::pod) one for its template, which lacks what the controller adds.
    pub fn fit(&self, template: &Value, patch: &mut Vec<PatchOperation>) {
        for (parent, empty) in [("/spec/volumes", json!([])), ("/metadata", json!({}))] {
            let below = |operation: &PatchOperation| {
                let rest = operation.path().as_str().strip_prefix(parent);
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            if template.pointer(parent).is_none_or(Value::is_null) && patch.iter().any(below) {
                let made = AddOperation {
                    path: PointerBuf::from_tokens(parent.split('/').skip(1)),
                    value: empty,
                };
                patch.insert(0, PatchOperation::Add(made));
            }
        }
    }

    /// The pod that the object's controller makes of its template, as far as that decides anything: with a volume for each
    /// claim template, and the labels that it adds.
    pub fn pod(&self, template: &Value) -> Value {
        let mut pod = template.clone();
        let Some(fields) = pod.as_object_mut() else {
            return pod;
        };
        if !self.claims.is_empty()
            && let Some(Value::Array(volumes)) = member(fields, "spec").map(|spec| list(spec, "volumes"))
        {
            for name in &self.claims {
                let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
                // A claim takes the place of a volume of its name.
                match volumes.iter_mut().find(|own| text(own, "name") == name) {
                    Some(own) => *own = volume,
                    None => volumes.push(volume),
                }
            }
        }
        for (key, value) in self.labels() {
            if let Some(labels) = member(fields, "metadata").and_then(|metadata| member(metadata, "labels")) {
                labels.entry(key).or_insert_with(|| value.into());
            }
        }
        pod
    }

    /// The labels that a controller adds, by which people select pods; what only it knows is empty.
    fn labels(&self) -> Vec<(&'static str, &str)> {
        let name = self.name.as_str();
        match self.kind.as_str() {
            "Job" | "CronJob" => vec![("batch.kubernetes.io/job-name", name), ("job-name", name)],
            "JobSet" => vec![("jobset.sigs.k8s.io/jobset-name", name)],
            "Deployment" | "ReplicaSet" => vec![("pod-template-hash", "")],
            "StatefulSet" => vec![("statefulset.kubernetes.io/pod-name", "")],
            "Sandbox" => vec![("agents.x-k8s.io/sandbox-name-hash", "")],
            "RayCluster" => vec![("ray.io/cluster", name)],
            _ => Vec::new(),
        }
    }
}

/// The pods of a document, in its order.
///
/// Found in: Pod; PodTemplate; the workloads of `apps` and `batch` and ReplicationController; every other object, wherever
/// in it a `spec` with `containers` stands (a Sandbox, an Argo Rollout, a JobSet, a RayCluster); Knative's Revision; lists of these.
pub fn pods(document: &Value) -> Vec<PodAt> {
    found(document).pods
}

/// The pods of a document, and what looks like one and cannot be served.
pub fn found(document: &Value) -> Found {
    let mut found = Found::default();
    search(document, "", text(document, "kind"), &mut found);
    found
}

fn search(object: &Value, at: &str, kind: &str, found: &mut Found) {
    if let (Some(element), Some(items)) = (kind.strip_suffix("List"), object.get("items").and_then(Value::as_array)) {
        for (index, item) in items.iter().enumerate() {
            // Elements of a typed list such as PodList need not repeat their kind.
            let own = text(item, "kind");
            search(
                item,
                &format!("{at}/items/{index}"),
                if own.is_empty() { element } else { own },
                found,
            );
        }
        return;
    }
    let mut places = Places::default();
    match known(object, kind) {
        Known::At(pointer) => places.templates.push(pointer.to_owned()),
        Known::None => return,
        Known::Anywhere => {
            walk(object, String::new(), 0, &mut places);
            note_spark(object, &mut places);
        }
    }
    let group = group(object);
    let advice = makers::advice(group, kind);
    let hidden = places.templates.is_empty() && places.lookalikes.is_empty() && makers::makes_pods(group, kind);
    if hidden {
        places.lookalikes.push("/spec".to_owned());
    }
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let namespace = Some(text(metadata, "namespace"))
        .filter(|namespace| !namespace.is_empty())
        .map(str::to_owned);
    let (kind, name) = (kind.to_owned(), name_of(object));
    let one_of_several = places.templates.len() > 1;
    found.pods.extend(places.templates.into_iter().map(|template| PodAt {
        object: at.to_owned(),
        claims: claims(object, &template),
        template,
        one_of_several,
        namespace: namespace.clone(),
        kind: kind.clone(),
        name: name.clone(),
    }));
    found
        .unserved
        .extend(places.lookalikes.into_iter().map(|pointer| Unserved {
            field: dotted(&pointer),
            hidden,
            advice,
            namespace: namespace.clone(),
            kind: kind.clone(),
            name: name.clone(),
        }));
}

/// JSON pointers within one object.
#[derive(Default)]
struct Places {
    templates: Vec<String>,
    lookalikes: Vec<String>,
}

enum Known {
    At(&'static str),
    Anywhere,
    None,
}

/// Where objects of a kind have their pod.
fn known(object: &Value, kind: &str) -> Known {
    let group = group(object);
    let pointer = match (kind, group) {
        // A Revision is a pod's `spec` with a few fields more, and gives its labels and annotations to its pods.
        ("Pod", "") | ("Revision", "serving.knative.dev") => "",
        ("PodTemplate", "") => "/template",
        ("CronJob", _) => "/spec/jobTemplate/spec/template",
        ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController", _)
        | ("Job", "" | "batch") => "/spec/template",
        // They describe pods, or hold text.
        ("CustomResourceDefinition" | "ConfigMap" | "Secret", _) | (_, GROUP) => return Known::None,
        _ if makers::describes_others(group) => return Known::None,
        _ => return Known::Anywhere,
    };
    if object.pointer(pointer).is_some_and(Value::is_object) {
        Known::At(pointer)
    } else {
        Known::None
    }
}

/// The API group of an object; empty for the core's.
fn group(object: &Value) -> &str {
    text(object, "apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group)
}

/// Looks for templates of pods at and below a value.
fn walk(value: &Value, at: String, depth: usize, places: &mut Places) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            // What is laid over a template is none.
            let overlay = at.rsplit('/').any(|field| field.ends_with("Overrides"));
            let is_template = fields
                .get("spec")
                .and_then(Value::as_object)
                .is_some_and(has_containers);
            if is_template && !at.is_empty() && !overlay {
                places.templates.push(at);
            } else if has_containers(fields) || has_container(fields) {
                places.lookalikes.push(at);
            } else {
                for (field, value) in fields {
                    let field = field.replace('~', "~0").replace('/', "~1");
                    walk(value, format!("{at}/{field}"), depth + 1, places);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{at}/{index}"), depth + 1, places);
            }
        }
        _ => {}
    }
}

/// Whether these are the fields of a pod's `spec`, in the main.
fn has_containers(fields: &Map<String, Value>) -> bool {
    let containers = fields.get("containers").and_then(Value::as_array);
    containers.is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_object))
}

/// Whether these describe containers in a way of their own: Argo's templates, Tekton's tasks.
fn has_container(fields: &Map<String, Value>) -> bool {
    let is_one = |value: &Value| value.get("image").is_some_and(Value::is_string);
    let one = ["container", "script"]
        .into_iter()
        .filter_map(|field| fields.get(field));
    let steps = fields.get("steps").and_then(Value::as_array).into_iter().flatten();
    one.chain(steps).any(is_one)
}

/// Spark's operator makes pods of fields of its own, where no template says otherwise.
fn note_spark(object: &Value, places: &mut Places) {
    if group(object) != "sparkoperator.k8s.io" {
        return;
    }
    for role in [
        "/spec/driver",
        "/spec/executor",
        "/spec/template/driver",
        "/spec/template/executor",
    ] {
        let below = |template: &String| template.starts_with(role);
        if object.pointer(role).is_some_and(Value::is_object) && !places.templates.iter().any(below) {
            places.lookalikes.push(role.to_owned());
        }
    }
}

/// The claim templates beside a template of pods, each of which becomes a volume of its name.
fn claims(object: &Value, template: &str) -> Vec<String> {
    let beside = template.rsplit_once('/').and_then(|(parent, _)| object.pointer(parent));
    let claims = beside.and_then(|parent| parent.get("volumeClaimTemplates")?.as_array());
    let names = claims.into_iter().flatten();
    let names = names.filter_map(|claim| Some(claim.pointer("/metadata/name")?.as_str()?.to_owned()));
    names.collect()
}

/// A pointer as people write fields.
fn dotted(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            field.extend(["[", part.as_str(), "]"]);
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(&part);
        }
    }
    field
}

/// An object within an object; made where there is none.
fn member<'o>(fields: &'o mut Map<String, Value>, key: &str) -> Option<&'o mut Map<String, Value>> {
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// A list within an object; made where there is none.
fn list<'o>(fields: &'o mut Map<String, Value>, key: &str) -> &'o mut Value {
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value
}
