//! The decision: bytes of a review → pod → policy → plan → patch. Pure: no async, no clock, no client, no global.
//!
//! The webhook and the command line are two callers of the same functions: [`review`] takes an AdmissionReview,
//! [`decide`] a pod. Both end in one [`Decision`], which everything else (response, log, metrics, `explain`) only shows.

mod decision;
mod operator;
mod policy;
mod pod;
mod review;
mod set;

pub use decision::{Change, Decision, Needed, Outcome, Reason, Unit, UnitState};
pub use operator::{AgentSelector, Operator};
pub use policy::{GkeBinding, Policy, PolicyName, PolicyObject};
pub use pod::Pod;
pub use review::{BadReview, Review, review};
pub use set::{Namespaces, PolicySet};

/// Decides what happens to `pod`, which is or will be in `namespace`.
pub fn decide(pod: &Pod<'_>, namespace: &str, policies: &PolicySet) -> Decision {
    let _ = (pod, namespace, policies);
    Decision::skipped(Reason::NotSelected, "no policy selects this pod")
}
