//! What the policy's units want of the pod, collected before anything is emitted: edits, collisions, warnings.

mod container;
mod volumes;

pub(super) use container::ContainerDraft;

use super::decision::{Change, Decision, Needed, Outcome, Reason, Unit, UnitState};
use super::explain::explain;
use super::patch::{Found, ListEdit, emit_map, emit_within};
use super::pod::{Pod, Volume};
use super::select::{self, Chosen};
use crate::names;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The whole draft.
#[derive(Debug)]
pub(super) struct Draft<'p> {
    pub(super) pod: &'p Pod<'p>,
    pub(super) containers: Vec<ContainerDraft<'p>>,
    pub(super) problems: Vec<String>,
    /// What lets the agent get around the broker.
    pub(super) exposures: Vec<String>,
    /// Containers in which a credential file of their own may be left.
    pub(super) left_files: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) units: Vec<Unit>,
    pub(super) needs: BTreeSet<Needed>,
    /// The pod's volumes, by position.
    pub(super) volumes: Vec<(Volume<'p>, &'p str)>,
    pub(super) volume_edits: ListEdit,
    pub(super) init_edits: ListEdit,
    pull_secrets: ListEdit,
    /// Names of the volumes that the policy wants.
    pub(super) wanted_volumes: BTreeSet<String>,
    /// Names of the containers that the policy wants.
    pub(super) wanted_containers: BTreeSet<String>,
    pub(super) annotations: Vec<(String, Option<String>)>,
    pub(super) node_selector: Vec<(String, Option<String>)>,
    /// The variables of our sidecars, as the annotation lists them.
    pub(super) sidecar_env: Vec<String>,
    changes: usize,
    volume_changes: Vec<Change>,
    pub(super) container_changes: Vec<Change>,
}

impl<'p> Draft<'p> {
    pub(super) fn new(pod: &'p Pod<'p>, chosen: Vec<Chosen<'p>>) -> Result<Self, String> {
        let mut volumes = Vec::with_capacity(pod.spec.volumes.len());
        for (i, raw) in pod.spec.volumes.iter().enumerate() {
            let volume: Volume<'p> = serde_json::from_str(raw.get())
                .map_err(|_| explain::<Volume<'_>>(raw.get().as_bytes(), &format!("spec.volumes[{i}]")))?;
            volumes.push((volume, raw.get()));
        }
        Ok(Self {
            pod,
            containers: chosen
                .into_iter()
                .map(|chosen| ContainerDraft::new(pod, chosen))
                .collect(),
            problems: Vec::new(),
            exposures: Vec::new(),
            left_files: Vec::new(),
            warnings: Vec::new(),
            units: Vec::new(),
            needs: BTreeSet::new(),
            volumes,
            volume_edits: ListEdit::default(),
            init_edits: ListEdit::default(),
            pull_secrets: ListEdit::default(),
            wanted_volumes: BTreeSet::new(),
            wanted_containers: BTreeSet::new(),
            annotations: Vec::new(),
            node_selector: Vec::new(),
            sidecar_env: Vec::new(),
            changes: 0,
            volume_changes: Vec::new(),
            container_changes: Vec::new(),
        })
    }

    /// Plans one unit and notes whether anything had to change for it.
    pub(super) fn unit(&mut self, name: &str, detail: impl Into<String>, plan: impl FnOnce(&mut Self)) {
        let before = self.changed();
        plan(self);
        let state = if self.changed() > before {
            UnitState::Added
        } else {
            UnitState::Present
        };
        self.units.push(Unit {
            name: name.to_owned(),
            state,
            reason: None,
            detail: detail.into(),
        });
    }

    /// Leaves a unit out.
    pub(super) fn skip(&mut self, name: &str, reason: Reason, detail: impl Into<String>) {
        let unit = Unit {
            name: name.to_owned(),
            state: UnitState::Skipped,
            reason: Some(reason),
            detail: detail.into(),
        };
        self.units.push(unit);
    }

    /// Sets an annotation, or removes it. The last word on a key counts.
    pub(super) fn annotate(&mut self, key: &str, value: Option<String>) {
        self.annotations.retain(|(other, _)| other != key);
        if self.pod.annotation(key) != value.as_deref() {
            self.annotations.push((key.to_owned(), value));
            self.changes += 1;
        }
    }

    /// Asks for a node.
    pub(super) fn select_node(&mut self, key: &str, value: &str) {
        let found = self
            .pod
            .spec
            .node_selector
            .as_ref()
            .and_then(|selector| selector.get(key));
        match found {
            None => {
                self.node_selector.push((key.to_owned(), Some(value.to_owned())));
                self.changes += 1;
            }
            Some(found) if **found == *value => {}
            Some(_) => self.problems.push(format!(
                "spec.nodeSelector[{key}] has another value than {value:?}, which the identity needs"
            )),
        }
    }

    /// Has the pod's images pulled with a Secret, too.
    pub(super) fn pull_with(&mut self, secret: &str) {
        let own = self.pod.spec.image_pull_secrets.iter();
        if !own.map(|reference| &*reference.name).any(|name| name == secret) {
            self.pull_secrets.append.push(json!({"name": secret}));
            self.changes += 1;
        }
    }

    /// Takes in the containers that an earlier injection served and this one does not, to clean them up.
    pub(super) fn adopt_former(&mut self) {
        // The list of an OpenShell pod speaks of its JSON.
        if self.containers.iter().any(|draft| draft.json.is_some()) {
            return;
        }
        for (place, container) in select::all(self.pod) {
            let known = self.containers.iter().any(|draft| draft.chosen.place == place);
            if !known && !select::is_ours(place, container) && !previous(self.pod, &container.name).is_empty() {
                let former = ContainerDraft::new(self.pod, Chosen { place, container });
                self.containers.push(former);
            }
        }
    }

    /// Removes variables that an earlier injection wrote and this one does not.
    pub(super) fn remove_stale_env(&mut self) {
        self.changes += self
            .containers
            .iter_mut()
            .map(ContainerDraft::remove_stale)
            .sum::<usize>();
    }

    /// Sets a variable in one chosen container; `value` is the whole entry.
    pub(super) fn set_env(&mut self, container: usize, name: &str, value: Value) {
        let Some(draft) = self.containers.get_mut(container) else {
            return;
        };
        match draft.set(name, value) {
            Ok(true) => self.changes += 1,
            Ok(false) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Gives a variable of one chosen container back to the pod, with the value that it had without us.
    pub(super) fn restore_env(&mut self, container: usize, name: &str, value: Value) {
        self.set_env(container, name, value);
        if let Some(draft) = self.containers.get_mut(container) {
            draft.rendered.remove(name);
        }
    }

    /// Notes the keys within a variable of one chosen container that are ours.
    pub(super) fn note_within(&mut self, container: usize, variable: &str, keys: Vec<String>) {
        if let Some(draft) = self.containers.get_mut(container) {
            draft
                .rendered
                .extend(keys.into_iter().map(|key| format!("{variable}/{key}")));
        }
    }

    /// Removes a variable from one chosen container.
    pub(super) fn remove_env(&mut self, container: usize, name: &str) {
        if let Some(draft) = self.containers.get_mut(container)
            && draft.remove(name)
        {
            self.changes += 1;
        }
    }

    /// Notes a change of an init container.
    pub(super) fn change_container(&mut self, op: &'static str, name: &str) {
        self.container_changes.push(Change {
            op,
            name: name.to_owned(),
        });
        self.changes += 1;
    }

    /// How many edits there are so far.
    pub(super) fn changed(&self) -> usize {
        self.changes
    }

    /// The variables that are ours after this injection, as the annotation lists them.
    pub(super) fn rendered_env(&self) -> Option<String> {
        let all = self.containers.iter().flat_map(|draft| {
            draft
                .rendered
                .iter()
                .map(move |name| format!("{}/{name}", &*draft.chosen.container.name))
        });
        let list: Vec<String> = all.chain(self.sidecar_env.iter().cloned()).collect();
        (!list.is_empty()).then(|| list.join(","))
    }

    /// Ends in a decision with the patch.
    pub(super) fn finish(self, outcome: Outcome, reason: Reason, message: String) -> Decision {
        let mut decision = Decision::new(outcome, reason, message);
        let operations = &mut decision.patch;
        let pod = self.pod;
        let has_annotation = |key: &str| pod.annotation(key).is_some();
        match &pod.metadata {
            Some(metadata) => {
                let found = metadata.annotations.is_some().then_some(&has_annotation as Found<'_>);
                emit_map(self.annotations, &["metadata", "annotations"], found, operations);
            }
            // A pod template may have none.
            None => emit_within(self.annotations, &["metadata"], "annotations", operations),
        }
        let has_label = |key: &str| {
            pod.spec
                .node_selector
                .as_ref()
                .is_some_and(|selector| selector.contains_key(key))
        };
        let found = pod.spec.node_selector.is_some().then_some(&has_label as Found<'_>);
        emit_map(self.node_selector, &["spec", "nodeSelector"], found, operations);
        for draft in self.containers {
            draft.emit(operations, &mut decision.env);
        }
        self.volume_edits
            .emit(&["spec", "volumes"], !pod.spec.volumes.is_empty(), operations);
        self.init_edits.emit(
            &["spec", "initContainers"],
            !pod.spec.init_containers.is_empty(),
            operations,
        );
        self.pull_secrets.emit(
            &["spec", "imagePullSecrets"],
            !pod.spec.image_pull_secrets.is_empty(),
            operations,
        );
        decision.volumes = self.volume_changes;
        decision.containers = self.container_changes;
        decision.units = self.units;
        decision.needs = self.needs.into_iter().collect();
        decision.warnings = self.warnings;
        decision
    }
}

/// Merges needs of equal objects: one that is not optional makes the object necessary.
pub(super) fn settle(needs: &BTreeSet<Needed>) -> Vec<Needed> {
    let mut merged: BTreeMap<(&'static str, &str), bool> = BTreeMap::new();
    for need in needs {
        let optional = merged.entry((need.kind, &need.name)).or_insert(true);
        *optional &= need.optional;
    }
    merged
        .into_iter()
        .map(|((kind, name), optional)| Needed {
            kind,
            name: name.to_owned(),
            optional,
        })
        .collect()
}

/// The variables of a container that an earlier injection wrote.
pub(super) fn previous(pod: &Pod<'_>, container: &str) -> BTreeSet<String> {
    let all = pod.annotation(names::RENDERED_ENV).unwrap_or_default().split(',');
    all.filter_map(|entry| entry.strip_prefix(container)?.strip_prefix('/'))
        .map(str::to_owned)
        .collect()
}
