//! Kubernetes objects as people keep them: files, directories and pipes of YAML and JSON.
//!
//! YAML is read as `kubectl` reads it (`0644` is octal, `yes` is true, a duplicate key is an error), and every object
//! remembers the text it came from, so that what is not changed can be handed on byte for byte. Errors say where and
//! what, never the content: a manifest may hold secrets.

mod json;
mod operator;
pub mod policies;
mod source;
pub mod workload;
mod write;
mod yaml;

use crate::api::schema::type_name;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::thread;

pub use operator::operator;
pub use source::{read, read_stdin};
pub use write::{Written, json, yaml};

/// Most bytes that one input may have.
pub const MAX_INPUT_BYTES: u64 = 32 << 20;

/// Most files of one directory that are read.
pub const MAX_FILES: usize = 1024;

/// Deepest nesting of maps and lists in YAML. (In JSON it is that of serde_json, 127.)
const MAX_DEPTH: usize = 100;

/// Stack of the thread that reads, enough for [`MAX_DEPTH`] in an unoptimised build.
const STACK_BYTES: usize = 16 << 20;

/// Most maps, lists and scalars that one input may have once its aliases are expanded.
const MAX_VALUES: usize = 1_000_000;

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

/// Reads the objects of a YAML or JSON text.
///
/// # Errors
/// At the first document that is no YAML or JSON, is no object, is nested too deeply or has a key twice.
pub fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    Ok(parse("input", text)?
        .into_iter()
        .map(|document| document.value)
        .collect())
}

/// Reads the objects of a YAML or JSON text that is called `input` in errors.
///
/// # Errors
/// As [`documents`].
pub fn parse(input: &str, text: &str) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    each(input, text, |document| documents.push(document))?;
    Ok(documents)
}

/// Takes the objects of a YAML or JSON text one by one: all of them at once need ten times the text's memory.
///
/// # Errors
/// As [`documents`], when those before the unusable one are taken already.
pub fn each(input: &str, text: &str, take: impl FnMut(Document) + Send) -> Result<(), ManifestError> {
    let input: Arc<str> = input.into();
    let unread = |problem: &str| ManifestError {
        input: input.clone(),
        document: None,
        line: None,
        problem: problem.to_owned(),
    };
    // The YAML reader needs up to 20 KiB of stack for each level of nesting; the caller may have little.
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || read_chunks(&input, text, take))
            .map_err(|_| unread("cannot be read: the system allows no further thread"))?;
        reader.join().unwrap_or_else(|_| {
            Err(unread(
                "cannot be read: the reader panicked; this is a bug in vertex-injector",
            ))
        })
    })
}

fn read_chunks(input: &Arc<str>, text: &str, mut take: impl FnMut(Document)) -> Result<(), ManifestError> {
    let mut document = 0;
    let mut count = 0_usize;
    for chunk in yaml::chunks(text.trim_start_matches('\u{feff}')) {
        let refuse = |document: usize, line: Option<u64>, problem: String| ManifestError {
            input: input.clone(),
            document: Some(document),
            line: line.map(|line| line + chunk.line - 1),
            problem,
        };
        let values = read_chunk(chunk.text).map_err(|error| refuse(document + 1, error.line, error.problem))?;
        count += values.iter().map(size).sum::<usize>();
        if count > MAX_VALUES {
            let problem = format!("more than {MAX_VALUES} values in one input; divide it");
            return Err(refuse(document + 1, Some(1), problem));
        }
        let mut text = chunk
            .standing_alone()
            .filter(|text| values.len() == 1 && !json::looks_like(text));
        for value in values {
            document += 1;
            if !value.is_object() {
                let problem = format!(
                    "a Kubernetes object is a map with apiVersion and kind, this is {}",
                    type_name(&value)
                );
                return Err(refuse(document, Some(1), problem));
            }
            take(Document {
                value,
                place: Place {
                    input: input.clone(),
                    document,
                },
                text: text.take(),
            });
        }
    }
    Ok(())
}

fn read_chunk(text: &str) -> Result<Vec<Value>, Problem> {
    if !json::looks_like(text) {
        return yaml::objects(text);
    }
    // What only looks like JSON (`{a: 1}`) is YAML; what is wrong in both is told in the terms of JSON.
    match json::objects(text) {
        Err(in_json) if in_json.syntax => {
            yaml::objects(text).map_err(|in_yaml| if in_yaml.syntax { in_json } else { in_yaml })
        }
        result => result,
    }
}

/// What is wrong in one chunk of text.
struct Problem {
    line: Option<u64>,
    problem: String,
    /// Whether the text is not of this language at all, rather than forbidden in it.
    syntax: bool,
}

/// How many maps, lists and scalars a value consists of.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(entries) => entries.values().map(size).sum(),
        _ => 0,
    }
}

fn name_of(object: &Value) -> String {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    match (text(metadata, "name"), text(metadata, "generateName")) {
        ("", "") => String::new(),
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Names a key in an error when it looks like a name; anything else might be content at the wrong place.
fn shown_key(key: &str) -> String {
    let plain = key
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    if plain && (1..=64).contains(&key.len()) {
        format!(" {key:?}")
    } else {
        String::new()
    }
}
