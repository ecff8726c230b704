//! The pod's init containers, among which all of ours are.

use crate::admission::decision::Change;
use crate::admission::patch::ListEdit;
use crate::admission::pod::Pod;
use crate::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// What happens to the init containers.
#[derive(Debug, Default)]
pub(in crate::admission) struct InitContainers {
    /// Names of those that the policy wants.
    wanted: BTreeSet<String>,
    edits: ListEdit,
    changes: Vec<Change>,
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

    /// Puts a new container before the pod's own.
    pub(in crate::admission) fn prepend(&mut self, name: &str, container: Value) {
        self.edits.prepend.push(container);
        self.changes.push(Change::new("add", name));
    }

    /// Brings the container at a position up to date.
    pub(in crate::admission) fn replace(&mut self, index: usize, name: &str, container: Value) {
        self.edits.replace.insert(index, container);
        self.changes.push(Change::new("replace", name));
    }

    /// Removes the containers under our prefix that the policy does not want (any more).
    pub(super) fn remove_stale(&mut self, pod: &Pod<'_>) {
        for (i, container) in pod.spec.init_containers.iter().enumerate() {
            if container.name.starts_with(names::PIECE_PREFIX) && !self.wanted.contains(&*container.name) {
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
