//! One chosen container within a draft: its environment, and the edits of its variables and mounts.

use super::notes::Notes;
use crate::admission::decision::Change;
use crate::admission::env::{Environment, Given, references};
use crate::admission::patch::ListEdit;
use crate::admission::pod::{Mount, Pod};
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::rendering::is_rendered_as;
use crate::admission::select::{Chosen, Place};
use crate::names;
use crate::path::{is_below, is_same};
use crate::policy::render;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One chosen container.
#[derive(Debug)]
pub(in crate::admission) struct ContainerDraft<'p> {
    pub(in crate::admission) chosen: Chosen<'p>,
    pub(in crate::admission) environment: Environment<'p>,
    /// OpenShell's JSON environment with its position in `env`; set when the variables go there.
    pub(in crate::admission) json: Option<(usize, Map<String, Value>)>,
    /// Whether a credential file of the container's own may be left.
    pub(in crate::admission) keeps_credential_file: bool,
    env_edits: ListEdit,
    mount_edits: ListEdit,
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

/// The variables that an earlier injection wrote, by container.
pub(in crate::admission) struct Previous<'p>(HashMap<&'p str, Vec<&'p str>>);

impl<'p> ContainerDraft<'p> {
    pub(super) fn new(previous: &Previous<'_>, chosen: Chosen<'p>) -> Self {
        Self {
            chosen,
            environment: Environment::of(chosen.container),
            json: None,
            keeps_credential_file: false,
            env_edits: ListEdit::default(),
            mount_edits: ListEdit::default(),
            mounts: Vec::new(),
            previous: previous.variables(&chosen.container.name),
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

    /// Whether the pod's variable at a position stays as it is.
    pub(in crate::admission) fn keeps_env(&self, position: usize) -> bool {
        self.env_edits.keeps(position)
    }

    /// Whether the pod's mount at a position stays, be it brought up to date.
    pub(in crate::admission) fn keeps_mount(&self, position: usize) -> bool {
        !self.mount_edits.remove.contains(&position)
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
        let is_stale = |name: &str| self.previous.contains(name) && !self.planned.contains(name);
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
        let early = found.is_some_and(|position| self.precedes_a_reference(position, &value));
        if found.is_some() && !early && self.holds(name, &value) {
            // The pod's own equal value stays the pod's.
            if self.previous.contains(name) {
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

    /// Mounts a volume. A mount of the pod's own at the same path is as good when `is_twin` says that its volume shows the
    /// same. Returns whether our volume is needed.
    pub(in crate::admission) fn mount(
        &mut self,
        mount: Value,
        is_twin: impl Fn(&str) -> bool,
        notes: &mut Notes,
    ) -> bool {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
        let (volume, path, sub_path) = (text("name").to_owned(), text("mountPath").to_owned(), text("subPath"));
        let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
        let name = self.name();
        let mut stale = None;
        for (i, found) in self.chosen.container.volume_mounts.iter().flatten().enumerate() {
            let found_path = found.mount_path.trim_end_matches('/');
            let is_ours = found.name.starts_with(names::PIECE_PREFIX);
            if self.mount_edits.remove.contains(&i) {
                continue;
            }
            let problem = if is_same(found_path, &path) {
                let plain = found.sub_path.as_deref().unwrap_or_default() == sub_path
                    && found.sub_path_expr.as_deref().unwrap_or_default().is_empty()
                    && found.read_only == read_only;
                if *found.name == *volume && plain {
                    self.mounts.push((volume, path));
                    return true;
                }
                if is_ours {
                    stale = Some(i);
                    continue;
                }
                if found.sub_path.is_none() && found.sub_path_expr.is_none() && is_twin(&found.name) {
                    return false;
                }
                format!(
                    "container {name:?} mounts volume {:?} at {path} already, where the policy mounts {volume:?}; choose another path for one of the two",
                    &*found.name
                )
            } else if is_ours {
                continue;
            } else if found.read_only && is_below(&path, found_path) {
                format!(
                    "container {name:?} mounts {found_path} read-only, and nothing can be mounted below it at {path}"
                )
            } else if read_only && is_below(found_path, &path) {
                format!(
                    "container {name:?} mounts {found_path}, which lies below {path}, where the policy mounts a read-only volume"
                )
            } else {
                continue;
            };
            notes.deny(Some(name), "volumeMounts", problem);
            return true;
        }
        self.mounts.push((volume, path));
        match stale {
            Some(i) => drop(self.mount_edits.replace.insert(i, mount)),
            None => self.mount_edits.append.push(mount),
        }
        self.mount_changes += 1;
        true
    }

    /// Removes mounts that are not brought up to date.
    pub(in crate::admission) fn remove_mounts(&mut self, which: impl Fn(&Mount<'p>) -> bool) {
        let edits = &mut self.mount_edits;
        for (i, mount) in self.chosen.container.volume_mounts.iter().flatten().enumerate() {
            if which(mount) && !edits.replace.contains_key(&i) && edits.remove.insert(i) {
                self.mount_changes += 1;
            }
        }
    }

    /// Removes mounts of our volumes that the policy does not want (any more).
    pub(super) fn remove_stale_mounts(&mut self) {
        let wanted = std::mem::take(&mut self.mounts);
        self.remove_mounts(|mount| {
            mount.name.starts_with(names::PIECE_PREFIX)
                && !wanted
                    .iter()
                    .any(|(name, path)| **name == *mount.name && is_same(path, &mount.mount_path))
        });
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

impl<'p> Previous<'p> {
    /// What the pod's annotation lists.
    pub(in crate::admission) fn of(pod: &'p Pod<'_>) -> Self {
        let mut entries: HashMap<&str, Vec<&str>> = HashMap::new();
        for entry in pod.annotation(names::RENDERED_ENV).unwrap_or_default().split(',') {
            if let Some((container, variable)) = entry.split_once('/') {
                entries.entry(container).or_default().push(variable);
            }
        }
        Self(entries)
    }

    /// Whether it wrote any in a container.
    pub(in crate::admission) fn names(&self, container: &str) -> bool {
        self.0.contains_key(container)
    }

    /// Those of a container.
    pub(in crate::admission) fn variables(&self, container: &str) -> BTreeSet<String> {
        let variables = self.0.get(container).into_iter().flatten();
        variables.map(|variable| (*variable).to_owned()).collect()
    }
}
