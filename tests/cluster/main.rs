//! The clusters of `hack/kube` do what the other tests rely on, and nothing of them outlives its
//! test, whatever happens to the test.
//!
//! A control plane needs Go for the first build; a node also root and `hack/kube/packages`.
#![cfg(test)]

mod control_plane;
mod leftovers;
mod node;
mod traces;
