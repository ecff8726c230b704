//! What a policy makes of a pod, collected before anything is emitted: what happens to each chosen container, to the
//! volumes, to our containers, to annotations and node selector, and what is noted on the way.

mod container;
mod init_containers;
mod notes;
mod volumes;

pub(super) use container::ContainerDraft;
pub(super) use container::references::{Dangling, SUB_PATH};
pub(super) use init_containers::InitContainers;
pub(super) use notes::Notes;
pub(super) use volumes::Volumes;

use super::decision::{Decision, Outcome, Reason, UnitState};
use super::earlier::Earlier;
use super::patch::{Found, ListEdit, emit_map, emit_within};
use super::pod::Pod;
use super::select::{self, Chosen, Place};
use crate::names;
use serde_json::json;
use std::collections::HashMap;

/// The whole draft. Its parts are borrowed apart: who edits a container can read the volumes and write notes.
#[derive(Debug)]
pub(super) struct Draft<'p> {
    pub(super) pod: &'p Pod<'p>,
    /// The chosen containers; behind them, once [`Self::remove_stale`] ran, those that only an earlier injection served.
    pub(super) containers: Vec<ContainerDraft<'p>>,
    chosen: usize,
    /// Positions in that list.
    places: HashMap<Place, usize>,
    pub(super) volumes: Volumes<'p>,
    pub(super) init_containers: InitContainers,
    pub(super) notes: Notes,
    pub(super) earlier: Earlier<'p>,
    annotations: Vec<(String, Option<String>)>,
    node_selector: Vec<(String, Option<String>)>,
    pull_secrets: ListEdit,
    /// Edits of the last three.
    changes: usize,
}

impl<'p> Draft<'p> {
    /// A draft that changes nothing yet.
    ///
    /// # Errors
    /// When a volume cannot be read; the text names the field by its path.
    pub(super) fn new(pod: &'p Pod<'p>, chosen: Vec<Chosen<'p>>, earlier: Earlier<'p>) -> Result<Self, String> {
        let draft = |chosen: Chosen<'p>| ContainerDraft::new(pod, chosen, &earlier);
        let containers: Vec<_> = chosen.into_iter().map(draft).collect();
        Ok(Self {
            pod,
            places: { containers.iter().enumerate() }
                .map(|(i, draft)| (draft.chosen.place, i))
                .collect(),
            chosen: containers.len(),
            containers,
            volumes: Volumes::of(pod)?,
            init_containers: InitContainers::default(),
            notes: Notes::default(),
            earlier,
            annotations: Vec::new(),
            node_selector: Vec::new(),
            pull_secrets: ListEdit::default(),
            changes: 0,
        })
    }

    /// The draft of a container, if it is served now or was earlier.
    pub(super) fn at(&self, place: Place) -> Option<&ContainerDraft<'p>> {
        self.containers.get(*self.places.get(&place)?)
    }

    /// The containers that this injection serves.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &ContainerDraft<'p>> {
        self.containers.iter().take(self.chosen)
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
        self.notes.unit(name, state, None, detail.into());
    }

    /// Adds a volume, given without its name, or brings it up to date.
    pub(super) fn add_volume(&mut self, name: &str, volume: &serde_json::Value) {
        self.volumes.add(name, volume, &mut self.notes);
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
        let selector = self.pod.spec.node_selector.as_ref();
        match selector.and_then(|selector| selector.get(key)) {
            None => {
                self.node_selector.push((key.to_owned(), Some(value.to_owned())));
                self.changes += 1;
            }
            Some(found) if **found == *value => {}
            Some(_) => self.notes.deny(
                None,
                "spec.nodeSelector",
                format!("spec.nodeSelector[{key}] has another value than {value:?}, which the identity needs"),
            ),
        }
    }

    /// Has the pod's images pulled with these Secrets, too.
    pub(super) fn pull_with(&mut self, secrets: &[String]) {
        let own = &self.pod.spec.image_pull_secrets;
        for secret in secrets {
            if !own.iter().any(|reference| *reference.name == **secret) {
                self.pull_secrets.append.push(json!({"name": secret}));
                self.changes += 1;
            }
        }
    }

    /// Removes what stands in the pod under our names and is not wanted (any more): volumes, mounts, containers, variables
    /// and annotations of an earlier injection.
    pub(super) fn remove_stale(&mut self) {
        self.volumes.remove_stale();
        self.adopt_former();
        for target in &mut self.containers {
            target.remove_stale_mounts();
            target.remove_stale_env();
        }
        self.init_containers.settle(self.pod);
        self.init_containers.remove_stale(self.pod);
        for (annotation, volume) in [
            (names::CREDENTIAL_CONFIGURATION, names::CREDENTIALS_VOLUME),
            (names::LOOPBACK_CONFIGURATION, names::LOOPBACK_VOLUME),
        ] {
            if self.pod.annotation(annotation).is_some() && !self.volumes.is_wanted(volume) {
                self.annotate(annotation, None);
            }
        }
    }

    /// Takes in the containers that an earlier injection served and this one does not, to clean them up.
    fn adopt_former(&mut self) {
        // The list of an OpenShell pod speaks of its JSON.
        if self.containers.iter().any(|draft| draft.json.is_some()) {
            return;
        }
        for (place, container) in select::own(self.pod) {
            if self.at(place).is_none() && self.earlier.is_served(container) {
                let former = ContainerDraft::new(self.pod, Chosen { place, container }, &self.earlier);
                self.places.insert(place, self.containers.len());
                self.containers.push(former);
            }
        }
    }

    /// How many edits there are so far.
    pub(super) fn changed(&self) -> usize {
        let containers: usize = self.containers.iter().map(ContainerDraft::changed).sum();
        containers + self.volumes.changed() + self.init_containers.changed() + self.changes
    }

    /// The variables that are ours after this injection, as the annotation lists them.
    pub(super) fn rendered_env(&self) -> Option<String> {
        let all = self.containers.iter().flat_map(ContainerDraft::rendered_env);
        let list: Vec<String> = all.collect();
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
        let selector = pod.spec.node_selector.as_ref();
        let has_label = |key: &str| selector.is_some_and(|selector| selector.contains_key(key));
        let found = selector.is_some().then_some(&has_label as Found<'_>);
        emit_map(self.node_selector, &["spec", "nodeSelector"], found, operations);
        for draft in self.containers {
            draft.emit(operations, &mut decision.env);
        }
        decision.volumes = self.volumes.emit(operations);
        decision.containers = self.init_containers.emit(pod, operations);
        let pulls = !pod.spec.image_pull_secrets.is_empty();
        self.pull_secrets.emit(&["spec", "imagePullSecrets"], pulls, operations);
        decision.needs = self.notes.needs();
        decision.units = self.notes.units;
        decision.warnings = self.notes.warnings.into_shown();
        decision
    }
}
