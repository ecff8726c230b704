//! What an earlier injection wrote, as its annotation lists it: `container/NAME`, and `container/NAME/KEY`.

use super::pod::{Container, Pod};
use super::select;
use crate::names;
use std::collections::{BTreeMap, BTreeSet};

/// The list, by container.
#[derive(Debug)]
pub(super) struct Earlier<'p> {
    variables: BTreeMap<&'p str, BTreeSet<&'p str>>,
    /// The container that had no name then and has one now.
    baptised: Option<&'p str>,
}

impl<'p> Earlier<'p> {
    /// What the pod's annotation says.
    pub(super) fn of(pod: &'p Pod<'p>) -> Self {
        let mut variables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let entries = pod.annotation(names::RENDERED_ENV).unwrap_or_default().split(',');
        for (container, variable) in entries.filter_map(|entry| entry.split_once('/')) {
            variables.entry(container).or_default().insert(variable);
        }
        let baptised = variables.get("").and_then(|nameless| baptised(pod, nameless));
        Self { variables, baptised }
    }

    /// The variables, and keys within variables, that it wrote in a container.
    pub(super) fn variables(&self, container: &str) -> BTreeSet<String> {
        let of = |name: &str| self.variables.get(name).into_iter().flatten();
        let nameless = self.baptised.filter(|name| *name == container).map(|_| "");
        let all = of(container).chain(nameless.into_iter().flat_map(of));
        all.map(|name| (*name).to_owned()).collect()
    }

    /// Whether it served a container.
    pub(super) fn is_served(&self, container: &Container<'_>) -> bool {
        self.variables.contains_key(&*container.name) || self.baptised == Some(&*container.name)
    }
}

/// Templates may leave the name of a container to their controller (Knative does). Once it has one, it is the one that has
/// most of what was written into it.
fn baptised<'p>(pod: &'p Pod<'p>, nameless: &BTreeSet<&str>) -> Option<&'p str> {
    let written = |container: &Container<'_>| {
        let own = container.env.iter().flatten();
        own.filter(|env| nameless.contains(&*env.name)).count()
    };
    let all = select::own(pod).map(|(_, container)| (written(container), &*container.name));
    // The first of several.
    let most = all.reduce(|most, other| if other.0 > most.0 { other } else { most });
    most.filter(|(count, _)| *count > 0).map(|(_, name)| name)
}
