//! One object of an input, and where it stands.

use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// One object of an input.
#[derive(Debug, Clone)]
pub struct Document {
    /// The object, keys in the order of the input.
    pub value: Value,
    /// Where it came from.
    pub place: Place,
    /// Its YAML as it was written, without the document marker; none when it was JSON or shares its text with others.
    pub text: Option<String>,
}

/// Where an object came from. Shown as `FILE` or, beyond the first document, as `FILE (document N)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or `standard input`.
    pub input: Arc<str>,
    /// Which document of it, from 1.
    pub document: usize,
}

/// An input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The file, or `standard input`.
    pub input: Arc<str>,
    /// Which document, from 1; none when the input as a whole is unusable.
    pub document: Option<usize>,
    /// The line, from 1, if it is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

impl Document {
    /// `apiVersion`, or nothing.
    pub fn api_version(&self) -> &str {
        text(&self.value, "apiVersion")
    }

    /// `kind`, or nothing.
    pub fn kind(&self) -> &str {
        text(&self.value, "kind")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.input)?;
        if self.document > 1 {
            write!(f, " (document {})", self.document)?;
        }
        Ok(())
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.input)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(document) = self.document {
            write!(f, ": document {document}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ManifestError {}

/// An object's `metadata.name`, else `metadata.generateName` and `*`, else nothing.
pub(super) fn name_of(object: &Value) -> String {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    match (text(metadata, "name"), text(metadata, "generateName")) {
        ("", "") => String::new(),
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    }
}

/// A field that is a text, or nothing.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
