//! The decision of vertex-injector, pure: no socket, no clock, no client of the API server.
//!
//! Data flows one way. [`api`] holds the policies as people write them, [`clients`] the variables that each client
//! reads, [`names`] everything that we own in a pod, [`reserved`] what no policy may take of it, [`operator`] what the
//! operator of the cluster allows. [`policy`] compiles, [`admission`] decides, [`manifest`] finds pods and policies in
//! files, [`validation`] says what is wrong with a policy. [`causes`] puts errors into one sentence. [`presets`] knows the servers of credential sidecars, [`git`]
//! what their git proxies let through. [`contract`] is what the programs beside an agent are told; it, and what it needs, is
//! all that is left without the feature `injector`.

#[cfg(feature = "injector")]
pub mod admission;
pub mod allowed;
#[cfg(feature = "injector")]
pub mod api;
pub mod causes;
#[cfg(feature = "injector")]
pub mod clients;
pub mod contract;
pub mod endpoint;
pub mod git;
pub mod glob;
pub mod host;
#[cfg(feature = "injector")]
pub mod manifest;
pub mod names;
#[cfg(feature = "injector")]
pub mod operator;
#[cfg(feature = "injector")]
pub mod path;
#[cfg(feature = "injector")]
pub mod policy;
#[cfg(feature = "injector")]
pub mod presets;
#[cfg(feature = "injector")]
pub mod quantity;
#[cfg(feature = "injector")]
pub mod reserved;
#[cfg(feature = "injector")]
pub mod validation;
