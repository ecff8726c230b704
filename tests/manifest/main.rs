//! Manifests are read as kubectl reads them and written so that it reads the same again.
#![cfg(test)]

mod directories;
mod errors;
mod pods;
mod reading;
mod writing;

use serde_json::Value;
use vertex_injector_core::manifest::{ManifestError, documents, parse};

fn one(text: &str) -> Value {
    let mut all = documents(text).unwrap();
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn problem(text: &str) -> ManifestError {
    parse("in.yaml", text).expect_err(text)
}

/// What a person would see.
fn told(text: &str) -> String {
    problem(text).to_string()
}
