//! One chosen container within a draft: its environment, and the edits of its variables and mounts.

use crate::admission::decision::Change;
use crate::admission::env::{Environment, Given, references};
use crate::admission::ours::is_ours;
use crate::admission::patch::ListEdit;
use crate::admission::pod::Pod;
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::render;
use crate::admission::select::{Chosen, Place};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// One chosen container.
#[derive(Debug)]
pub(in crate::admission) struct ContainerDraft<'p> {
    pub(in crate::admission) chosen: Chosen<'p>,
    pub(in crate::admission) environment: Environment<'p>,
    /// OpenShell's JSON environment with its position in `env`; set when the variables go there.
    pub(in crate::admission) json: Option<(usize, Map<String, Value>)>,
    pub(super) env_edits: ListEdit,
    pub(super) mount_edits: ListEdit,
    /// Volume and path of the mounts that the policy wants.
    pub(super) mounts: Vec<(String, String)>,
    /// Variables that an earlier injection wrote.
    pub(super) previous: BTreeSet<String>,
    /// Variables that are planned; the first plan of a variable stands.
    pub(super) planned: BTreeSet<String>,
    /// Variables whose value is our rendering.
    pub(super) rendered: BTreeSet<String>,
    pub(super) env_changes: Vec<Change>,
}

impl<'p> ContainerDraft<'p> {
    pub(super) fn new(pod: &'p Pod<'p>, chosen: Chosen<'p>) -> Self {
        Self {
            chosen,
            environment: Environment::of(chosen.container),
            json: None,
            env_edits: ListEdit::default(),
            mount_edits: ListEdit::default(),
            mounts: Vec::new(),
            previous: super::previous(pod, &chosen.container.name),
            planned: BTreeSet::new(),
            rendered: BTreeSet::new(),
            env_changes: Vec::new(),
        }
    }

    /// The container's name.
    pub(in crate::admission) fn name(&self) -> &'p str {
        &self.chosen.container.name
    }

    /// Whether an earlier injection wrote this variable.
    pub(in crate::admission) fn is_previous(&self, name: &str) -> bool {
        self.previous.contains(name)
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

    /// Whether a mount is to be removed.
    pub(in crate::admission) fn removes_mount(&self, index: usize) -> bool {
        self.mount_edits.remove.contains(&index)
    }

    /// Removes the variables that an earlier injection wrote and this one does not; how many.
    pub(super) fn remove_stale(&mut self) -> usize {
        // What is planned is rendered, or given back to the pod.
        let is_stale = |name: &str| self.previous.contains(name) && !self.planned.contains(name);
        // From what is there, because nobody bounds what the annotation lists.
        let stale: BTreeMap<String, Vec<usize>> = self.environment.positions_of(is_stale);
        stale.into_iter().filter(|(name, at)| self.remove_at(name, at)).count()
    }

    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<bool, String> {
        if !self.planned.insert(name.to_owned()) {
            return Ok(false);
        }
        let found = self.environment.position(name);
        let early = found.is_some_and(|position| self.precedes_a_reference(position, &value));
        if found.is_some() && !early && self.holds(name, &value) {
            // The pod's own equal value stays the pod's.
            if self.previous.contains(name) {
                self.rendered.insert(name.to_owned());
            }
            return Ok(false);
        }
        self.rendered.insert(name.to_owned());
        if let Some((_, json)) = &mut self.json {
            let Some(text) = value.get("value").and_then(Value::as_str) else {
                return Err(format!(
                    "variable {name} has a valueFrom, which OPENSHELL_USER_ENVIRONMENT cannot hold; give it a value or leave openShell at Skip"
                ));
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
        Ok(true)
    }

    /// Removes a variable; false when it is not there or removed already.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let positions = self.environment.positions(name);
        self.remove_at(name, &positions)
    }

    fn remove_at(&mut self, name: &str, positions: &[usize]) -> bool {
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
        removed
    }

    /// Whether an entry at this position would refer to a variable that only follows behind it.
    fn precedes_a_reference(&self, position: usize, entry: &Value) -> bool {
        let text = entry.get("value").and_then(Value::as_str).unwrap_or_default();
        self.json.is_none()
            && references(text).any(|name| match self.environment.position(name) {
                Some(other) => other > position || self.env_edits.remove.contains(&other),
                None => self.planned.contains(name),
            })
    }

    /// Whether the variable has exactly this entry.
    pub(in crate::admission) fn holds(&self, name: &str, value: &Value) -> bool {
        match (self.environment.given(name), value.get("value"), value.get("valueFrom")) {
            (Some(Given::Literal(found)), Some(Value::String(text)), None) => found == text,
            (Some(Given::From { source, .. }), None, Some(from)) => {
                serde_json::from_str::<Value>(source).is_ok_and(|found| is_ours(&found, from))
            }
            _ => false,
        }
    }

    fn change(&mut self, op: &'static str, name: &str) {
        self.env_changes.push(Change {
            op,
            name: format!("{}/{name}", self.name()),
        });
    }

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
        let exists = |list: Option<usize>| list.is_some_and(|length| length > 0);
        self.env_edits.emit(
            &["spec", list, &index, "env"],
            exists(container.env.as_ref().map(Vec::len)),
            operations,
        );
        let mounts = exists(container.volume_mounts.as_ref().map(Vec::len));
        self.mount_edits
            .emit(&["spec", list, &index, "volumeMounts"], mounts, operations);
        changes.append(&mut self.env_changes);
    }
}
