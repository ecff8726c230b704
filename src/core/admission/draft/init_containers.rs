//! The pod's init containers, among which all of ours are.

use crate::admission::decision::Change;
use crate::admission::patch::ListEdit;
use crate::admission::pod::Pod;
use crate::admission::rendering::is_rendered_as;
use crate::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// What happens to the init containers.
#[derive(Debug, Default)]
pub(in crate::admission) struct InitContainers {
    /// Names of those that the policy wants.
    wanted: BTreeSet<String>,
    /// Those that it gets, in order.
    planned: Vec<Planned>,
    edits: ListEdit,
    changes: Vec<Change>,
}

/// A container of ours.
#[derive(Debug)]
struct Planned {
    name: String,
    rendered: Value,
    /// Where the pod has one of this name.
    found: Option<usize>,
    /// Whether that one is as ours, and before all of the pod's own.
    is_current: bool,
}

impl InitContainers {
    /// How many edits there are so far.
    pub(super) fn changed(&self) -> usize {
        self.changes.len()
    }

    /// Notes that the policy wants a container of this name.
    pub(in crate::admission) fn want(&mut self, name: &str) {
        self.wanted.insert(name.to_owned());
    }

    /// Plans a container behind those that are planned already, all before the pod's own.
    pub(in crate::admission) fn plan(&mut self, pod: &Pod<'_>, name: &str, rendered: Value) {
        let found = { pod.spec.init_containers.iter() }.position(|container| *container.name == *name);
        let is_current = found.is_some_and(|i| {
            is_in_front(pod, i) && { pod.init_container(i) }.is_some_and(|found| is_rendered_as(&found, &rendered))
        });
        if !is_current {
            self.changes
                .push(Change::new(if found.is_some() { "replace" } else { "add" }, name));
        }
        self.planned.push(Planned {
            name: name.to_owned(),
            rendered,
            found,
            is_current,
        });
    }

    /// Gives the planned containers their places. One of the pod's own before ours could take a port of ours, and the program
    /// is copied before it is run; so from the last on, what is not where it belongs goes to the front with all before it.
    pub(super) fn settle(&mut self, pod: &Pod<'_>) {
        let mut next = Some(usize::MAX);
        for planned in self.planned.drain(..).rev() {
            let Planned {
                name,
                rendered,
                found,
                is_current,
            } = planned;
            match (found, next) {
                (Some(i), Some(behind)) if i < behind && is_in_front(pod, i) => {
                    next = Some(i);
                    if !is_current {
                        self.edits.replace.insert(i, rendered);
                    }
                }
                (found, _) => {
                    next = None;
                    self.edits.remove.extend(found);
                    self.edits.prepend.insert(0, rendered);
                    if is_current {
                        self.changes.push(Change::new("replace", &name));
                    }
                }
            }
        }
    }

    /// Removes the containers under our prefix that the policy does not want (any more).
    pub(super) fn remove_stale(&mut self, pod: &Pod<'_>) {
        for (i, container) in pod.spec.init_containers.iter().enumerate() {
            if container.name.starts_with(names::NAME_PREFIX) && !self.wanted.contains(&*container.name) {
                self.edits.remove.insert(i);
                self.changes.push(Change::new("remove", &container.name));
            }
        }
    }

    /// Appends the operations, and the containers that change.
    pub(super) fn emit(self, pod: &Pod<'_>, operations: &mut Vec<json_patch::PatchOperation>) -> Vec<Change> {
        let exists = !pod.spec.init_containers.is_empty();
        self.edits.emit(&["spec", "initContainers"], exists, operations);
        self.changes
    }
}

/// Whether none of the pod's own is before a position.
fn is_in_front(pod: &Pod<'_>, position: usize) -> bool {
    let mut before = pod.spec.init_containers.iter().take(position);
    before.all(|container| container.name.starts_with(names::NAME_PREFIX))
}
