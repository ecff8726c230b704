//! The objects of a watch by key: every list replaces all of them at once, every event one of them.

use kube::runtime::watcher::Event;
use std::collections::HashMap;
use std::hash::Hash;

/// What a watch says that exists.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    rows: HashMap<K, V>,
    /// Objects of a list that is not complete yet.
    incoming: HashMap<K, V>,
    complete: bool,
}

/// What an event changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed<K> {
    /// Nothing, or nothing yet: a list is coming in.
    Nothing,
    /// One row.
    Row(K),
    /// Possibly all rows: a list is complete.
    All,
}

impl<K: Eq + Hash + Clone, V: PartialEq> Table<K, V> {
    /// Empty, and not complete before its first list.
    pub(crate) fn new() -> Self {
        Self {
            rows: HashMap::new(),
            incoming: HashMap::new(),
            complete: false,
        }
    }

    /// Takes an event. `read` makes a row of an object, given the row that is there; `key` names it.
    pub(crate) fn take<O>(
        &mut self,
        event: Event<O>,
        key: impl Fn(&O) -> K,
        read: impl FnOnce(O, Option<&V>) -> V,
    ) -> Changed<K> {
        match event {
            Event::Init => self.incoming.clear(),
            Event::InitApply(object) => {
                let key = key(&object);
                let row = read(object, self.rows.get(&key));
                self.incoming.insert(key, row);
            }
            Event::InitDone => {
                self.rows = std::mem::take(&mut self.incoming);
                self.complete = true;
                return Changed::All;
            }
            Event::Apply(object) => {
                let key = key(&object);
                let row = read(object, self.rows.get(&key));
                if self.rows.get(&key) != Some(&row) {
                    self.rows.insert(key.clone(), row);
                    return Changed::Row(key);
                }
            }
            Event::Delete(object) => {
                let key = key(&object);
                self.rows.remove(&key);
                return Changed::Row(key);
            }
        }
        Changed::Nothing
    }

    /// Whether a first list was complete.
    pub(crate) fn complete(&self) -> bool {
        self.complete
    }

    /// All rows, in no order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    /// One row.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    /// One row, to note what we did ourselves before the watch tells.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.rows.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(table: &mut Table<char, u8>, event: Event<(char, u8)>) -> Changed<char> {
        table.take(event, |(key, _)| *key, |(_, value), _| value)
    }

    #[test]
    fn a_list_replaces_all_rows_only_when_it_is_complete() {
        let mut table = Table::new();
        take(&mut table, Event::Apply(('a', 1)));
        assert_eq!(take(&mut table, Event::Init), Changed::Nothing);
        assert_eq!(take(&mut table, Event::InitApply(('b', 2))), Changed::Nothing);
        assert_eq!((table.get(&'a'), table.get(&'b')), (Some(&1), None));
        assert_eq!(take(&mut table, Event::InitDone), Changed::All);
        assert_eq!((table.get(&'a'), table.get(&'b')), (None, Some(&2)));
    }

    #[test]
    fn a_list_that_broke_off_leaves_nothing_behind() {
        let mut table = Table::new();
        for event in [Event::Init, Event::InitApply(('a', 1)), Event::Init, Event::InitDone] {
            take(&mut table, event);
        }
        assert!(table.complete());
        assert_eq!(table.rows().count(), 0);
    }

    #[test]
    fn an_event_names_the_row_that_it_changes() {
        let mut table = Table::new();
        assert_eq!(take(&mut table, Event::Apply(('a', 1))), Changed::Row('a'));
        assert_eq!(take(&mut table, Event::Apply(('a', 1))), Changed::Nothing);
        assert_eq!(take(&mut table, Event::Delete(('a', 1))), Changed::Row('a'));
        assert_eq!(table.get(&'a'), None);
    }
}
