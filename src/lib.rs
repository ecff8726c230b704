//! vertex-injector: gives LLM agents in Kubernetes access to Google Vertex AI without handing them keys.
//!
//! Data flows one way. [`api`] holds the policies as people write them, [`clients`] the variables that each client
//! reads, [`names`] everything that we own in a pod. [`admission`] decides, purely. [`webhook`] and [`cli`] are two
//! thin shells around it; [`telemetry`] and [`metrics`] show what happened.
//!
//! In a pod's sidecars, [`broker`] holds the Google credential and [`exec`] those of integrations, both on [`net`];
//! [`presets`] knows the servers that [`exec`] starts, [`git_config`] makes git use their credential.

pub mod admission;
pub mod api;
pub mod broker;
pub mod cli;
pub mod clients;
pub mod exec;
pub mod git_config;
pub mod glob;
pub mod manifest;
pub mod metrics;
pub mod names;
pub mod net;
pub mod operator;
pub mod presets;
pub mod quantity;
pub mod secret;
pub mod telemetry;
pub mod webhook;
