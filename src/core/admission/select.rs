//! Which of the pod's containers receive the injection.

use super::decision::Reason;
use super::pod::{Container, Pod};
use crate::names;

/// The two lists of a pod's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum List {
    /// `containers`.
    Containers,
    /// `initContainers`.
    InitContainers,
}

impl List {
    /// The name of the field.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::InitContainers => "initContainers",
        }
    }
}

/// Where a container stands in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// In which list.
    pub(super) list: List,
    /// Position in that list.
    pub(super) index: usize,
}

/// A chosen container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'p> {
    pub(super) place: Place,
    pub(super) container: &'p Container<'p>,
}

/// Most containers that a pod may choose, as many as a policy may name.
const MAX_CONTAINERS: usize = 16;

/// Most names of containers in a sentence.
const MAX_SHOWN: usize = 32;

/// The containers that the policy names, narrowed by the pod's annotation; none when nobody names any.
///
/// # Errors
/// When one does not exist or may not be chosen.
pub(super) fn named<'p>(pod: &'p Pod<'p>, wanted: &[String]) -> Result<Vec<Chosen<'p>>, (Reason, String)> {
    let mut names: Vec<&str> = wanted.iter().map(String::as_str).collect();
    if let Some(list) = pod.annotation(names::CONTAINERS) {
        let narrowed: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if narrowed.is_empty() {
            return Err((
                Reason::ContainerNotFound,
                format!(
                    "annotation {} names no container; list some, comma-separated, or remove it",
                    names::CONTAINERS
                ),
            ));
        }
        if narrowed.len() > MAX_CONTAINERS {
            return Err((
                Reason::ContainerNotFound,
                format!(
                    "annotation {} names more than {MAX_CONTAINERS} containers",
                    names::CONTAINERS
                ),
            ));
        }
        if let Some(name) = narrowed.iter().find(|name| !names.is_empty() && !names.contains(*name)) {
            return Err((
                Reason::ContainerNotFound,
                format!(
                    "annotation {} names container {name:?}, which the policy does not serve; it serves {}",
                    names::CONTAINERS,
                    names.join(", ")
                ),
            ));
        }
        names = narrowed;
    }
    let mut chosen: Vec<Chosen<'p>> = Vec::with_capacity(names.len());
    for name in names {
        if name.starts_with(names::NAME_PREFIX) {
            return Err((
                Reason::ContainerNotFound,
                format!("container {name:?} is the injector's own and cannot be chosen; choose one of the pod's"),
            ));
        }
        let found = find(pod, name).ok_or_else(|| {
            let valid: Vec<&str> = all(pod)
                .map(|(_, container)| &*container.name)
                .take(MAX_SHOWN)
                .collect();
            let more = if all(pod).nth(MAX_SHOWN).is_some() { ", …" } else { "" };
            (
                Reason::ContainerNotFound,
                format!("the pod has no container {name:?}; it has {}{more}", valid.join(", ")),
            )
        })?;
        if !chosen.iter().any(|earlier| earlier.place == found.place) {
            chosen.push(found);
        }
    }
    Ok(chosen)
}

/// Every container with its place, init containers last.
pub(super) fn all<'p>(pod: &'p Pod<'p>) -> impl Iterator<Item = (Place, &'p Container<'p>)> {
    let place = |list| move |(index, container)| (Place { list, index }, container);
    let containers = pod.spec.containers.iter().enumerate().map(place(List::Containers));
    containers.chain(
        pod.spec
            .init_containers
            .iter()
            .enumerate()
            .map(place(List::InitContainers)),
    )
}

/// The containers of the pod's own, which is all but ours.
pub(super) fn own<'p>(pod: &'p Pod<'p>) -> impl Iterator<Item = (Place, &'p Container<'p>)> {
    all(pod).filter(|(place, container)| !is_injected(*place, container))
}

/// Whether a container is an init container under our prefix: our rendering after the injection, or removed.
pub(super) fn is_injected(place: Place, container: &Container<'_>) -> bool {
    place.list == List::InitContainers && container.name.starts_with(names::NAME_PREFIX)
}

fn find<'p>(pod: &'p Pod<'p>, name: &str) -> Option<Chosen<'p>> {
    all(pod)
        .find(|(_, container)| &*container.name == name)
        .map(|(place, container)| Chosen { place, container })
}
