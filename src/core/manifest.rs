//! Kubernetes objects as people keep them: files, directories and pipes of YAML and JSON.
//!
//! YAML is read as `kubectl` reads it (`0644` is octal, `yes` is true, a duplicate key is an error), and every object
//! remembers the text it came from, so that what is not changed can be handed on byte for byte. Errors say where and
//! what, never the content: a manifest may hold secrets.

mod document;
mod json;
mod makers;
mod operator;
mod parse;
pub mod policies;
mod problem;
mod source;
pub mod workload;
mod write;
mod yaml;

pub use document::{Document, ManifestError, Place};
pub use operator::{operator, operator_text};
pub use parse::{documents, each, parse};
pub use source::{MAX_FILES, MAX_INPUT_BYTES, manifests_in, read, read_stdin};
pub use write::{Written, json, yaml};
