//! The admission server by itself: real TLS on a loopback port, policies and certificate from files, no cluster.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test, helpers included, fails by panicking"
)]

mod certificates;
mod client;
mod drain;
mod log;
mod mistakes;
mod policies;
mod requests;
mod server;
mod signals;
