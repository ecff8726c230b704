//! The admission server against a real kube-apiserver: its certificates, its watches, and what it writes.
#![cfg(test)]

mod accounts;
mod certificates;
mod chaos;
mod events;
#[path = "../webhook/log.rs"]
mod log;
mod policies;
mod replica;
mod rights;
mod rotation;
mod status;
mod used;
mod versions;
mod world;
