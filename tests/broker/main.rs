//! The broker: what it accepts as a credential, how it fetches and keeps tokens, and what the built program shows an agent.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking and may wait"
)]

mod calls;
mod clock;
mod credentials;
mod egress;
mod exchange;
mod failures;
mod google;
mod hostile;
mod http2;
mod id_tokens;
mod inspection;
mod loopback;
mod metadata;
mod process;
mod program;
mod proxy_program;
mod proxy_properties;
mod streams;
#[path = "../support/tls.rs"]
mod tls;
mod vertex;
