//! The admission server by itself: real TLS on a loopback port, policies and certificate from files, no cluster.
#![cfg(test)]

mod certificates;
mod client;
mod drain;
mod hostile;
mod log;
mod mistakes;
mod policies;
mod requests;
mod server;
