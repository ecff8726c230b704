//! The pod's own credential file, when the policy's identity takes its place.

use crate::admission::draft::{ContainerDraft, Draft, Volumes};
use crate::admission::env::Known;
use crate::admission::pod::Mount;
use crate::admission::select;
use crate::clients::CREDENTIALS;
use crate::names;
use crate::path::is_within;
use crate::policy::Volumes as PolicyVolumes;

/// What becomes of a container's own credential file.
pub(super) enum OwnFile<'p> {
    /// There is none that is not ours.
    Absent,
    /// It is in no volume for such files, or nobody can say where it is, so it stays.
    Left,
    /// Its mount is removed; the volume that it showed.
    Unmounted(&'p str),
}

/// Removes the mount that the container's own credential file lies in. Only of volumes that hold nothing but such files:
/// never of a workspace.
pub(super) fn unmount_own<'p>(target: &mut ContainerDraft<'p>, volumes: &Volumes<'p>) -> OwnFile<'p> {
    if target.json.is_some() {
        return OwnFile::Absent;
    }
    let path = match target.environment.known(CREDENTIALS) {
        None => return OwnFile::Absent,
        Some(Known::Text(path)) => path,
        Some(Known::Opaque { .. }) => return OwnFile::Left,
    };
    let holds = |mount: &&'p Mount<'p>| is_within(path, &mount.mount_path);
    let mounts = target.chosen.container.volume_mounts.iter().flatten();
    let Some(mount) = mounts.filter(holds).max_by_key(|mount| mount.mount_path.len()) else {
        return if target.is_previous(CREDENTIALS) {
            OwnFile::Absent
        } else {
            OwnFile::Left
        };
    };
    if mount.name.starts_with(names::PIECE_PREFIX) {
        return OwnFile::Absent;
    }
    let for_files = volumes
        .get(&mount.name)
        .is_some_and(|volume| volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some());
    if !for_files {
        return OwnFile::Left;
    }
    target.remove_mounts(|other| *other.name == *mount.name && *other.mount_path == *mount.mount_path);
    OwnFile::Unmounted(&mount.name)
}

/// Removes a volume with its last mount: never only one of the two. One that the policy itself wants stays.
pub(super) fn remove_unmounted(draft: &mut Draft<'_>, volume: &str, policy: &PolicyVolumes) {
    let used = select::all(draft.pod).any(|(place, container)| {
        let target = draft.at(place);
        let mut mounts = container.volume_mounts.iter().flatten().enumerate();
        mounts.any(|(i, mount)| *mount.name == *volume && target.is_none_or(|target| target.keeps_mount(i)))
    });
    let wanted =
        policy.own.iter().any(|own| own.name == volume) || policy.mounts.iter().any(|mount| mount.volume == volume);
    if !used && !wanted {
        draft.volumes.remove(volume);
    }
}
