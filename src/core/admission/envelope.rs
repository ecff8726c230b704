//! The envelope of every AdmissionReview: lean request, own response.
//!
//! The response is our own type because kube's writes the patch as an array of numbers where the API documents base64
//! (kube-rs#1781).

use super::explain::explain;
use super::object::only_from_objects;
use super::pod::{Text, or_default};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::PatchOperation;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A body that is no AdmissionReview that we can answer; HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadReview(pub String);

/// What is asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(crate) struct Request<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(crate) uid: Text<'a>,
    #[serde(borrow, default)]
    kind: Option<GroupKind<'a>>,
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(crate) namespace: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) dry_run: bool,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

/// What is answered.
pub(crate) struct Answer<'d, W> {
    /// Why not, if it is refused.
    pub(crate) denial: Option<Denial<'d>>,
    /// What is changed.
    pub(crate) patch: &'d [PatchOperation],
    /// What kubectl shows beside the result.
    pub(crate) warnings: &'d [W],
    /// For the auditor.
    pub(crate) audit: Audit<'d>,
}

/// The `status` of a refusal.
#[derive(Serialize)]
pub(crate) struct Denial<'d> {
    /// The HTTP status that the API server gives its client.
    pub(crate) code: u16,
    /// Kubernetes' word for it.
    pub(crate) reason: &'static str,
    /// For the person.
    pub(crate) message: &'d str,
}

/// Annotations of the audit event.
#[derive(Default, Serialize)]
pub(crate) struct Audit<'d> {
    pub(crate) outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<&'d str>,
}

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Longest `uid`; Kubernetes' are UUIDs.
const MAX_UID: usize = 253;

/// Reads the request of a review.
///
/// # Errors
/// When the body is no AdmissionReview of `admission.k8s.io/v1` with a request and a uid.
pub(crate) fn read(body: &[u8]) -> Result<Request<'_>, BadReview> {
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
    // The answer repeats it.
    if request.uid.len() > MAX_UID {
        return Err(BadReview(format!(
            "the uid of the AdmissionReview's request has more than {MAX_UID} characters"
        )));
    }
    Ok(request)
}

impl<'a> Request<'a> {
    /// The object, when the review is about one of these kinds itself and one of these operations; what a review does not
    /// say counts as said.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn object(
        &self,
        group: &str,
        kinds: &[&str],
        operations: &[&str],
    ) -> Result<Option<&'a RawValue>, String> {
        let other_kind = self
            .kind
            .as_ref()
            .is_some_and(|kind| &*kind.group != group || !kinds.contains(&&*kind.kind));
        let other_operation = self
            .operation
            .as_deref()
            .is_some_and(|operation| !operations.contains(&operation));
        let sub_resource = self.sub_resource.as_deref().is_some_and(|sub| !sub.is_empty());
        if other_kind || other_operation || sub_resource {
            return Ok(None);
        }
        let object = self.object.filter(|object| object.get() != "null");
        object
            .map(Some)
            .ok_or_else(|| "the AdmissionReview's request has no object".to_owned())
    }
}

/// The response, an `admission.k8s.io/v1` AdmissionReview in JSON.
pub(crate) fn write<W: Serialize>(uid: &str, answer: Answer<'_, W>) -> Vec<u8> {
    let Answer {
        denial,
        patch,
        warnings,
        audit,
    } = answer;
    // The API server refuses a patch without a type and a type without a patch.
    let patch = (denial.is_none() && !patch.is_empty())
        .then(|| {
            serde_json::to_vec(patch)
                .map(|patch| BASE64_STANDARD.encode(patch))
                .ok()
        })
        .flatten();
    let review = Reviewed {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: denial.is_none(),
            status: denial,
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch,
            warnings,
            audit_annotations: audit,
        },
    };
    serde_json::to_vec(&review).unwrap_or_default()
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
#[serde(remote = "Self")]
struct GroupKind<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    group: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    kind: Text<'a>,
}

only_from_objects!(Envelope<'a>, Request<'a>, GroupKind<'a>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed<'d, W> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'d, W>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'d, W> {
    uid: &'d str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Denial<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'d [W],
    audit_annotations: Audit<'d>,
}
