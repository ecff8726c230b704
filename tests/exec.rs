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

#[path = "exec/ambient.rs"]
mod ambient;
#[path = "exec/bootstrap.rs"]
mod bootstrap;
#[path = "exec/clock.rs"]
mod clock;
#[path = "exec/control.rs"]
mod control;
#[path = "exec/files.rs"]
mod files;
#[path = "exec/hosts.rs"]
mod hosts;
#[path = "exec/http.rs"]
mod http;
#[path = "exec/mapping.rs"]
mod mapping;
#[path = "exec/mcp.rs"]
mod mcp;
#[path = "exec/process.rs"]
mod process;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/google/processes.rs"]
mod processes;
#[path = "exec/program.rs"]
mod program;
#[allow(dead_code, reason = "the broker's tests use the rest")]
#[path = "broker/google.rs"]
mod scripted;
#[path = "exec/signals.rs"]
mod signals;
