//! The AdmissionReview envelope: lean request, own response.
//!
//! The response is our own type because kube's writes the patch as an array of numbers where the API documents base64
//! (kube-rs#1781).

use super::decision::{Decision, Outcome, Reason};
use super::explain::explain;
use super::finding::Finding;
use super::object::only_from_objects;
use super::pod::{Pod, Text, or_default};
use super::{PolicySet, decide};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Answers one AdmissionReview.
///
/// # Errors
/// When the body is no AdmissionReview of `admission.k8s.io/v1` with a request and a uid. A malformed pod is no error
/// but a denial, because the envelope can be answered.
pub fn review(body: &[u8], policies: &PolicySet) -> Result<Review, BadReview> {
    let refuse = |problem: String| BadReview(format!("body is not an AdmissionReview: {problem}"));
    // The whole body, because serde skips over strings that nobody reads.
    let text =
        std::str::from_utf8(body).map_err(|error| refuse(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| refuse(explain::<Envelope<'_>>(body, "")))?;
    if (&*envelope.api_version, &*envelope.kind) != (API_VERSION, KIND) {
        return Err(BadReview(format!(
            "body is not an AdmissionReview of {API_VERSION}: check apiVersion and kind"
        )));
    }
    let request = envelope
        .request
        .ok_or_else(|| BadReview("the AdmissionReview has no request".to_owned()))?;
    if request.uid.is_empty() {
        return Err(BadReview("the AdmissionReview's request has no uid".to_owned()));
    }
    let mut pod_name = request.name.as_deref().unwrap_or_default().to_owned();
    let mut stale = false;
    let decision = match request.pod() {
        Ok(None) => Decision::skipped(Reason::NotSelected, "not the creation of a pod"),
        Err(problem) => Decision::denied(Reason::MalformedPod, problem),
        Ok(Some(pod)) => {
            if pod_name.is_empty() {
                pod_name = pod.display_name();
            }
            let decision = decide(&pod, &request.namespace, policies);
            stale = policies.misses_namespace(&request.namespace)
                || matches!(decision.reason, Reason::NoPolicy | Reason::PolicyNotFound);
            decision
        }
    };
    Ok(Review {
        response: respond(&request.uid, &decision),
        uid: request.uid.0.into_owned(),
        namespace: request.namespace.0.into_owned(),
        pod: pod_name,
        dry_run: request.dry_run,
        decision,
        stale,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    api_version: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Request<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    uid: Text<'a>,
    #[serde(borrow, default)]
    kind: Option<GroupKind<'a>>,
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    namespace: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    dry_run: bool,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct GroupKind<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    group: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    kind: Text<'a>,
}

only_from_objects!(Envelope<'a>, Request<'a>, GroupKind<'a>);

impl<'a> Request<'a> {
    /// The pod that is to be created; none when the review is about something else.
    fn pod(&self) -> Result<Option<Pod<'a>>, String> {
        let other_kind = self
            .kind
            .as_ref()
            .is_some_and(|kind| (&*kind.group, &*kind.kind) != ("", "Pod"));
        let other_operation = self.operation.as_deref().is_some_and(|operation| operation != "CREATE");
        let sub_resource = self.sub_resource.as_deref().is_some_and(|sub| !sub.is_empty());
        if other_kind || other_operation || sub_resource {
            return Ok(None);
        }
        let object = self.object.filter(|object| object.get() != "null");
        let object = object.ok_or_else(|| "the AdmissionReview's request has no object".to_owned())?;
        Pod::parse(object.get().as_bytes())
            .map(Some)
            .map_err(|problem| format!("the pod cannot be read: {problem}"))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'d> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'d>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'d> {
    uid: &'d str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'d [Finding],
    audit_annotations: Audit<'d>,
}

#[derive(Serialize)]
struct Status<'d> {
    code: u16,
    reason: &'static str,
    message: &'d str,
}

#[derive(Serialize)]
struct Audit<'d> {
    outcome: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'d str>,
}

fn respond(uid: &str, decision: &Decision) -> Vec<u8> {
    let denied = decision.outcome == Outcome::Denied;
    let (code, reason) = match decision.reason {
        Reason::MalformedPod => (400, "BadRequest"),
        _ => (403, "Forbidden"),
    };
    // The API server refuses a patch without a type and a type without a patch.
    let patch = (!denied && !decision.patch.is_empty())
        .then(|| {
            serde_json::to_vec(&decision.patch)
                .map(|patch| BASE64_STANDARD.encode(patch))
                .ok()
        })
        .flatten();
    let answer = Answer {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: !denied,
            status: denied.then_some(Status {
                code,
                reason,
                message: &decision.message,
            }),
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch,
            warnings: &decision.warnings,
            audit_annotations: Audit {
                outcome: decision.outcome.to_string(),
                reason: decision.reason.to_string(),
                policy: decision.policy.as_deref(),
            },
        },
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}
