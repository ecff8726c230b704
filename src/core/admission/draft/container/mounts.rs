//! The edits of a container's mounts.

use super::ContainerDraft;
use crate::admission::draft::notes::Notes;
use crate::admission::draft::volumes::{Twin, Volumes};
use crate::admission::pod::Mount;
use crate::names;
use crate::path::{below, is_below, is_same};
use serde_json::Value;

impl<'p> ContainerDraft<'p> {
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
        for (i, found) in self.chosen.container.volume_mounts.iter().flatten().enumerate() {
            let found_path = &*found.mount_path;
            let is_ours = found.name.starts_with(names::NAME_PREFIX);
            if self.mount_edits.remove.contains(&i) {
                continue;
            }
            let problem = if is_same(found_path, &path) {
                let part = [&found.sub_path, &found.sub_path_expr].map(|path| path.as_deref().unwrap_or_default());
                if *found.name == *volume && part == [sub_path, ""] && found.read_only == read_only {
                    self.mounts.push((volume, path));
                    return true;
                }
                if is_ours {
                    stale = Some(i);
                    continue;
                }
                let twin = if twins && part == ["", ""] {
                    volumes.compare(&found.name, shown)
                } else {
                    Twin::Other
                };
                match twin {
                    Twin::Same => return false,
                    Twin::Narrower(difference) => format!(
                        "container {name:?} mounts the same as the policy at {path} already, in volume {:?}, but {difference}; make them agree",
                        &*found.name
                    ),
                    Twin::Other => format!(
                        "container {name:?} mounts volume {:?} at {path} already, where the policy mounts {volume:?}; choose another path for one of the two",
                        &*found.name
                    ),
                }
            } else if is_ours {
                continue;
            } else if is_below(&path, found_path)
                && let Some(how) = volumes.closed(found)
            {
                format!(
                    "container {name:?} mounts {found_path} {how}, and nothing can be mounted below it at {path}; choose another path for one of the two"
                )
            } else if read_only
                && let Some(entry) = below(found_path, &path)
                && !has_room_for(shown, entry)
            {
                format!(
                    "container {name:?} mounts {found_path}, which lies below {path}, where the policy mounts a read-only volume; choose another path for one of the two"
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

/// Whether the kubelet makes a directory of this name in a volume that it writes, for what is mounted there: not where one
/// of its files is.
fn has_room_for(volume: &Value, entry: &str) -> bool {
    const WRITTEN: [&str; 4] = ["configMap", "secret", "projected", "downwardAPI"];
    let sources = volume.as_object().into_iter().flatten();
    let mut written = sources.filter(|(kind, _)| WRITTEN.contains(&kind.as_str())).peekable();
    written.peek().is_some() && !written.any(|(_, source)| has_file(source, entry))
}

/// Whether a source names a file, at any depth, at or below a name.
fn has_file(source: &Value, entry: &str) -> bool {
    match source {
        Value::Object(fields) => fields.iter().any(|(key, value)| match (key.as_str(), value) {
            ("path", Value::String(path)) => path.split('/').next() == Some(entry),
            _ => has_file(value, entry),
        }),
        Value::Array(items) => items.iter().any(|item| has_file(item, entry)),
        _ => false,
    }
}
