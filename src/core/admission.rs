//! The decision: bytes of a review → pod → policy → plan → patch. Pure: no async, no clock, no client, no global.
//!
//! The webhook and the command line are two callers of the same functions: [`review`] takes an AdmissionReview,
//! [`decide`] a pod. Both end in one [`Decision`], which everything else (response, log, metrics, `explain`) only shows.
//!
//! Read in this order: `envelope` and `review` (bytes in and out), `pod` (the lean view) and `bounds` (how much of it), `stored`, `set` and
//! `policy` (which policy), `decide` (the whole), `select` and `agent` (which containers), `earlier` (what an injection before
//! wrote), `node` (on which nodes), `sent` (whether the webhook is asked at all), `recognise` and `gate` (what is left alone),
//! `ports` (where ours listen), `plan` with `settings` and `sidecar` (the units), `injected_container` (what our containers have
//! in common), `limits` (what a proxy would refuse), `resulting`, `isolation`, `guarded` and `baseline` (the pod as it will be,
//! and what a broker must not meet in it), `draft` and `finding` (what all of them want and note), `rendering` and `patch` (what
//! is there already, and how the rest is written).

mod agent;
mod baseline;
pub(crate) mod bounds;
mod by_name;
mod compiler;
mod decide;
mod decision;
mod draft;
mod earlier;
mod env;
pub(crate) mod envelope;
mod explain;
mod finding;
mod gate;
mod guarded;
mod injected_container;
mod isolation;
mod limits;
mod node;
mod object;
mod patch;
mod plan;
mod pod;
mod policy;
mod ports;
mod proxies;
mod recognise;
mod rendering;
mod resulting;
mod review;
mod security;
mod select;
mod sent;
mod set;
mod settings;
mod sidecar;
mod stored;
mod text;

pub use crate::operator::{AgentSelector, Operator};
pub use crate::policy::{GkeBinding, Needed};
pub use compiler::Compiler;
pub use decide::decide;
pub use decision::{Change, Decision, Outcome, Reason, Unit, UnitState};
pub use env::references;
pub use envelope::BadReview;
pub use finding::{Class, Finding};
pub use pod::{Owner, Pod};
pub use policy::{Compiled, Policy, PolicyName, PolicyObject};
pub use rendering::is_rendered_as;
pub use review::{Review, review};
pub use sent::{NotSent, not_sent};
pub use set::{Labels, Namespaces, PolicySet};
