//! Attacks on a webhook's processor time, memory and connections: [`reviews`] that are dear, each by itself,
//! [`crossed`] and in [`mixture`]s, [`target`], which is asked them, [`load`] of
//! everything at once, and [`memory`] that is limited.
#![allow(clippy::disallowed_methods, reason = "who attacks may wait")]

pub mod crossed;
pub mod load;
pub mod memory;
pub mod mixture;
pub mod reviews;
pub mod target;
