//! The review of a pod: the decision about it in an AdmissionReview.

use super::decision::{Decision, Outcome, Reason};
use super::envelope::{self, Answer, Audit, BadReview, Denial, Request};
use super::pod::{Owner, Pod};
use super::{PolicySet, decide};

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
    /// Who made the pod, when the decision is [for it](Decision::concerns_owner).
    pub owner: Option<Owner>,
    /// The decision that the response shows.
    pub decision: Decision,
    /// Whether a fresh list of policies or namespaces could change the decision: the policy or the namespace is
    /// missing from the set. The caller may list once, live, and ask again.
    pub stale: bool,
    /// The response, an `admission.k8s.io/v1` AdmissionReview in JSON.
    pub response: Vec<u8>,
}

/// Answers one AdmissionReview.
///
/// # Errors
/// When the body is no AdmissionReview of `admission.k8s.io/v1` with a request and a uid. A malformed pod is no error
/// but a denial, because the envelope can be answered.
pub fn review(body: &[u8], policies: &PolicySet) -> Result<Review, BadReview> {
    let request = envelope::read(body)?;
    let mut pod_name = request.name.as_deref().unwrap_or_default().to_owned();
    let mut stale = false;
    let mut owner = None;
    let decision = match pod(&request) {
        Ok(None) => Decision::skipped(Reason::NotSelected, "not the creation of a pod"),
        Err(problem) => Decision::denied(Reason::MalformedPod, problem),
        Ok(Some(pod)) => {
            if pod_name.is_empty() {
                pod_name = pod.display_name();
            }
            let decision = decide(&pod, &request.namespace, policies);
            stale = policies.misses_namespace(&request.namespace)
                || matches!(decision.reason, Reason::NoPolicy | Reason::PolicyNotFound);
            if decision.concerns_owner() {
                owner = pod.owner();
            }
            decision
        }
    };
    Ok(Review {
        response: respond(&request.uid, &decision),
        uid: request.uid.0.into_owned(),
        namespace: request.namespace.0.into_owned(),
        pod: pod_name,
        dry_run: request.dry_run,
        owner,
        decision,
        stale,
    })
}

/// The pod that is to be created; none when the review is about something else.
fn pod<'a>(request: &Request<'a>) -> Result<Option<Pod<'a>>, String> {
    let Some(object) = request.object("", &["Pod"], &["CREATE"])? else {
        return Ok(None);
    };
    Pod::parse(object.get().as_bytes())
        .map(Some)
        .map_err(|problem| format!("the pod cannot be read: {problem}"))
}

fn respond(uid: &str, decision: &Decision) -> Vec<u8> {
    let (code, reason) = match decision.reason {
        Reason::MalformedPod => (400, "BadRequest"),
        _ => (403, "Forbidden"),
    };
    let answer = Answer {
        denial: (decision.outcome == Outcome::Denied).then_some(Denial {
            code,
            reason,
            message: &decision.message,
        }),
        patch: &decision.patch,
        warnings: &decision.warnings,
        audit: Audit {
            outcome: decision.outcome.to_string(),
            reason: Some(decision.reason.to_string()),
            policy: decision.policy.as_deref(),
        },
    };
    envelope::write(uid, answer)
}
