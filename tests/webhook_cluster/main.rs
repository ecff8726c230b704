//! The admission server against a real kube-apiserver: its certificates, its watches, and what it writes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test, helpers included, fails by panicking"
)]

mod accounts;
mod certificates;
mod policies;
mod replica;
mod rights;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod world;
