//! The edits of a container's mounts.

use super::ContainerDraft;
use crate::admission::draft::notes::Notes;
use crate::admission::draft::volumes::{Twin, Volumes};
use crate::admission::pod::Mount;
use crate::names;
use crate::path::{Plain, is_same};
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::HashSet;

impl<'p> ContainerDraft<'p> {
    /// The mounts that the pod itself has, each with where it is.
    pub(in crate::admission) fn own_mounts(&self) -> impl Iterator<Item = (&'p Mount<'p>, &Plain<'p>)> {
        let container = self.chosen.container;
        let mounts = || container.volume_mounts.iter().flatten();
        // None of them is longer than a path can be.
        let paths = self
            .paths
            .get_or_init(|| mounts().filter_map(|mount| Plain::of(&mount.mount_path)).collect());
        mounts().zip(paths)
    }

    /// Whether the pod's mount at a position stays, be it brought up to date.
    pub(in crate::admission) fn keeps_mount(&self, position: usize) -> bool {
        !self.mount_edits.remove.contains(&position)
    }

    /// Mounts a volume, of which `shown` is the content. A mount of the pod's own at the same path is as good when `twins`
    /// lets it be and its volume shows the same. Returns whether our volume is needed.
    pub(in crate::admission) fn mount(
        &mut self,
        mount: Value,
        shown: &Value,
        twins: bool,
        volumes: &Volumes<'p>,
        notes: &mut Notes,
    ) -> bool {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
        let (volume, path, sub_path) = (text("name").to_owned(), text("mountPath").to_owned(), text("subPath"));
        let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
        let name = self.name();
        let mut stale = None;
        // A policy's paths are short.
        let Some(wanted) = Plain::of(&path) else {
            return false;
        };
        let files = OnceCell::new();
        let met = self.own_mounts().enumerate().find_map(|(i, (found, at))| {
            let found_path = &*found.mount_path;
            let is_ours = found.name.starts_with(names::NAME_PREFIX);
            if self.mount_edits.remove.contains(&i) {
                return None;
            }
            if *at == wanted {
                let part = [&found.sub_path, &found.sub_path_expr].map(|path| path.as_deref().unwrap_or_default());
                if *found.name == *volume && part == [sub_path, ""] && found.read_only == read_only {
                    return Some(Met::Same);
                }
                if is_ours {
                    stale = Some(i);
                    return None;
                }
                let twin = if twins && part == ["", ""] {
                    volumes.compare(&found.name, shown)
                } else {
                    Twin::Other
                };
                return Some(match twin {
                    Twin::Same => Met::Twin,
                    Twin::Narrower(difference) => Met::Problem(format!(
                        "container {name:?} mounts the same as the policy at {path} already, in volume {:?}, but {difference}; make them agree",
                        &*found.name
                    )),
                    Twin::Other => Met::Problem(format!(
                        "container {name:?} mounts volume {:?} at {path} already, where the policy mounts {volume:?}; choose another path for one of the two",
                        &*found.name
                    )),
                });
            }
            if is_ours {
                return None;
            }
            if wanted.below(at).is_some()
                && let Some(how) = volumes.closed(found)
            {
                return Some(Met::Problem(format!(
                    "container {name:?} mounts {found_path} {how}, and nothing can be mounted below it at {path}; choose another path for one of the two"
                )));
            }
            let entry = at.below(&wanted).filter(|_| read_only)?;
            let files: &Option<HashSet<&str>> = files.get_or_init(|| files_of(shown));
            let has_room = files.as_ref().is_some_and(|files| !files.contains(entry));
            (!has_room).then(|| Met::Problem(format!(
                "container {name:?} mounts {found_path}, which lies below {path}, where the policy mounts a read-only volume; choose another path for one of the two"
            )))
        });
        match met {
            None => {}
            Some(Met::Same) => {
                self.mounts.push((volume, path));
                return true;
            }
            Some(Met::Twin) => return false,
            Some(Met::Problem(problem)) => {
                notes.deny(Some(name), "volumeMounts", problem);
                return true;
            }
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
    pub(in crate::admission::draft) fn remove_stale_mounts(&mut self) {
        let wanted = std::mem::take(&mut self.mounts);
        self.remove_mounts(|mount| {
            mount.name.starts_with(names::NAME_PREFIX)
                && !wanted
                    .iter()
                    .any(|(name, path)| **name == *mount.name && is_same(path, &mount.mount_path))
        });
    }
}

/// What of the pod's own a mount of the policy's meets.
enum Met {
    /// Itself.
    Same,
    /// One that shows the same.
    Twin,
    /// One beside which it cannot be.
    Problem(String),
}

/// The names at the top of a volume that the kubelet writes which are files, at which it makes no directories; none for other
/// volumes, in which it makes none at all.
fn files_of(volume: &Value) -> Option<HashSet<&str>> {
    const WRITTEN: [&str; 4] = ["configMap", "secret", "projected", "downwardAPI"];
    let sources = volume.as_object().into_iter().flatten();
    let mut written = sources.filter(|(kind, _)| WRITTEN.contains(&kind.as_str())).peekable();
    written.peek()?;
    let mut files = HashSet::new();
    written.for_each(|(_, source)| add_files(source, &mut files));
    Some(files)
}

/// Adds what a source names, at any depth.
fn add_files<'v>(source: &'v Value, files: &mut HashSet<&'v str>) {
    match source {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("path", Value::String(path)) => files.extend(path.split('/').next()),
                    _ => add_files(value, files),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_files(item, files)),
        _ => {}
    }
}
