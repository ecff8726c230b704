//! The whole product on a real node: our image, the chart, two replicas behind their Service, and the systems' pods, run
//! to their end by a real kubelet. What is in them then goes to Google's real clients.
//!
//! Needs root and what `hack/kube/packages` installs.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "node/agent.rs"]
mod agent;
#[path = "node/disruption.rs"]
mod disruption;
#[path = "node/installed.rs"]
mod installed;
mod support;
#[path = "node/systems.rs"]
mod systems;
#[path = "node/token.rs"]
mod token;
#[path = "node/users.rs"]
mod users;
