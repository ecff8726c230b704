//! Git without a credential in the agent: what sends its git to a sidecar's proxy, and what that lets through.

pub mod config;
pub mod rules;
pub mod target;
