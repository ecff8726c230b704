//! Git without a token in the agent: real git clients through the built program to a real `git http-backend`, over TLS.

mod agent;
mod answers;
mod credential;
mod forge;
mod refusals;
mod requests;
mod sidecar;
mod size;
mod work;
mod world;
