//! A text of YAML or JSON, read into its objects.

use super::document::{Document, ManifestError, Place};
use super::problem::Problem;
use super::yaml::MAX_VALUES;
use super::{json, yaml};
use crate::api::schema::type_name;
use serde_json::Value;
use std::sync::Arc;
use std::thread;

/// Stack of the thread that reads, enough for the deepest YAML in an unoptimised build.
const STACK_BYTES: usize = 16 << 20;

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

/// How many maps, lists and scalars a value consists of.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(entries) => entries.values().map(size).sum(),
        _ => 0,
    }
}
