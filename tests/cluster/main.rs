//! The clusters of `hack/kube` do what the other tests rely on, and nothing of them outlives its
//! test, whatever happens to the test.
//!
//! A control plane needs Go for the first build; a node also root and `hack/kube/packages`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on ends"
)]

mod control_plane;
mod leftovers;
mod node;
#[path = "../support/mod.rs"]
mod support;
mod traces;
