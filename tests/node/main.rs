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

mod agent;
mod broker;
mod container;
mod credentials;
mod disruption;
mod fake_google;
mod installed;
#[path = "../support/mod.rs"]
mod support;
mod systems;
mod token;
mod users;
