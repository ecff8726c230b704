//! A map by name whose copies share what did not change: a snapshot of 100,000 entries costs some pointers, and the change
//! of one entry a small part of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Into how many parts the entries fall. A copy costs as many pointers, the first change after it one part.
const PARTS: usize = 256;

/// Values by name.
#[derive(Debug, Clone)]
pub(super) struct ByName<V> {
    parts: Box<[Part<V>]>,
    hasher: RandomState,
}

type Part<V> = Arc<HashMap<Box<str>, V>>;

impl<V> Default for ByName<V> {
    fn default() -> Self {
        Self {
            // All of them one empty map, until they are changed.
            parts: vec![Part::default(); PARTS].into_boxed_slice(),
            hasher: RandomState::new(),
        }
    }
}

impl<V: Clone> ByName<V> {
    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.parts.get(self.index(name))?.get(name)
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        let entries = self.parts.iter().flat_map(|part| part.iter());
        entries.map(|(name, value)| (&**name, value))
    }

    /// Sets the value of a name.
    pub(super) fn insert(&mut self, name: &str, value: V) {
        if let Some(part) = self.part(name) {
            part.insert(name.into(), value);
        }
    }

    /// Forgets a name.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(part) = self.part(name) {
            part.remove(name);
        }
    }

    /// The value of a name, to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.part(name)?.get_mut(name)
    }

    fn part(&mut self, name: &str) -> Option<&mut HashMap<Box<str>, V>> {
        let index = self.index(name);
        self.parts.get_mut(index).map(Arc::make_mut)
    }

    #[allow(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
    fn index(&self, name: &str) -> usize {
        self.hasher.hash_one(name) as usize % PARTS
    }
}
