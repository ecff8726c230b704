//! Whether a container, volume or value of the pod under one of our names is our own rendering: exactly, but for what the API
//! server fills in and for what admission plugins of every cluster set. Anything else in there would make it another one, so it
//! is replaced.

use crate::quantity::thousandths as quantity;
use serde_json::{Map, Value};

/// Fields with the numbers that the API server fills in.
const NUMBERS: [(&str, i64); 6] = [
    ("defaultMode", 0o644),
    ("expirationSeconds", 3600),
    ("failureThreshold", 3),
    ("periodSeconds", 10),
    ("successThreshold", 1),
    ("timeoutSeconds", 1),
];

/// Fields with the texts that the API server fills in.
const TEXTS: [(&str, &str); 7] = [
    ("apiVersion", "v1"),
    ("divisor", "0"),
    ("procMount", "Default"),
    ("protocol", "TCP"),
    ("terminationMessagePath", "/dev/termination-log"),
    ("terminationMessagePolicy", "File"),
    // By policies of clusters; it shows the end of a log.
    ("terminationMessagePolicy", "FallbackToLogsOnError"),
];

/// Whether `found` is `rendered`, as the API server would have it.
pub fn is_rendered_as(found: &Value, rendered: &Value) -> bool {
    match (found, rendered) {
        (Value::Object(found), Value::Object(rendered)) => {
            rendered.iter().all(|(key, value)| matches_field(key, found, value))
                && found
                    .iter()
                    .all(|(key, value)| rendered.contains_key(key) || is_added(key, value))
        }
        (Value::Array(found), Value::Array(rendered)) => {
            found.len() == rendered.len()
                && found
                    .iter()
                    .zip(rendered)
                    .all(|(found, ours)| is_rendered_as(found, ours))
        }
        _ => found == rendered,
    }
}

fn matches_field(key: &str, found: &Map<String, Value>, rendered: &Value) -> bool {
    let Some(found) = found.get(key) else {
        // This one means true when it is absent, and the API server keeps it.
        return is_nothing(rendered) && key != "allowPrivilegeEscalation" || is_default(key, rendered);
    };
    match (key, found, rendered) {
        // By LimitRanger, which adds resources of other names.
        ("requests" | "limits", Value::Object(found), Value::Object(rendered)) => rendered
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| same_quantity(found, value))),
        ("sizeLimit", ..) => same_quantity(found, rendered),
        // By OpenShift, which lists what `ALL` stands for.
        ("drop", Value::Array(found), Value::Array(rendered)) => rendered.iter().all(|ours| found.contains(ours)),
        // By AlwaysPullImages, which would refuse the pod otherwise.
        ("imagePullPolicy", Value::String(found), _) if found == "Always" => true,
        _ => is_rendered_as(found, rendered),
    }
}

/// Whether a field that we do not render may be there.
fn is_added(key: &str, value: &Value) -> bool {
    is_nothing(value)
        || is_default(key, value)
        || match (key, value) {
            // By LimitRanger.
            ("resources", Value::Object(of)) => of.keys().all(|key| matches!(key.as_str(), "requests" | "limits")),
            // By OpenShift. Root is refused by `runAsNonRoot`, and only the level differs between its pods.
            ("runAsUser" | "runAsGroup", Value::Number(_)) => true,
            ("seLinuxOptions", Value::Object(of)) => of.iter().all(|(key, value)| key == "level" || is_nothing(value)),
            ("resizePolicy", Value::Array(policies)) => {
                let policies = policies.iter().map(|policy| policy.get("restartPolicy"));
                policies
                    .into_iter()
                    .all(|policy| policy.and_then(Value::as_str) == Some("NotRequired"))
            }
            _ => false,
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
    match value {
        Value::Number(number) => NUMBERS
            .iter()
            .any(|(name, default)| *name == key && number.as_i64() == Some(*default)),
        Value::String(text) => TEXTS.contains(&(key, text)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The API server writes `1024Mi` down as `1Gi`.
fn same_quantity(found: &Value, rendered: &Value) -> bool {
    found == rendered || quantity(found).is_some_and(|amount| Some(amount) == quantity(rendered))
}
