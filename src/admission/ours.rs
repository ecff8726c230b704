//! Whether a piece of the pod under one of our names is our own rendering.
//!
//! Other admission plugins add to our pieces: defaults, resources, a uid, SELinux options, mounts, variables of other
//! names. So a piece is ours when every field that we render is there with our value, and lists that would change its
//! meaning have nothing more.

use crate::quantity::thousandths as quantity;
use serde_json::{Map, Value};

/// Whether `found` is `rendered`, plus additions that other plugins may make.
pub(super) fn is_ours(found: &Value, rendered: &Value) -> bool {
    match (found, rendered) {
        (Value::Object(found), Value::Object(rendered)) => {
            rendered.iter().all(|(key, value)| matches_field(key, found, value))
        }
        _ => found == rendered,
    }
}

fn matches_field(key: &str, found: &Map<String, Value>, rendered: &Value) -> bool {
    let Some(found) = found.get(key) else {
        // The API server drops what is false or empty.
        return matches!(rendered, Value::Bool(false)) || rendered.as_array().is_some_and(Vec::is_empty);
    };
    match (key, found, rendered) {
        ("env", Value::Array(found), Value::Array(rendered)) => keyed(found, rendered, "name"),
        ("volumeMounts", Value::Array(found), Value::Array(rendered)) => keyed(found, rendered, "mountPath"),
        ("requests" | "limits", Value::Object(found), Value::Object(rendered)) => {
            rendered.iter().all(|(name, value)| {
                found
                    .get(name)
                    .is_some_and(|found| found == value || quantity(found).is_some_and(|q| Some(q) == quantity(value)))
            })
        }
        (_, Value::Array(found), Value::Array(rendered)) => {
            found.len() == rendered.len()
                && found
                    .iter()
                    .zip(rendered)
                    .all(|(found, rendered)| is_ours(found, rendered))
        }
        _ => is_ours(found, rendered),
    }
}

/// Lists in which others may add entries: each of ours is there exactly once and as we render it.
fn keyed(found: &[Value], rendered: &[Value], key: &str) -> bool {
    rendered.iter().all(|ours| {
        let mut same = found.iter().filter(|other| other.get(key) == ours.get(key));
        same.next().is_some_and(|other| is_ours(other, ours)) && same.next().is_none()
    })
}
