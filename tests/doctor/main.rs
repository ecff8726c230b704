//! `vertex-injector doctor`: it names the first hop that breaks, says what Google said and what mends it, and shows no token.
#![cfg(test)]
#![allow(clippy::format_push_string, reason = "answers are small")]

mod breakages;
mod fake;
mod in_pod;
mod job;
mod modes;
mod world;

/// In every secret, and in nothing that may be shown.
const CANARY: &str = "canary";
