//! The chart as Helm renders it: sound with every value set, true to the code, least in what it asks for.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/objects.rs"]
mod objects;
#[path = "support/process.rs"]
mod process;
#[path = "chart/truth.rs"]
mod truth;
#[path = "chart/values.rs"]
mod values;
