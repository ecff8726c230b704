//! The chart as Helm renders it: sound with every value set, true to the code, least in what it asks for.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

mod helm;
mod objects;
#[path = "../support/process.rs"]
mod process;
mod truth;
mod values;
