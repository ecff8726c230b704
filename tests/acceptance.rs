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

#[path = "acceptance/ambient.rs"]
mod ambient;
#[path = "acceptance/broker.rs"]
mod broker;
#[path = "acceptance/common.rs"]
mod common;
#[path = "acceptance/conflicts.rs"]
mod conflicts;
#[path = "acceptance/credentials.rs"]
mod credentials;
#[path = "acceptance/fracta.rs"]
mod fracta;
#[path = "acceptance/identity.rs"]
mod identity;
#[path = "acceptance/isolation.rs"]
mod isolation;
#[path = "acceptance/kartograph.rs"]
mod kartograph;
#[path = "acceptance/openshell.rs"]
mod openshell;
#[path = "acceptance/pieces.rs"]
mod pieces;
#[path = "acceptance/selection.rs"]
mod selection;
#[path = "acceptance/settings.rs"]
mod settings;
#[path = "acceptance/sidecars.rs"]
mod sidecars;
mod support;
