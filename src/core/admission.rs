//! The decision: bytes of a review → pod → policy → plan → patch. Pure: no async, no clock, no client, no global.
//!
//! The webhook and the command line are two callers of the same functions: [`review`] takes an AdmissionReview,
//! [`decide`] a pod. Both end in one [`Decision`], which everything else (response, log, metrics, `explain`) only shows.
//!
//! Read in this order: `review` (the envelope), `pod` (the lean view), `set` and `policy` (which policy), `decide` (the
//! whole), `select` (which containers), `recognise` and `gate` (what is left alone), `plan` with `settings`, `broker` and
//! `sidecar` (the units), `native` (what our containers have in common), `isolation` and `limits` (what a broker must not
//! meet), `draft` (what they want), `patch` (how it is written).

mod by_name;
mod compiler;
mod decide;
mod decision;
mod draft;
mod env;
mod explain;
mod finding;
mod gate;
mod isolation;
mod limits;
mod native;
mod object;
mod ours;
mod patch;
mod plan;
mod pod;
mod policy;
mod ports;
mod proxies;
mod recognise;
mod resulting;
mod review;
mod select;
mod set;
mod settings;
mod sidecar;

pub use crate::operator::{AgentSelector, Operator};
pub use crate::policy::{GkeBinding, Needed};
pub use compiler::Compiler;
pub use decide::decide;
pub use decision::{Change, Decision, Outcome, Reason, Unit, UnitState};
pub use finding::{Class, Finding};
pub use pod::Pod;
pub use policy::{Compiled, Policy, PolicyName, PolicyObject};
pub use review::{BadReview, Review, review};
pub use set::{Labels, Namespaces, PolicySet};
