//! The operator's settings, the file that `--config` names.

use super::document::{Document, ManifestError};
use super::parse::parse;
use super::source::read;
use crate::admission::Operator;
use std::path::Path;

/// Reads the operator's settings; an empty file means the defaults.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has a field that does not exist or cannot be used.
pub fn operator(path: &Path) -> Result<Operator, Vec<ManifestError>> {
    of_documents(read(path)?)
}

/// The same of a text that is no file, as the ConfigMap of a release holds it; `input` names it in errors.
///
/// # Errors
/// As for a file.
pub fn operator_text(input: &str, text: &str) -> Result<Operator, Vec<ManifestError>> {
    of_documents(parse(input, text).map_err(|error| vec![error])?)
}

fn of_documents(documents: Vec<Document>) -> Result<Operator, Vec<ManifestError>> {
    let mut documents = documents.into_iter();
    let Some(document) = documents.next() else {
        return Ok(Operator::default());
    };
    let refuse = |problem: String| {
        vec![ManifestError {
            input: document.place.input.clone(),
            document: None,
            line: None,
            problem,
        }]
    };
    if documents.next().is_some() {
        return Err(refuse("more than one document".to_owned()));
    }
    serde_path_to_error::deserialize(&document.value).map_err(|error| {
        let message = error.inner().to_string();
        // `unknown field …` and `missing field …` name fields; the others quote the value in front of this.
        let problem = match message.rsplit_once(", expected ") {
            Some((problem, expected)) if !problem.starts_with("unknown field") => format!("must be {expected}"),
            _ => message,
        };
        refuse(format!("{}: {problem}", error.path()))
    })
}
