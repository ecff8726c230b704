//! The judges of `check`, over objects in memory: each breakage is named with what to do about it.
#![cfg(test)]
#![allow(clippy::needless_pass_by_value, reason = "JSON is handed over as it is written")]

mod breakages;
mod installations;
mod objects;
mod pods;
mod policies;
mod releases;
