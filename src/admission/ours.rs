//! Whether a piece of the pod under one of our names is our own rendering.
//!
//! Other admission plugins add to our pieces: defaults, resources, a uid, SELinux options, mounts, variables of other
//! names. So a piece is ours when every field that we render is there with our value, and lists that would change its
//! meaning have nothing more.

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

/// A resource quantity in thousandths, so that `0.1` and `100m` are equal.
pub(super) fn quantity(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let scale: i128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        "Pi" => 1_000 << 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = fraction.get(..fraction.len().min(9))?;
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.get(..whole.len().min(15))?.parse().ok()?
    };
    let part: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let unit = 10_i128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / unit)
}
