//! One chosen container within a draft: its environment, the edits of its variables and, in [`mounts`], of its mounts.

mod after;
mod mounts;
pub(super) mod references;

use super::notes::Notes;
use crate::admission::decision::Change;
use crate::admission::earlier::Earlier;
use crate::admission::env::{Environment, Given, Known};
use crate::admission::patch::ListEdit;
use crate::admission::pod::Pod;
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::rendering::is_rendered_as;
use crate::admission::select::{Chosen, Place};
use crate::clients::{API_KEYS, CREDENTIAL_SOURCES, OTHER_PROVIDERS};
use crate::names;
use crate::path::Plain;
use crate::policy::render;
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// Most sources of hidden variables in a sentence.
const MAX_SOURCES: usize = 8;

/// One chosen container.
#[derive(Debug)]
pub(in crate::admission) struct ContainerDraft<'p> {
    pub(in crate::admission) chosen: Chosen<'p>,
    pub(in crate::admission) environment: Environment<'p>,
    /// OpenShell's JSON environment with its position in `env`; set when the variables go there.
    pub(in crate::admission) json: Option<(usize, Map<String, Value>)>,
    /// Why a credential file of the container's own may be left, if so.
    pub(in crate::admission) left_credential_file: Option<String>,
    env_edits: ListEdit,
    mount_edits: ListEdit,
    /// Where the pod's mounts are, when somebody has asked.
    paths: OnceCell<Vec<Plain<'p>>>,
    /// Volume and path of the mounts that the policy wants.
    mounts: Vec<(String, String)>,
    /// Variables that an earlier injection wrote.
    previous: BTreeSet<String>,
    /// Variables that are planned; the first plan of a variable stands.
    planned: BTreeSet<String>,
    /// Variables whose value is our rendering.
    rendered: BTreeSet<String>,
    env_changes: Vec<Change>,
    mount_changes: usize,
}

impl<'p> ContainerDraft<'p> {
    pub(super) fn new(pod: &'p Pod<'p>, chosen: Chosen<'p>, earlier: &Earlier<'p>) -> Self {
        Self {
            chosen,
            environment: Environment::of(pod, chosen.container),
            json: None,
            left_credential_file: None,
            env_edits: ListEdit::default(),
            mount_edits: ListEdit::default(),
            paths: OnceCell::new(),
            mounts: Vec::new(),
            previous: earlier.variables(&chosen.container.name),
            planned: BTreeSet::new(),
            rendered: BTreeSet::new(),
            env_changes: Vec::new(),
            mount_changes: 0,
        }
    }

    /// How many edits there are so far.
    pub(super) fn changed(&self) -> usize {
        self.env_changes.len() + self.mount_changes
    }

    /// The container's name.
    pub(in crate::admission) fn name(&self) -> &'p str {
        &self.chosen.container.name
    }

    /// From where the container takes variables that nobody sees at admission (`envFrom`), if it does.
    pub(in crate::admission) fn hidden_sources(&self) -> Option<String> {
        let mut sources: Vec<String> = Vec::new();
        for source in &self.chosen.container.env_from {
            let of_kind = |kind, name: &str| format!("{kind} {name}");
            sources.extend(source.config_map_ref.as_ref().map(|it| of_kind("ConfigMap", &it.name)));
            sources.extend(source.secret_ref.as_ref().map(|it| of_kind("Secret", &it.name)));
            if sources.len() > MAX_SOURCES {
                break;
            }
        }
        let more = if sources.len() > MAX_SOURCES { ", …" } else { "" };
        sources.truncate(MAX_SOURCES);
        (!sources.is_empty()).then(|| sources.join(", ") + more)
    }

    /// Whether an earlier injection wrote this variable.
    pub(in crate::admission) fn is_previous(&self, name: &str) -> bool {
        self.previous.contains(name) && self.may_be_ours(name)
    }

    /// Whether an injection can have written a variable as it stands: the annotation that lists it may be forged.
    fn may_be_ours(&self, name: &str) -> bool {
        if !CREDENTIAL_SOURCES.contains(&name) {
            return !API_KEYS.contains(&name) && !OTHER_PROVIDERS.contains(&name);
        }
        let Some(Known::Text(path)) = self.environment.known(name) else {
            return false;
        };
        let Some(path) = Plain::of(path) else {
            return false;
        };
        let is_in = |directory: &Plain<'_>| path.is_file_in(directory, names::CREDENTIAL_FILE);
        let mut ours = self
            .own_mounts()
            .filter(|(mount, _)| mount.name.starts_with(names::NAME_PREFIX));
        ours.any(|(_, directory)| is_in(directory))
            || Plain::of(names::CREDENTIAL_DIRECTORY).is_some_and(|it| is_in(&it))
    }

    /// Whether this injection sets this variable, or leaves the pod's equal one.
    pub(in crate::admission) fn is_planned(&self, name: &str) -> bool {
        self.planned.contains(name)
    }

    /// Keys within a variable that an earlier injection merged into it; listed as `VARIABLE/KEY`.
    pub(in crate::admission) fn previous_within(&self, variable: &str) -> BTreeSet<String> {
        let within = |entry: &String| Some(entry.strip_prefix(variable)?.strip_prefix('/')?.to_owned());
        self.previous.iter().filter_map(within).collect()
    }

    /// Whether the value of a variable is our rendering after this injection.
    pub(in crate::admission) fn is_rendered(&self, name: &str) -> bool {
        self.rendered.contains(name)
    }

    /// Whether the pod's variable at a position stays as it is.
    pub(in crate::admission) fn keeps_env(&self, position: usize) -> bool {
        self.env_edits.keeps(position)
    }

    /// The volumes of the mounts that are added.
    pub(in crate::admission) fn newly_mounted(&self) -> impl Iterator<Item = &str> {
        let added = self.mount_edits.append.iter();
        added.filter_map(|mount| mount.get("name")?.as_str())
    }

    /// The variables that are ours after this injection, as the annotation lists them.
    pub(super) fn rendered_env(&self) -> impl Iterator<Item = String> {
        let name = self.name();
        self.rendered.iter().map(move |variable| format!("{name}/{variable}"))
    }

    /// Removes the variables that an earlier injection wrote and this one does not.
    pub(super) fn remove_stale_env(&mut self) {
        // What is planned is rendered, or given back to the pod.
        let is_stale = |name: &str| self.is_previous(name) && !self.planned.contains(name);
        // From what is there, because nobody bounds what the annotation lists.
        let stale: BTreeMap<String, Vec<usize>> = self.environment.positions_of(is_stale);
        for (name, positions) in stale {
            self.remove_env_at(&name, &positions);
        }
    }

    /// Sets a variable; `value` is the whole entry.
    pub(in crate::admission) fn set_env(&mut self, name: &str, value: Value, notes: &mut Notes) {
        if !self.planned.insert(name.to_owned()) {
            return;
        }
        let found = self.environment.position(name);
        let mut value = value;
        let mut early = found.is_some_and(|position| self.precedes_a_reference(position, &value));
        // What others refer to keeps its place, and so takes the value itself.
        if early && let Some(resolved) = found.and_then(|position| self.resolved(name, position, &value)) {
            value = resolved;
            early = false;
        }
        if found.is_some() && !early && self.holds(name, &value) {
            // The pod's own equal value stays the pod's.
            if self.is_previous(name) {
                self.rendered.insert(name.to_owned());
            }
            return;
        }
        self.rendered.insert(name.to_owned());
        if let Some((_, json)) = &mut self.json {
            let Some(text) = value.get("value").and_then(Value::as_str) else {
                let problem = format!(
                    "variable {name} has a valueFrom, which OPENSHELL_USER_ENVIRONMENT cannot hold; give it a value or leave openShell at Skip"
                );
                notes.deny(Some(self.name()), name, problem);
                return;
            };
            json.insert(name.to_owned(), text.into());
        } else {
            match found {
                Some(i) if !early => drop(self.env_edits.replace.insert(i, value)),
                _ => {
                    self.env_edits.remove.extend(self.environment.positions(name));
                    self.env_edits.append.push(value);
                }
            }
        }
        self.change(if found.is_some() { "replace" } else { "add" }, name);
    }

    /// Gives a variable back to the pod, with the value that it had without us.
    pub(in crate::admission) fn restore_env(&mut self, name: &str, value: Value, notes: &mut Notes) {
        self.set_env(name, value, notes);
        self.rendered.remove(name);
    }

    /// Notes the keys within a variable that are ours.
    pub(in crate::admission) fn note_within(&mut self, variable: &str, keys: Vec<String>) {
        self.rendered
            .extend(keys.into_iter().map(|key| format!("{variable}/{key}")));
    }

    /// Removes a variable that is there and not removed already.
    pub(in crate::admission) fn remove_env(&mut self, name: &str) {
        let positions = self.environment.positions(name);
        self.remove_env_at(name, &positions);
    }

    fn remove_env_at(&mut self, name: &str, positions: &[usize]) {
        let removed = match &mut self.json {
            Some((_, json)) => json.shift_remove(name).is_some(),
            None => {
                let before = self.env_edits.remove.len();
                self.env_edits.remove.extend(positions);
                self.env_edits.remove.len() > before
            }
        };
        if removed {
            self.change("remove", name);
        }
    }

    /// Whether the variable has exactly this entry.
    pub(in crate::admission) fn holds(&self, name: &str, value: &Value) -> bool {
        match (self.environment.given(name), value.get("value"), value.get("valueFrom")) {
            (Some(Given::Literal(found)), Some(Value::String(text)), None) => found == text,
            (Some(Given::From { source, .. }), None, Some(from)) => {
                serde_json::from_str::<Value>(source).is_ok_and(|found| is_rendered_as(&found, from))
            }
            _ => false,
        }
    }

    fn change(&mut self, op: &'static str, name: &str) {
        let name = format!("{}/{name}", self.name());
        self.env_changes.push(Change { op, name });
    }

    /// Appends the operations, and the variables that change.
    pub(super) fn emit(mut self, operations: &mut Vec<json_patch::PatchOperation>, changes: &mut Vec<Change>) {
        let Chosen {
            place: Place { list, index },
            container,
        } = self.chosen;
        let index = index.to_string();
        if let Some((position, json)) = self.json
            && !self.env_changes.is_empty()
        {
            let value = render::literal(OPENSHELL_USER_ENVIRONMENT, &Value::Object(json).to_string());
            self.env_edits.replace.insert(position, value);
        }
        let env = container.env.as_ref().is_some_and(|env| !env.is_empty());
        let mounts = container
            .volume_mounts
            .as_ref()
            .is_some_and(|mounts| !mounts.is_empty());
        self.env_edits
            .emit(&["spec", list.field(), &index, "env"], env, operations);
        self.mount_edits
            .emit(&["spec", list.field(), &index, "volumeMounts"], mounts, operations);
        changes.append(&mut self.env_changes);
    }
}
