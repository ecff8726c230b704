//! How a pod that runs stands to the policies of today: the decision of a review, made about the pod as it is.

use crate::difference::difference;
use crate::fields::annotation;
use crate::world::World;
use serde::Serialize;
use serde_json::Value;
use vertex_injector_core::admission::{Decision, Labels, NotSent, Outcome, Pod, Reason, decide, not_sent};
use vertex_injector_core::names::POLICY_REF;

/// What today's policies say of a pod that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "standing")]
pub enum Standing {
    /// It has what they say.
    Current {
        /// The policy, and its generation today.
        policy: String,
    },
    /// It has something else.
    Outdated {
        /// The policy, and its generation today.
        policy: String,
        /// What would change, a line each.
        changes: Vec<String>,
    },
    /// It should have been injected, and was not.
    NotInjected {
        /// The policy, and its generation today.
        policy: String,
    },
    /// A policy selects it, and the API server never sends it to the webhook.
    NotSent {
        /// The policy, and its generation today.
        policy: String,
        /// Why.
        why: String,
    },
    /// It was injected, and today nothing would inject it.
    Orphaned {
        /// Why.
        why: String,
    },
    /// It would be refused.
    Refused {
        /// The policy, if one was found.
        policy: Option<String>,
        /// The code of the reason.
        reason: String,
        /// Why.
        why: String,
    },
    /// It is none of ours, or is left alone for a reason.
    LeftAlone {
        /// The code of the reason.
        reason: String,
        /// Why.
        why: String,
    },
}

/// The policy that selects a pod, and why the webhook is not asked about it all the same: no selector of the operator's sends it.
pub(crate) fn missed(pod: &Value, namespace: &str, world: &World) -> Option<(String, String)> {
    let bytes = pod.to_string();
    let pod = Pod::parse(bytes.as_bytes()).ok()?;
    match not_sent(&pod, namespace, world.namespaces.get(namespace), &world.operator)? {
        (NotSent::NoAgentSelector, why) => {
            let decision = decide(&pod, namespace, &world.set);
            let policy = decision.policy.filter(|_| decision.outcome != Outcome::Skipped)?;
            Some((policy, why))
        }
        (NotSent::NamespaceLeftOut | NotSent::NamespaceNotOptedIn, _) => None,
    }
}

/// A decision about a pod, and whether the webhook is asked at all.
pub(crate) fn decided(pod: &Value, namespace: &str, world: &World, labels: Option<&Labels>) -> Decision {
    let bytes = pod.to_string();
    match Pod::parse(bytes.as_bytes()) {
        Ok(pod) => match not_sent(&pod, namespace, labels, &world.operator) {
            Some((_, why)) => Decision::skipped(Reason::NotSelected, why),
            None => decide(&pod, namespace, &world.set),
        },
        Err(problem) => Decision::denied(Reason::MalformedPod, Pod::problem_of(&problem)),
    }
}

/// The pod after a decision.
pub(crate) fn after(pod: &Value, decision: &Decision) -> Value {
    let mut after = pod.clone();
    match json_patch::patch(&mut after, &decision.patch) {
        Ok(()) => after,
        // What does not fit changes nothing.
        Err(_) => pod.clone(),
    }
}

/// How a pod stands.
pub fn of(pod: &Value, namespace: &str, world: &World) -> Standing {
    let decision = decided(pod, namespace, world, world.namespaces.get(namespace));
    let was_injected = injected_by(pod).is_some();
    let Decision {
        outcome,
        reason,
        message,
        policy,
        ..
    } = &decision;
    match outcome {
        Outcome::Denied => Standing::Refused {
            policy: policy.clone(),
            reason: reason.to_string(),
            why: message.clone(),
        },
        Outcome::Skipped if was_injected => Standing::Orphaned { why: message.clone() },
        Outcome::Skipped => match missed(pod, namespace, world) {
            Some((policy, why)) => Standing::NotSent { policy, why },
            None => Standing::LeftAlone {
                reason: reason.to_string(),
                why: message.clone(),
            },
        },
        Outcome::Injected => {
            let policy = policy.clone().unwrap_or_default();
            match reason {
                Reason::AlreadyInjected => Standing::Current { policy },
                _ if !was_injected => Standing::NotInjected { policy },
                _ => Standing::Outdated {
                    policy,
                    changes: difference(pod, &after(pod, &decision)),
                },
            }
        }
    }
}

/// The policy that has injected a pod, with its generation.
pub fn injected_by(pod: &Value) -> Option<&str> {
    annotation(pod, POLICY_REF)
}

/// Whether a pod runs or will: neither finished nor about to go.
pub fn runs(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed") && pod.pointer("/metadata/deletionTimestamp").is_none()
}
