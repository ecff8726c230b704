//! Git without a token in the agent: real git clients through the built program to a real `git http-backend`, over TLS.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking and may wait"
)]

#[path = "git_proxy/agent.rs"]
mod agent;
#[path = "git_proxy/answers.rs"]
mod answers;
#[path = "git_proxy/credential.rs"]
mod credential;
#[path = "git_proxy/forge.rs"]
mod forge;
#[path = "support/process.rs"]
mod process;
#[path = "broker/process.rs"]
#[allow(dead_code, reason = "only its requests are used")]
mod program;
#[path = "git_proxy/refusals.rs"]
mod refusals;
#[path = "git_proxy/requests.rs"]
mod requests;
#[path = "git_proxy/sidecar.rs"]
mod sidecar;
#[path = "git_proxy/size.rs"]
mod size;
#[path = "support/tls.rs"]
mod tls;
#[path = "git_proxy/work.rs"]
mod work;
#[path = "git_proxy/world.rs"]
mod world;
#[path = "exec/process.rs"]
#[allow(dead_code, reason = "not all that a wrapper can do is used")]
mod wrapper;
