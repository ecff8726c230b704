//! Objects written back: YAML that every reader understands alike, and JSON.

use super::document::Document;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};
use serde_saphyr::{LitStr, SingleQuoted};

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
    // Strings that a YAML 1.1 reader such as kubectl would take for something else are quoted by default.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut stream = String::new();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            stream.push_str("---\n");
        }
        match object.text() {
            Some(text) => stream.push_str(text),
            None => stream.push_str(&serde_saphyr::to_string_with_options(
                &Styled(object.object()),
                options.clone(),
            )?),
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

/// A value whose scripts are written as blocks, and whose JSON in single quotes.
struct Styled<'a>(&'a Value);

impl Serialize for Styled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_script(text) => LitStr(text).serialize(serializer),
            // JSON in a string, such as an annotation's, stays readable without backslashes.
            Value::String(text)
                if text.starts_with(['{', '[']) && text.contains('"') && text.chars().all(is_printable) =>
            {
                SingleQuoted(text.as_str()).serialize(serializer)
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Self(item))?;
                }
                list.end()
            }
            Value::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Styled(value))?;
                }
                map.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

/// Whether a text has several lines that every reader finds again in a block. Readers differ over white space at the
/// start of a block, over line ends and over what is not printable.
fn is_script(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with("\n\n")
        && text.chars().all(|c| matches!(c, '\n' | '\t') || is_printable(c))
        && text.lines().all(|line| !line.ends_with([' ', '\t']))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
