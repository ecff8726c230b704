//! A policy as the API server sends it. One that this version cannot read must not stop a list or a watch, so every object
//! is decoded by itself, as kube's `DeserializeGuard` does; unlike there, the error names the field.

use kube::api::DynamicObject;
use serde::de::DeserializeOwned;

/// Decodes a policy.
///
/// # Errors
/// The field that this version does not understand, and why.
pub(crate) fn decode<T: DeserializeOwned>(mut object: DynamicObject) -> Result<T, String> {
    object.metadata.managed_fields = None;
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "" | "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })
}
