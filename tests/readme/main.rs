//! What the README says holds: its commands run, its policies are valid and serve the pods that they are for, its tables
//! are those of the code, its files exist.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

mod commands;
mod gcloud;
mod policies;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod text;
