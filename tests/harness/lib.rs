//! What tests run beside the product.
//!
//! [`process`] runs other programs to their end, [`program`] starts ours, which cannot outlive its test, and [`request`]
//! talks to it. [`kube`] and [`node`] are real clusters, [`google`] is Google as real clients see it, [`scripted`] one that
//! answers by script, and [`tls`] is for whatever serves.
//! [`attack`] is what strangers do to a webhook, and [`rights`] what a cluster lets somebody do.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails by panicking; `clippy.toml` allows it in the tests themselves"
)]

pub mod attack;
pub mod google;
pub mod kube;
pub mod node;
pub mod process;
pub mod program;
pub mod request;
pub mod rights;
pub mod scripted;
pub mod tls;
