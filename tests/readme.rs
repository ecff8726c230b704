//! What the README says holds: its commands run, its policies are valid and serve the pods that they are for, its tables
//! are those of the code, its files exist.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "readme/commands.rs"]
mod commands;
#[path = "readme/gcloud.rs"]
mod gcloud;
#[path = "readme/policies.rs"]
mod policies;
mod support;
#[path = "readme/tables.rs"]
mod tables;
#[path = "readme/text.rs"]
mod text;
