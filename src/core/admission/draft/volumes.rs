//! The pod's volumes, and what happens to them.

use super::notes::Notes;
use crate::admission::bounds;
use crate::admission::decision::Change;
use crate::admission::explain::explain;
use crate::admission::patch::ListEdit;
use crate::admission::pod::{Mount, Pod, Volume};
use crate::admission::rendering::is_rendered_as;
use crate::names;
use crate::policy::render;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// The volumes of a draft.
#[derive(Debug)]
pub(in crate::admission) struct Volumes<'p> {
    /// The pod's, by position, each with its text.
    found: Vec<(Volume<'p>, &'p str)>,
    /// By position, whether one is read-only by its source, where somebody has asked: its text may be long, and its mounts many.
    read_only: RefCell<HashMap<usize, bool>>,
    positions: HashMap<String, usize>,
    /// Names of those that the policy wants.
    wanted: BTreeSet<String>,
    edits: ListEdit,
    changes: Vec<Change>,
}

/// What a volume of the pod shows, compared with one of ours.
pub(in crate::admission) enum Twin {
    /// The same.
    Same,
    /// The same to fewer: in which way.
    Narrower(String),
    /// Something else.
    Other,
}

const MODE: &str = "defaultMode";

impl<'p> Volumes<'p> {
    /// Reads the pod's volumes; an error names the field that has another type than Kubernetes allows.
    pub(super) fn of(pod: &'p Pod<'p>) -> Result<Self, String> {
        let mut found: Vec<(Volume<'p>, &'p str)> = Vec::with_capacity(pod.spec.volumes.len());
        for (i, raw) in pod.spec.volumes.iter().enumerate() {
            let volume: Volume<'p> = serde_json::from_str(raw.get())
                .map_err(|_| explain::<Volume<'_>>(raw.get().as_bytes(), &format!("spec.volumes[{i}]")))?;
            found.push((volume, raw.get()));
        }
        let mut positions = HashMap::with_capacity(found.len());
        let mut names = BTreeSet::new();
        for (i, (volume, _)) in found.iter().enumerate() {
            bounds::check_name(&volume.name, &mut names, || format!("spec.volumes[{i}]"))?;
            positions.insert(volume.name.to_string(), i);
        }
        Ok(Self {
            found,
            read_only: RefCell::default(),
            positions,
            wanted: BTreeSet::new(),
            edits: ListEdit::default(),
            changes: Vec::new(),
        })
    }

    /// How many edits there are so far.
    pub(super) fn changed(&self) -> usize {
        self.changes.len()
    }

    /// The pod's volume of this name.
    pub(in crate::admission) fn get(&self, name: &str) -> Option<&Volume<'p>> {
        self.position(name)
            .and_then(|i| self.found.get(i))
            .map(|(volume, _)| volume)
    }

    /// The pod's volumes as they are before any edit.
    pub(in crate::admission) fn found(&self) -> impl Iterator<Item = &Volume<'p>> {
        self.found.iter().map(|(volume, _)| volume)
    }

    /// The pod's own volumes that stay as they are, each with its text.
    pub(in crate::admission) fn kept(&self) -> impl Iterator<Item = (&Volume<'p>, &'p str)> {
        let all = self.found.iter().enumerate();
        all.filter(|(i, _)| self.edits.keeps(*i))
            .map(|(_, (volume, raw))| (volume, *raw))
    }

    /// Whether the policy wants a volume of this name.
    pub(in crate::admission) fn is_wanted(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// What the pod's volume of this name shows, compared with one of ours, which is without its name.
    pub(in crate::admission) fn compare(&self, name: &str, volume: &Value) -> Twin {
        let Some((_, mut found)) = self.whole(name) else {
            return Twin::Other;
        };
        let rendered = render::named(name, volume);
        if is_rendered_as(&found, &rendered) {
            return Twin::Same;
        }
        let (Some((kind, ours)), Some(found)) = (source(volume), found.as_object_mut()) else {
            return Twin::Other;
        };
        let mode = |source: &Value| source.get(MODE).and_then(Value::as_i64).unwrap_or(0o644);
        let Some(theirs) = found.get_mut(kind) else {
            return Twin::Other;
        };
        let (has, needs) = (mode(theirs), mode(ours));
        // A pod that starts without the object is its author's choice.
        for field in [MODE, "optional"] {
            match (theirs.as_object_mut(), ours.get(field)) {
                (Some(theirs), Some(value)) => drop(theirs.insert(field.to_owned(), value.clone())),
                (Some(theirs), None) => drop(theirs.shift_remove(field)),
                (None, _) => {}
            }
        }
        match is_rendered_as(&Value::Object(found.clone()), &rendered) {
            false => Twin::Other,
            true if has & needs == needs => Twin::Same,
            true => Twin::Narrower(format!("with {MODE} {has:04o}, where the policy has {needs:04o}")),
        }
    }

    /// Why nothing can be mounted below a mount of the pod's, if so: nobody could make the directory for it. The kubelet makes
    /// it in volumes that it writes itself, and the runtime where it may write.
    pub(in crate::admission) fn closed(&self, mount: &Mount<'_>) -> Option<&'static str> {
        let part = [&mount.sub_path, &mount.sub_path_expr]
            .into_iter()
            .flatten()
            .any(|path| !path.is_empty());
        let found = self.position(&mount.name).and_then(|i| Some((i, self.found.get(i)?)));
        match found {
            Some((_, (volume, _))) if volume.is_written_by_kubelet() => {
                part.then_some("as a part of a volume that only the kubelet writes")
            }
            Some((_, (volume, _))) if volume.image.is_some() => Some("from an image"),
            _ if mount.read_only => Some("read-only"),
            Some((i, (_, raw))) => {
                let mut known = self.read_only.borrow_mut();
                let read_only = *known.entry(i).or_insert_with(|| is_read_only(raw));
                read_only.then_some("from a volume that is read-only")
            }
            None => None,
        }
    }

    /// The content of the pod's volume of this name.
    pub(in crate::admission) fn content(&self, name: &str) -> Option<Value> {
        self.whole(name).map(|(_, content)| content)
    }

    /// Adds a volume or brings it up to date. A volume that is not under our prefix is the pod's and stays. `volume` is
    /// without its name.
    pub(in crate::admission) fn add(&mut self, name: &str, volume: &Value, notes: &mut Notes) {
        if !self.wanted.insert(name.to_owned()) {
            return;
        }
        let rendered = render::named(name, volume);
        match self.whole(name) {
            None => {
                self.edits.append.push(rendered);
                self.change("add", name);
            }
            Some((_, found)) if is_rendered_as(&found, &rendered) => {}
            Some((i, _)) if name.starts_with(names::NAME_PREFIX) => {
                self.edits.replace.insert(i, rendered);
                self.change("replace", name);
            }
            Some(_) => notes.deny(
                None,
                "spec.volumes",
                format!(
                    "volume {name:?} exists in the pod with another source than the policy's; rename one of the two"
                ),
            ),
        }
    }

    /// Removes the pod's volume of this name.
    pub(in crate::admission) fn remove(&mut self, name: &str) {
        if let Some(i) = self.position(name)
            && self.edits.remove.insert(i)
        {
            self.change("remove", name);
        }
    }

    /// Removes the volumes under our prefix that the policy does not want (any more).
    pub(super) fn remove_stale(&mut self) {
        for (i, (volume, _)) in self.found.iter().enumerate() {
            if volume.name.starts_with(names::NAME_PREFIX)
                && !self.wanted.contains(&*volume.name)
                && self.edits.remove.insert(i)
            {
                self.changes.push(Change::new("remove", &volume.name));
            }
        }
    }

    /// Appends the operations, and the volumes that change.
    pub(super) fn emit(self, operations: &mut Vec<json_patch::PatchOperation>) -> Vec<Change> {
        let exists = !self.found.is_empty();
        self.edits.emit(&["spec", "volumes"], exists, operations);
        self.changes
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    fn whole(&self, name: &str) -> Option<(usize, Value)> {
        let i = self.position(name)?;
        let (_, raw) = self.found.get(i)?;
        Some((i, serde_json::from_str(raw).unwrap_or_default()))
    }

    fn change(&mut self, op: &'static str, name: &str) {
        self.changes.push(Change::new(op, name));
    }
}

impl Volume<'_> {
    /// Whether the kubelet makes the directories for what is mounted below it, and nobody else writes into it.
    fn is_written_by_kubelet(&self) -> bool {
        self.config_map.is_some() || self.secret.is_some() || self.projected.is_some() || self.downward_api.is_some()
    }
}

/// The kind of a volume without its name, and what that says.
fn source(volume: &Value) -> Option<(&String, &Value)> {
    volume.as_object()?.iter().find(|(_, source)| source.is_object())
}

/// Whether a volume is read-only by its source: a claim, a disk, a share.
fn is_read_only(raw: &str) -> bool {
    let volume: Value = serde_json::from_str(raw).unwrap_or_default();
    let mut sources = volume.as_object().into_iter().flat_map(|volume| volume.values());
    sources.any(|source| source.get("readOnly").and_then(Value::as_bool) == Some(true))
}
