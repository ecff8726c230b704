//! The events of a watch as what is to be done. Every event puts or removes one object; a list, besides, removes what it
//! does not name. What a list names exists, whether or not the list comes to its end.

use kube::runtime::watcher::Event;
use std::collections::HashSet;
use std::hash::Hash;

/// How far the lists of a watch have come.
#[derive(Debug)]
pub(crate) struct Listing<K> {
    /// What was known when the present list began and has not been named by it yet.
    unnamed: HashSet<K>,
    complete: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<K: Eq + Hash, O> {
    /// Nothing.
    Nothing,
    /// This object exists.
    Put(K, O),
    /// This one is gone.
    Remove(K),
    /// A list is complete, and these are gone.
    Listed(HashSet<K>),
}

impl<K: Eq + Hash> Listing<K> {
    /// Not complete before its first list.
    pub(crate) fn new() -> Self {
        Self {
            unnamed: HashSet::new(),
            complete: false,
        }
    }

    /// Takes an event. `key` names an object; `known` are those that exist so far, asked for when a list begins.
    pub(crate) fn take<O>(
        &mut self,
        event: Event<O>,
        key: impl FnOnce(&O) -> K,
        known: impl FnOnce() -> HashSet<K>,
    ) -> Change<K, O> {
        match event {
            Event::Init => {
                self.unnamed = known();
                Change::Nothing
            }
            Event::InitApply(object) => {
                let key = key(&object);
                self.unnamed.remove(&key);
                Change::Put(key, object)
            }
            Event::InitDone => {
                self.complete = true;
                Change::Listed(std::mem::take(&mut self.unnamed))
            }
            Event::Apply(object) => Change::Put(key(&object), object),
            Event::Delete(object) => Change::Remove(key(&object)),
        }
    }

    /// Whether a first list was complete.
    pub(crate) fn complete(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(listing: &mut Listing<char>, event: Event<char>, known: &str) -> Change<char, char> {
        listing.take(event, |object| *object, || known.chars().collect())
    }

    #[test]
    fn a_list_removes_what_it_does_not_name_once_it_is_complete() {
        let mut listing = Listing::new();
        assert_eq!(take(&mut listing, Event::Init, "ab"), Change::Nothing);
        assert_eq!(take(&mut listing, Event::InitApply('b'), ""), Change::Put('b', 'b'));
        assert!(!listing.complete());
        assert_eq!(take(&mut listing, Event::InitDone, ""), Change::Listed(['a'].into()));
        assert!(listing.complete());
    }

    #[test]
    fn a_list_that_broke_off_does_not_vouch_for_what_it_named() {
        let mut listing = Listing::new();
        for event in [Event::Init, Event::InitApply('a')] {
            take(&mut listing, event, "");
        }
        take(&mut listing, Event::Init, "a");
        assert_eq!(take(&mut listing, Event::InitDone, ""), Change::Listed(['a'].into()));
    }

    #[test]
    fn an_event_puts_or_removes_its_object() {
        let mut listing = Listing::new();
        assert_eq!(take(&mut listing, Event::Apply('a'), ""), Change::Put('a', 'a'));
        assert_eq!(take(&mut listing, Event::Delete('a'), "a"), Change::Remove('a'));
    }
}
