//! How names and values of a policy appear in problems: briefly, and never what might be a secret.

use serde_json::Value;

/// Longest part of a name or value that is shown, in characters.
const MAX_SHOWN: usize = 64;

/// Fields whose values are shown in no problem, because people put secrets there.
const HIDDEN: [&str; 3] = ["value", "args", "command"];

/// How well-known credentials begin.
const CREDENTIALS: [&str; 14] = [
    "-----BEGIN",
    "AIza",
    "AQ.",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "sk-",
    "xox",
    "ya29.",
    "{",
];

/// A value in a problem about the field at `path`: a short scalar is quoted, anything else only described.
pub(super) fn shown(value: &Value, path: &str) -> String {
    match value {
        Value::String(text) if may_show(text, path) => shortened(text),
        Value::Bool(_) | Value::Number(_) if !hidden(path) => value.to_string(),
        _ => "this value".to_owned(),
    }
}

/// A name that a person chose, such as that of an unknown field.
pub(super) fn shown_key(key: &str) -> String {
    let shown: String = key.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if key.chars().count() > MAX_SHOWN {
        shown + "…"
    } else {
        shown
    }
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(name: &str, valid: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    valid
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `a string`, `a list`: what a value is, without saying what it holds.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn may_show(text: &str, path: &str) -> bool {
    !hidden(path)
        && !text.contains(char::is_control)
        && !CREDENTIALS.iter().any(|start| text.trim_start().starts_with(start))
}

fn hidden(path: &str) -> bool {
    // `spec.sidecars[0].args[3]` belongs to `args`.
    let field = path.rsplit('.').next().unwrap_or_default();
    let field = field.split('[').next().unwrap_or_default();
    HIDDEN.contains(&field)
}

fn shortened(text: &str) -> String {
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    if text.chars().count() > MAX_SHOWN {
        format!("{shown:?}…")
    } else {
        format!("{shown:?}")
    }
}
