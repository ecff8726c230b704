//! Readiness: what must hold before the API server may send us pods, and what of it is missing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All parts; ready when each is met.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    parts: Mutex<Vec<(&'static str, State)>>,
}

#[derive(Debug)]
enum State {
    Met,
    Missing(String),
}

/// One thing that must hold, kept by whoever knows about it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    readiness: Arc<Readiness>,
    index: usize,
}

impl Readiness {
    /// Adds a part that does not hold yet, because of `why`.
    pub(crate) fn part(self: &Arc<Self>, name: &'static str, why: impl Into<String>) -> Part {
        let mut parts = self.lock();
        parts.push((name, State::Missing(why.into())));
        Part {
            readiness: Arc::clone(self),
            index: parts.len() - 1,
        }
    }

    /// What is missing, each as `part: why`; empty when ready.
    pub(crate) fn missing(&self) -> Vec<String> {
        let parts = self.lock();
        let missing = parts.iter().filter_map(|(name, state)| match state {
            State::Met => None,
            State::Missing(why) => Some(format!("{name}: {why}")),
        });
        missing.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(&'static str, State)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// It holds.
    pub(crate) fn met(&self) {
        self.set(State::Met);
    }

    /// It does not hold, or no longer.
    pub(crate) fn missing(&self, why: impl Into<String>) {
        self.set(State::Missing(why.into()));
    }

    /// Says why it does not hold, unless it does: what was complete once stays usable while its source is away.
    pub(crate) fn still_missing(&self, why: impl Into<String>) {
        let mut parts = self.readiness.lock();
        if let Some((_, state @ State::Missing(_))) = parts.get_mut(self.index) {
            *state = State::Missing(why.into());
        }
    }

    fn set(&self, state: State) {
        if let Some((_, known)) = self.readiness.lock().get_mut(self.index) {
            *known = state;
        }
    }
}
