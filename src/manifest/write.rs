//! Objects written back: YAML that every reader understands alike, and JSON.

use super::Document;
use serde_json::{Value, json};

/// What can be written: an object, with its text when that is still true.
pub trait Written {
    /// The object.
    fn object(&self) -> &Value;

    /// Its YAML as a person wrote it.
    fn text(&self) -> Option<&str> {
        None
    }
}

impl Written for Document {
    fn object(&self) -> &Value {
        &self.value
    }

    fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl Written for &Value {
    fn object(&self) -> &Value {
        self
    }
}

/// Writes objects as a YAML stream. One that still has its text ([`Document::text`]) keeps it, comments included; the
/// others keep the order of their keys.
///
/// # Errors
/// When a value cannot be written, which no value that was read can cause.
pub fn yaml(objects: &[impl Written]) -> anyhow::Result<String> {
    // Strings that a YAML 1.1 reader such as kubectl would take for something else are quoted by default. Long lines
    // are not folded: a folded text is hard to compare with its source.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut stream = String::new();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            stream.push_str("---\n");
        }
        match object.text() {
            Some(text) => stream.push_str(text),
            None => stream.push_str(&serde_saphyr::to_string_with_options(object.object(), options.clone())?),
        }
    }
    Ok(stream)
}

/// Writes one object as such and several as a `v1` `List`; the items of lists among them, not the lists.
///
/// # Errors
/// As [`yaml`].
pub fn json(objects: &[impl Written]) -> anyhow::Result<String> {
    let text = match objects {
        [only] => serde_json::to_string_pretty(only.object())?,
        several => serde_json::to_string_pretty(&list(several.iter().map(Written::object)))?,
    };
    Ok(text + "\n")
}

fn list<'a>(objects: impl Iterator<Item = &'a Value>) -> Value {
    let mut items = Vec::new();
    for object in objects {
        match object.get("items") {
            Some(Value::Array(inner)) if object.get("kind") == Some(&json!("List")) => items.extend(inner.iter()),
            _ => items.push(object),
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
