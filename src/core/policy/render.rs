//! Parts of pods as policies render them: once, when they are compiled, where they are the same for every pod.

use super::text::ObjectName;
use serde::Serialize;
use serde_json::{Map, Value, json};

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
    pub(super) fn config_map(name: &ObjectName, optional: bool) -> Self {
        Self::of("ConfigMap", name.as_str(), optional)
    }

    pub(crate) fn secret(name: &ObjectName, optional: bool) -> Self {
        Self::of("Secret", name.as_str(), optional)
    }

    pub(super) fn claim(name: &ObjectName) -> Self {
        Self::of("PersistentVolumeClaim", name.as_str(), false)
    }

    pub(super) fn of(kind: &'static str, name: &str, optional: bool) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            optional,
        }
    }
}

/// A read-only mount of a volume of ours.
pub(crate) fn read_only_mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "readOnly": true})
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

/// A volume whose only file is an annotation of the pod.
pub(crate) fn annotation_volume(annotation: &str, path: &str) -> Value {
    json!({"downwardAPI": {"defaultMode": 0o444, "items": [annotation_file(annotation, path)]}})
}

/// A volume with its name.
pub(crate) fn named(name: &str, volume: &Value) -> Value {
    let mut named = Map::new();
    named.insert("name".into(), name.into());
    if let Some(volume) = volume.as_object() {
        named.extend(volume.clone());
    }
    Value::Object(named)
}
