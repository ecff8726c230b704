//! One pod on its way through the webhook.

use crate::view::Injected;
use crate::{World, api_server, invariants};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::Patch;
use serde_json::Value;
use vertex_injector_core::admission::{Decision, Outcome, Reason, review};

/// A pod, the answer about it, and what it became.
#[derive(Debug)]
pub struct Admission {
    /// The pod as it was sent.
    pub before: Value,
    /// The decision behind the answer.
    pub decision: Decision,
    /// `response` of the AdmissionReview that the webhook answered with.
    pub response: Value,
    /// The patch in it, decoded; empty when there is none.
    pub patch: Patch,
    /// The pod with the patch.
    pub after: Value,
}

impl World {
    /// Sends a pod of the namespace `team` to the webhook and checks everything that is true of every answer: for the
    /// pod as it is written, and for the pod as the API server completes it.
    #[track_caller]
    pub fn admit(&self, pod: &Value) -> Admission {
        self.admit_in("team", pod)
    }

    /// The same in another namespace.
    #[track_caller]
    pub fn admit_in(&self, namespace: &str, pod: &Value) -> Admission {
        let admission = self.ask(namespace, pod);
        invariants::check(self, namespace, &admission);
        admission
    }

    /// The pod as the API server stores it: completed, sent to the webhook, completed again, and, because plugins
    /// changed it after the webhook (`reinvocationPolicy: IfNeeded`), sent again.
    #[track_caller]
    pub fn create(&self, namespace: &str, pod: &Value) -> Result<Value, String> {
        let mut pod = pod.clone();
        for _ in 0..2 {
            api_server::fill_in(&mut pod);
            let admission = self.ask(namespace, &pod);
            if admission.decision.outcome == Outcome::Denied {
                return Err(admission.decision.message);
            }
            pod = admission.after;
        }
        Ok(pod)
    }

    /// One question and its answer, checked for form only.
    #[track_caller]
    pub fn ask(&self, namespace: &str, pod: &Value) -> Admission {
        let answered = review(&api_server::review(pod, namespace, false), &self.policies).expect("a good review");
        let mut answer: Value = serde_json::from_slice(&answered.response).expect("JSON");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = answer["response"].take();
        let patch = decode_patch(&response);
        assert_eq!(patch.0, answered.decision.patch, "the response carries another patch");
        let mut after = pod.clone();
        json_patch::patch(&mut after, &patch).expect("the patch fits the pod");
        Admission {
            before: pod.clone(),
            decision: answered.decision,
            response,
            patch,
            after,
        }
    }
}

impl Admission {
    /// The injected pod.
    #[track_caller]
    pub fn injected(&self) -> Injected<'_> {
        let Decision {
            outcome,
            reason,
            message,
            ..
        } = &self.decision;
        assert_eq!(*outcome, Outcome::Injected, "{reason}: {message}");
        Injected::new(&self.before, &self.after)
    }

    /// The first warning with these words.
    #[track_caller]
    pub fn warning(&self, words: &str) -> &str {
        let warnings = &self.decision.warnings;
        let found = warnings.iter().find(|warning| warning.contains(words));
        found.unwrap_or_else(|| panic!("{words} is in none of {warnings:?}"))
    }

    /// Why the pod was left alone.
    #[track_caller]
    pub fn skipped(&self, reason: Reason) -> &str {
        let decision = &self.decision;
        assert_eq!(
            (decision.outcome, decision.reason),
            (Outcome::Skipped, reason),
            "{}",
            decision.message
        );
        &decision.message
    }

    /// What the person is told whose pod was refused.
    #[track_caller]
    pub fn denied(&self, reason: Reason) -> &str {
        let decision = &self.decision;
        assert_eq!(
            (decision.outcome, decision.reason),
            (Outcome::Denied, reason),
            "{}",
            decision.message
        );
        assert_eq!(self.response["allowed"], false);
        self.response["status"]["message"].as_str().expect("a message")
    }

    /// Asserts that the answer changes nothing, but for the mark of a pod that a policy selects and leaves alone.
    #[track_caller]
    pub fn changes_nothing(&self) -> &Self {
        let Decision {
            outcome,
            policy,
            reason,
            ..
        } = &self.decision;
        let mut expected = self.before.clone();
        if *outcome == Outcome::Skipped && policy.is_some() {
            expected["metadata"]["annotations"]["vertex-injector.dev/skipped"] = reason.to_string().into();
        }
        assert_eq!(self.after, expected, "{}", self.decision.message);
        self
    }
}

/// The patch of a response, as the API server reads it.
#[track_caller]
fn decode_patch(response: &Value) -> Patch {
    let Some(patch) = response.get("patch") else {
        assert!(response.get("patchType").is_none(), "a patchType without a patch");
        return Patch(Vec::new());
    };
    assert_eq!(response["patchType"], "JSONPatch");
    assert_eq!(response["allowed"], true, "a patch of a refused pod");
    let bytes = BASE64_STANDARD.decode(patch.as_str().expect("base64")).expect("base64");
    let patch: Patch = serde_json::from_slice(&bytes).expect("a JSON Patch");
    assert!(!patch.0.is_empty(), "an empty patch");
    patch
}
