//! The admission server against a real kube-apiserver: its certificates, its watches, and what it writes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "webhook_cluster/accounts.rs"]
mod accounts;
#[path = "webhook_cluster/certificates.rs"]
mod certificates;
#[path = "webhook_cluster/policies.rs"]
mod policies;
#[path = "webhook_cluster/replica.rs"]
mod replica;
#[path = "webhook_cluster/rights.rs"]
mod rights;
#[path = "webhook_cluster/status.rs"]
mod status;
mod support;
#[path = "webhook_cluster/world.rs"]
mod world;
