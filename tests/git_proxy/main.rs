//! Git without a token in the agent: real git clients through the built program to a real `git http-backend`, over TLS.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking and may wait"
)]

mod agent;
mod answers;
mod credential;
mod forge;
#[path = "../support/process.rs"]
mod process;
#[path = "../broker/process.rs"]
#[allow(dead_code, reason = "only its requests are used")]
mod program;
mod refusals;
mod requests;
mod sidecar;
mod size;
#[path = "../support/tls.rs"]
mod tls;
mod work;
mod world;
#[path = "../exec/process.rs"]
#[allow(dead_code, reason = "not all that a wrapper can do is used")]
mod wrapper;
