//! The admission server by itself: real TLS on a loopback port, policies and certificate from files, no cluster.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "webhook/certificates.rs"]
mod certificates;
#[path = "webhook/client.rs"]
mod client;
#[path = "webhook/drain.rs"]
mod drain;
#[path = "webhook/log.rs"]
mod log;
#[path = "webhook/mistakes.rs"]
mod mistakes;
#[path = "webhook/policies.rs"]
mod policies;
#[path = "webhook/requests.rs"]
mod requests;
#[path = "webhook/server.rs"]
mod server;
#[path = "webhook/signals.rs"]
mod signals;
