//! The credential wrapper: whom it sends what, what it makes of the answers, when it does so, and what the built program does to
//! the server that it runs.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking and may wait"
)]

mod ambient;
mod bootstrap;
mod clock;
mod control;
mod files;
mod hosts;
mod http;
mod mapping;
mod mcp;
mod process;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/google/processes.rs"]
mod processes;
mod program;
#[allow(dead_code, reason = "the broker's tests use the rest")]
#[path = "../broker/google.rs"]
mod scripted;
mod signals;
