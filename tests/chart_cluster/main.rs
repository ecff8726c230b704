//! The chart in a real kube-apiserver: what it installs works, guards, refuses and lets pass as it says.
#![cfg(test)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::string_slice,
    reason = "JSON is handed over as it is written"
)]

mod authors;
mod elsewhere;
mod guard;
mod hook;
mod install;
mod judge;
mod life;
mod network;
mod release;
mod rights;
mod schema;
mod selection;
mod webhook_guard;
mod whole;
