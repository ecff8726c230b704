//! The volumes of a draft and their mounts in its containers.

use super::Draft;
use crate::admission::decision::Change;
use crate::admission::ours::is_ours;
use crate::admission::pod::{Mount, Volume};
use crate::admission::render;
use crate::names;
use serde_json::Value;

impl<'p> Draft<'p> {
    /// The pod's volume of this name.
    pub(in crate::admission) fn volume(&self, name: &str) -> Option<(usize, &Volume<'p>, &'p str)> {
        self.volumes
            .iter()
            .enumerate()
            .find(|(_, (volume, _))| *volume.name == *name)
            .map(|(i, (volume, raw))| (i, volume, *raw))
    }

    /// Adds a volume or brings it up to date. A volume that is not under our prefix is the pod's and stays.
    pub(in crate::admission) fn add_volume(&mut self, name: &str, volume: &Value) {
        if !self.wanted_volumes.insert(name.to_owned()) {
            return;
        }
        let rendered = render::named(name, volume);
        let found = self
            .volume(name)
            .map(|(i, _, raw)| (i, serde_json::from_str::<Value>(raw).unwrap_or_default()));
        match found {
            None => {
                self.volume_edits.append.push(rendered);
                self.volume_changes.push(Change {
                    op: "add",
                    name: name.to_owned(),
                });
            }
            Some((_, found)) if is_ours(&found, &rendered) => return,
            Some((i, _)) if name.starts_with(names::PIECE_PREFIX) => {
                self.volume_edits.replace.insert(i, rendered);
                self.volume_changes.push(Change {
                    op: "replace",
                    name: name.to_owned(),
                });
            }
            Some(_) => {
                self.problems.push(format!(
                    "volume {name:?} exists in the pod with another source than the policy's; rename one of the two"
                ));
                return;
            }
        }
        self.changes += 1;
    }

    /// Removes the pod's volume at a position.
    pub(in crate::admission) fn remove_volume(&mut self, index: usize) {
        if let Some((volume, _)) = self.volumes.get(index)
            && self.volume_edits.remove.insert(index)
        {
            self.volume_changes.push(Change {
                op: "remove",
                name: volume.name.to_string(),
            });
            self.changes += 1;
        }
    }

    /// Mounts a volume in one chosen container. `volume` is the volume without its name; a mount of the pod's own that
    /// shows the same at the same path is as good. Returns whether our volume is needed.
    pub(in crate::admission) fn mount(&mut self, container: usize, mount: Value, volume: Option<&Value>) -> bool {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (volume_name, path) = (text("name"), text("mountPath"));
        let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
        let Some(draft) = self.containers.get(container) else {
            return false;
        };
        let name = &draft.chosen.container.name;
        let mounts = draft.chosen.container.volume_mounts.iter().flatten().enumerate();
        let mut stale = None;
        for (i, found) in mounts {
            let found_path = found.mount_path.trim_end_matches('/');
            if draft.mount_edits.remove.contains(&i) {
                continue;
            }
            if found_path == path {
                let same_volume = *found.name == *volume_name;
                let plain = found.sub_path.as_deref().unwrap_or_default()
                    == mount.get("subPath").and_then(Value::as_str).unwrap_or_default()
                    && found.sub_path_expr.as_deref().unwrap_or_default().is_empty()
                    && found.read_only == read_only;
                if same_volume && plain {
                    if let Some(draft) = self.containers.get_mut(container) {
                        draft.mounts.push((volume_name, path));
                    }
                    return true;
                }
                if found.name.starts_with(names::PIECE_PREFIX) {
                    stale = Some(i);
                    continue;
                }
                let twin = volume.is_some_and(|volume| {
                    found.sub_path.is_none() && found.sub_path_expr.is_none() && self.shows(&found.name, volume)
                });
                if twin {
                    return false;
                }
                let problem = format!(
                    "container {name:?} mounts volume {:?} at {path} already, where the policy mounts {volume_name:?}; choose another path for one of the two",
                    &*found.name
                );
                self.problems.push(problem);
                return true;
            }
            if found.name.starts_with(names::PIECE_PREFIX) {
                continue;
            }
            if found.read_only && below(&path, found_path) {
                let problem = format!(
                    "container {name:?} mounts {found_path} read-only, and nothing can be mounted below it at {path}"
                );
                self.problems.push(problem);
                return true;
            }
            if read_only && below(found_path, &path) {
                let problem = format!(
                    "container {name:?} mounts {found_path}, which lies below {path}, where the policy mounts a read-only volume"
                );
                self.problems.push(problem);
                return true;
            }
        }
        if let Some(draft) = self.containers.get_mut(container) {
            draft.mounts.push((volume_name, path));
            match stale {
                Some(i) => drop(draft.mount_edits.replace.insert(i, mount)),
                None => draft.mount_edits.append.push(mount),
            }
            self.changes += 1;
        }
        true
    }

    /// Removes mounts of a chosen container.
    pub(in crate::admission) fn remove_mounts(&mut self, container: usize, which: impl Fn(&Mount<'p>) -> bool) {
        let Some(draft) = self.containers.get_mut(container) else {
            return;
        };
        for (i, mount) in draft.chosen.container.volume_mounts.iter().flatten().enumerate() {
            if which(mount) && !draft.mount_edits.replace.contains_key(&i) && draft.mount_edits.remove.insert(i) {
                self.changes += 1;
            }
        }
    }

    /// Removes mounts of our volumes that the policy does not want (any more).
    pub(in crate::admission) fn remove_stale_mounts(&mut self, container: usize) {
        let Some(draft) = self.containers.get(container) else {
            return;
        };
        let wanted = draft.mounts.clone();
        self.remove_mounts(container, |mount| {
            mount.name.starts_with(names::PIECE_PREFIX)
                && !wanted
                    .iter()
                    .any(|(name, path)| **name == *mount.name && *path == mount.mount_path.trim_end_matches('/'))
        });
    }

    /// Whether a volume of the pod shows the same as ours.
    fn shows(&self, name: &str, volume: &Value) -> bool {
        self.volume(name)
            .and_then(|(_, _, raw)| serde_json::from_str::<Value>(raw).ok())
            .is_some_and(|found| is_ours(&found, volume))
    }
}

/// Whether `path` lies strictly below `parent`.
fn below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}
