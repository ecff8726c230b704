//! Attacks on a webhook's processor time, memory and connections: [`reviews`] that are dear, [`target`], which is asked them, and
//! [`load`] of everything at once.
#![allow(clippy::disallowed_methods, reason = "who attacks may wait")]

pub mod load;
pub mod reviews;
pub mod target;
