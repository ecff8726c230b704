//! The whole product on a real node: our image, the chart, two replicas behind their Service, and the systems' pods, run
//! to their end by a real kubelet. What is in them then goes to Google's real clients.
//!
//! Needs root and what `hack/kube/packages` installs.
#![cfg(test)]

mod agent;
mod broker;
mod chart_test;
mod check;
mod container;
mod credentials;
mod disruption;
mod fake_google;
mod installed;
mod systems;
mod token;
mod users;
