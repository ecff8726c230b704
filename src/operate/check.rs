//! A check of an installation: what is read, and in which order it is judged. The judges below know no cluster.

pub mod agents;
pub mod api_server;
pub mod certificate;
pub mod definitions;
pub mod guards;
pub mod policies;
pub mod replicas;
pub mod trial;
pub mod webhooks;

/// This program's version, which is the chart's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Most names in one line.
const SHOWN: usize = 5;

/// `1 pod`, `2 pods`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    count_i64(i64::try_from(number).unwrap_or(i64::MAX), one, many)
}

pub(crate) fn count_i64(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Some names of many.
fn some(names: &[&str]) -> String {
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
