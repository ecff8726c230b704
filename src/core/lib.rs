//! The decision of vertex-injector, pure: no socket, no clock, no client of the API server.
//!
//! Data flows one way. [`api`] holds the policies as people write them, [`clients`] the variables that each client
//! reads, [`names`] everything that we own in a pod, [`reserved`] what no policy may take of it, [`operator`] what the
//! operator of the cluster allows. [`policy`] compiles, [`admission`] decides, [`manifest`] finds pods and policies in
//! files. [`presets`] knows the servers of credential sidecars, [`git`] what their git proxies let through.

pub mod admission;
pub mod allowed;
pub mod api;
pub mod clients;
pub mod contract;
pub mod endpoint;
pub mod git;
pub mod glob;
pub mod host;
pub mod manifest;
pub mod names;
pub mod operator;
pub mod path;
pub mod policy;
pub mod presets;
pub mod quantity;
pub mod reserved;
