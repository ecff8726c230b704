//! Names of a review as they are logged.

/// Names are cut here: Kubernetes allows no longer ones, but a review need not come from Kubernetes.
const MAX: usize = 253;

/// The name, or its beginning.
pub(crate) fn name(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX)).unwrap_or_default()
}
