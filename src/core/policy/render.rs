//! Parts of pods as policies render them: once, when they are compiled, where they are the same for every pod.

use crate::names;
use serde::Serialize;
use serde_json::{Value, json};

/// An object that an injected pod refers to, and waits for unless it is optional.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Needed {
    /// `ConfigMap`, `Secret` or `PersistentVolumeClaim`.
    pub kind: &'static str,
    /// Its name, in the pod's namespace.
    pub name: String,
    /// Whether the pod starts without it.
    pub optional: bool,
}

impl Needed {
    /// A Secret that must be there.
    pub(super) fn secret(name: &str) -> Self {
        Self {
            kind: "Secret",
            name: name.to_owned(),
            optional: false,
        }
    }
}

/// A variable with a literal value.
pub(crate) fn literal(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// A volume of a ServiceAccount token alone.
pub(super) fn token_volume(source: &Value) -> Value {
    json!({"projected": {"defaultMode": 0o444, "sources": [source]}})
}

/// A ServiceAccount token in a projected volume.
pub(super) fn token_source(audience: &str, expiration: Option<i64>, path: &str) -> Value {
    json!({"serviceAccountToken": {"audience": audience, "expirationSeconds": expiration.unwrap_or(3600), "path": path}})
}

/// A credential file that is an annotation of the pod.
pub(super) fn annotation_file(annotation: &str, path: &str) -> Value {
    json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.annotations['{annotation}']")}})
}

/// The operator's certificates.
pub(super) fn trust_volume(config_map: &str, key: &str) -> Value {
    json!({"configMap": {"name": config_map, "defaultMode": 0o444, "items": [{"key": key, "path": names::TRUST_FILE}]}})
}
