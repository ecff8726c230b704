//! The admission server against a real kube-apiserver: its certificates, its watches, and what it writes.
#![cfg(test)]

mod accounts;
mod certificates;
mod events;
mod policies;
mod replica;
mod rights;
mod rotation;
mod status;
mod versions;
mod world;
