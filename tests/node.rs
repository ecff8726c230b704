//! The whole product on a real node: our image, the chart, two replicas behind their Service, and the systems' pods, run
//! to their end by a real kubelet. What is in them then goes to Google's real clients.
//!
//! Needs root and what `hack/kube/packages` installs.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test, helpers included, fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "no runtime here that a sleep would block")]

#[path = "node/agent.rs"]
mod agent;
#[path = "node/broker/away.rs"]
mod broker_away;
#[path = "node/broker/ends.rs"]
mod broker_ends;
#[path = "node/broker/modes.rs"]
mod broker_modes;
#[path = "node/broker/pods.rs"]
mod broker_pods;
#[path = "node/broker/rotation.rs"]
mod broker_rotation;
#[path = "node/broker/world.rs"]
mod broker_world;
#[path = "node/container.rs"]
mod container;
#[path = "node/credentials.rs"]
mod credentials;
#[path = "node/disruption.rs"]
mod disruption;
#[path = "node/fake_google.rs"]
mod fake_google;
#[path = "node/installed.rs"]
mod installed;
mod support;
#[path = "node/systems.rs"]
mod systems;
#[path = "node/token.rs"]
mod token;
#[path = "node/users.rs"]
mod users;
