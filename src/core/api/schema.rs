//! The structural schema's checks without an API server: unknown fields, types, bounds, patterns, all at once.
//!
//! The schema is the one in the CustomResourceDefinitions, so both can only agree. Its CEL rules are checked in
//! [`super::validate`].

mod definitions;
mod forms;
mod node;
mod shown;
mod unknown;
mod walk;

use super::FieldErrors;
use crate::names::{GROUP, VERSION};
use serde_json::Value;
use walk::Walk;

pub(crate) use shown::type_name;

/// Most errors that are reported of one policy.
pub const MAX_ERRORS: usize = 50;

/// The fields of an object's spec that this version does not know, by their paths.
pub(crate) fn unknown_fields(object: &Value) -> Vec<String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let spec = { definitions::of(kind).ok() }.and_then(|node| node.properties.get("spec"));
    match (spec, object.get("spec")) {
        (Some(node), Some(value)) => unknown::fields(node, value, MAX_ERRORS),
        (None | Some(_), _) => Vec::new(),
    }
}

/// Checks a policy object (whole, with `apiVersion`, `kind`, `metadata`, `spec`) as the API server does, and collects
/// every error with its path, at most [`MAX_ERRORS`].
///
/// Field names and short values appear in the problems; the values of environment variables, arguments and whatever
/// looks like a credential do not.
///
/// # Errors
/// Everything that the API server would refuse by the schema of the object's kind.
pub fn check(object: &Value) -> Result<(), FieldErrors> {
    let mut walk = Walk::new(MAX_ERRORS);
    let version = format!("{GROUP}/{VERSION}");
    if object.get("apiVersion").and_then(Value::as_str) != Some(&version) {
        walk.error_at("apiVersion", format!("must be {version}"));
    }
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    match definitions::of(kind) {
        Ok(node) => walk.value(node, object),
        Err(problem) => walk.error_at("kind", problem),
    }
    walk.finish()
}
