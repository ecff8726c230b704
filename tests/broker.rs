//! The broker: what it accepts as a credential, how it fetches and keeps tokens, and what the built program shows an agent.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking and may wait"
)]

#[path = "broker/calls.rs"]
mod calls;
#[path = "broker/clock.rs"]
mod clock;
#[path = "broker/credentials.rs"]
mod credentials;
#[path = "broker/egress.rs"]
mod egress;
#[path = "broker/exchange.rs"]
mod exchange;
#[path = "broker/failures.rs"]
mod failures;
#[path = "broker/google.rs"]
mod google;
#[path = "broker/hostile.rs"]
mod hostile;
#[path = "broker/http2.rs"]
mod http2;
#[path = "broker/id_tokens.rs"]
mod id_tokens;
#[path = "broker/inspection.rs"]
mod inspection;
#[path = "broker/loopback.rs"]
mod loopback;
#[path = "broker/metadata.rs"]
mod metadata;
#[path = "broker/process.rs"]
mod process;
#[path = "broker/program.rs"]
mod program;
#[path = "broker/proxy_program.rs"]
mod proxy_program;
#[path = "broker/proxy_properties.rs"]
mod proxy_properties;
#[path = "broker/streams.rs"]
mod streams;
#[path = "support/tls.rs"]
mod tls;
#[path = "broker/vertex.rs"]
mod vertex;
