//! The time of day, as a value: it may jump, and tests let it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the seconds since 1970.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's, and as many seconds more as `ahead` says at each moment.
    pub fn ahead(ahead: Arc<AtomicI64>) -> Self {
        Self(Some(ahead))
    }

    pub(crate) fn now(&self) -> i64 {
        let ahead = self.0.as_ref().map_or(0, |ahead| ahead.load(Ordering::Relaxed));
        jiff::Timestamp::now().as_second().saturating_add(ahead)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
