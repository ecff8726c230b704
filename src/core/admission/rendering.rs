//! Whether a container, volume or value of the pod under one of our names is our own rendering.
//!
//! Other admission plugins add to them: defaults, resources, a uid, SELinux options, mounts, variables of other names. So
//! it is ours when every field that we render is there with our value, and nothing more is there that would change its
//! meaning.

use crate::quantity::thousandths as quantity;
use serde_json::{Map, Value};

/// Fields that no plugin adds and that make a container or volume another one: where we render none, there is none.
const DECISIVE: [&str; 11] = [
    "add",
    "args",
    "command",
    "envFrom",
    "items",
    "lifecycle",
    "optional",
    "privileged",
    "subPath",
    "subPathExpr",
    "workingDir",
];

/// Whether `found` is `rendered`, plus additions that other plugins may make.
pub(super) fn is_rendered_as(found: &Value, rendered: &Value) -> bool {
    match (found, rendered) {
        (Value::Object(found), Value::Object(rendered)) => {
            rendered.iter().all(|(key, value)| matches_field(key, found, value))
                && DECISIVE
                    .iter()
                    .all(|key| rendered.contains_key(*key) || found.get(*key).is_none_or(is_nothing))
        }
        _ => found == rendered,
    }
}

/// Whether the API server leaves a field of this value out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(_) | Value::Object(_) => false,
    }
}

/// Whether the API server would fill in this value.
fn is_default(key: &str, value: &Value) -> bool {
    matches!(
        (key, value.as_i64()),
        ("defaultMode", Some(0o644)) | ("expirationSeconds", Some(3600))
    )
}

fn matches_field(key: &str, found: &Map<String, Value>, rendered: &Value) -> bool {
    let Some(found) = found.get(key) else {
        // This one means true when it is absent, and the API server keeps it.
        return is_nothing(rendered) && key != "allowPrivilegeEscalation" || is_default(key, rendered);
    };
    match (key, found, rendered) {
        ("env", Value::Array(found), Value::Array(rendered)) => keyed(found, rendered, "name"),
        ("volumeMounts", Value::Array(found), Value::Array(rendered)) => keyed(found, rendered, "mountPath"),
        ("requests" | "limits", Value::Object(found), Value::Object(rendered)) => rendered
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| same_quantity(found, value))),
        ("sizeLimit", ..) => same_quantity(found, rendered),
        (_, Value::Array(found), Value::Array(rendered)) => {
            found.len() == rendered.len()
                && found
                    .iter()
                    .zip(rendered)
                    .all(|(found, rendered)| is_rendered_as(found, rendered))
        }
        _ => is_rendered_as(found, rendered),
    }
}

/// The API server writes `1024Mi` down as `1Gi`.
fn same_quantity(found: &Value, rendered: &Value) -> bool {
    found == rendered || quantity(found).is_some_and(|amount| Some(amount) == quantity(rendered))
}

/// Lists in which others may add entries: each of ours is there exactly once and as we render it.
fn keyed(found: &[Value], rendered: &[Value], key: &str) -> bool {
    rendered.iter().all(|ours| {
        let mut same = found.iter().filter(|other| other.get(key) == ours.get(key));
        same.next().is_some_and(|other| is_rendered_as(other, ours)) && same.next().is_none()
    })
}
