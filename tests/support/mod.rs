//! What several test programs share.

pub mod cases;
pub mod google;
pub mod kube;
pub mod node;
pub mod process;
