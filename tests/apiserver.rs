//! The product around a real kube-apiserver: the chart installed by Helm, the webhook started as the
//! chart's notes say, and what kubectl then does to pods.
//!
//! A pod's injection is shown as the difference to the same pod in a namespace that has not opted
//! in, so every list of changes below is complete: whatever is not in it is as it was.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "apiserver/again.rs"]
mod again;
#[path = "apiserver/brokers.rs"]
mod brokers;
#[path = "apiserver/difference.rs"]
mod difference;
#[path = "apiserver/failure.rs"]
mod failure;
#[path = "apiserver/guard.rs"]
mod guard;
#[path = "apiserver/pods.rs"]
mod pods;
#[path = "apiserver/policies.rs"]
mod policies;
#[path = "apiserver/selection.rs"]
mod selection;
#[path = "apiserver/sidecars.rs"]
mod sidecars;
mod support;
#[path = "apiserver/systems.rs"]
mod systems;
#[path = "apiserver/webhook.rs"]
mod webhook;
#[path = "apiserver/world.rs"]
mod world;
