//! What the acceptance checks and the design demand, asserted statement by statement on the patched pod. A snapshot
//! alone can be wrong in silence; these cannot.
//!
//! Every pod goes through [`World::admit`](support::cases::World::admit), which also asserts what is true of every
//! answer: idempotent, deterministic, minimal, valid, the same as the API server sends it. Checks that need a cluster
//! have the part here that a patch can show.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking"
)]

mod ambient;
mod broker;
mod common;
mod conflicts;
mod credentials;
mod fracta;
mod identity;
mod isolation;
mod kartograph;
mod openshell;
mod pieces;
mod selection;
mod settings;
mod sidecars;
#[path = "../support/mod.rs"]
mod support;
