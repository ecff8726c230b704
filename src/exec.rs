//! The credential wrapper: `vertex-injector exec` holds a sidecar's credential and runs its server.
//!
//! [`fields`] is what a credential is made of, and how it is handed on inside.

pub mod fields;
