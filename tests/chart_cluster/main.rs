//! The chart in a real kube-apiserver: what it installs works, guards, refuses and lets pass as it says.
#![cfg(test)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::string_slice,
    reason = "JSON is handed over as it is written"
)]

mod guard;
mod install;
mod judge;
mod life;
mod release;
mod rules;
mod schema;
mod selection;
mod vocabulary;
mod whole;
