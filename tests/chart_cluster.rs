//! The chart in a real kube-apiserver: what it installs works, guards, refuses and lets pass as it says.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::string_slice,
    reason = "a test, helpers included, fails by panicking; JSON is handed over as it is written"
)]

#[path = "chart_cluster/guard.rs"]
mod guard;
#[path = "chart_cluster/install.rs"]
mod install;
#[path = "chart_cluster/judge.rs"]
mod judge;
#[path = "chart_cluster/life.rs"]
mod life;
#[path = "chart_cluster/release.rs"]
mod release;
#[path = "chart_cluster/rules.rs"]
mod rules;
#[path = "chart_cluster/schema.rs"]
mod schema;
#[path = "chart_cluster/selection.rs"]
mod selection;
mod support;
#[path = "chart_cluster/vocabulary.rs"]
mod vocabulary;
#[path = "chart_cluster/whole.rs"]
mod whole;
