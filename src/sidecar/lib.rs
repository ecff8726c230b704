//! What runs beside agents: [`broker`] holds a pod's Google credential, [`exec`] those of integrations, both in the
//! agent's place. The verbs are the same in `vertex-injector` and in `vertex-injector-sidecar`, the small program that
//! stands in pods.

pub mod broker;
mod copy;
pub mod doctor;
mod ending;
pub mod exec;
mod flags;
mod probe;
mod variables;
mod verbs;

pub use ending::{Ending, exit_code};
pub use verbs::Verb;
