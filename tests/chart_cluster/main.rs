//! The chart in a real kube-apiserver: what it installs works, guards, refuses and lets pass as it says.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::string_slice,
    reason = "a test, helpers included, fails by panicking; JSON is handed over as it is written"
)]

mod guard;
mod install;
mod judge;
mod life;
mod release;
mod rules;
mod schema;
mod selection;
#[path = "../support/mod.rs"]
mod support;
mod vocabulary;
mod whole;
