//! What the acceptance checks and the design demand, asserted statement by statement on the patched pod. A snapshot
//! alone can be wrong in silence; these cannot.
//!
//! Every pod goes through [`World::admit`](support::World::admit), which also asserts what is true of every
//! answer: idempotent, deterministic, minimal, valid, the same as the API server sends it. Checks that need a cluster
//! have the part here that a patch can show.
#![cfg(test)]

mod ambient;
mod baseline;
mod broker;
mod broker_routes;
mod cases;
mod collisions;
mod common;
mod conflicts;
mod credentials;
mod exchange;
mod fracta;
mod identity;
mod isolation;
mod kartograph;
mod openshell;
mod our_names;
mod pieces;
mod real_pods;
mod selection;
mod settings;
mod sidecars;
mod skips;
mod trust;
mod versions;
