//! The pod's own credential file, when the policy's identity takes its place.

use crate::admission::draft::{ContainerDraft, Draft, Volumes};
use crate::admission::env::{Known, references};
use crate::admission::pod::{Mount, Text};
use crate::admission::select;
use crate::clients::{CREDENTIAL_SOURCES, CREDENTIALS};
use crate::names;
use crate::path::{Plain, is_same};
use crate::policy::Volumes as PolicyVolumes;
use serde_json::Value;

/// Secrets that hold one key and nothing else, by the contract of the platform that makes them.
const KEYS_ALONE: [&str; 1] = ["ambient-vertex"];

/// Most variables that a sentence names.
const MAX_NAMES: usize = 4;

/// What becomes of a container's own credential file.
pub(super) enum OwnFile<'p> {
    /// There is none that is not ours.
    Absent,
    /// It stays, for this reason.
    Left(String),
    /// Its mount is removed; the volume that it showed.
    Unmounted(&'p str),
}

/// Removes the mount that the container's own credential file lies in, when it provably shows that file and nothing else.
/// `key` is the Secret that the policy itself names as its key.
pub(super) fn unmount_own<'p>(
    target: &mut ContainerDraft<'p>,
    volumes: &Volumes<'p>,
    key: Option<&str>,
) -> OwnFile<'p> {
    const NOWHERE: &str = "that is in no volume for such files, so it stays";
    if target.json.is_some() {
        return OwnFile::Absent;
    }
    let path = match target.environment.known(CREDENTIALS) {
        None => return OwnFile::Absent,
        Some(Known::Text(path)) => path,
        Some(Known::Opaque { .. }) => return OwnFile::Left(NOWHERE.to_owned()),
    };
    let place = Plain::of(path);
    let holds = |at: &Plain<'_>| place.as_ref().is_some_and(|place| place.is_within(at));
    let holding = target.own_mounts().filter(|(_, at)| holds(at));
    let Some((mount, at)) = holding.max_by_key(|(_, at)| at.depth()) else {
        return if target.is_previous(CREDENTIALS) {
            OwnFile::Absent
        } else {
            OwnFile::Left(NOWHERE.to_owned())
        };
    };
    if mount.name.starts_with(names::NAME_PREFIX) {
        return OwnFile::Absent;
    }
    let volume = volumes.content(&mount.name).unwrap_or_default();
    if !is_for_files(&volume) {
        return OwnFile::Left(NOWHERE.to_owned());
    }
    let others = pointing_there(target, at);
    if !others.is_empty() || !shows_alone(&volume, mount, path, key) {
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!(" ({} there)", point(others)),
        };
        return OwnFile::Left(format!(
            "in volume {:?} at {}, which may hold more than it{others}, so the mount stays; mount the key alone, with items or subPath",
            &*mount.name, &*mount.mount_path
        ));
    }
    target.remove_mounts(|other| *other.name == *mount.name && *other.mount_path == *mount.mount_path);
    OwnFile::Unmounted(&mount.name)
}

/// The Secret's volume that is mounted where Google's clients look for a credential file before they ask a metadata server: in
/// gcloud's directory (`CLOUDSDK_CONFIG`, else `~/.config/gcloud`).
pub(super) fn in_directory_of_gcloud(target: &ContainerDraft<'_>, volumes: &Volumes<'_>) -> Option<String> {
    const USUAL: &str = "/.config/gcloud";
    let given = match target.environment.known("CLOUDSDK_CONFIG") {
        Some(Known::Text(path)) => Plain::of(path),
        Some(Known::Opaque { .. }) | None => None,
    };
    let file = names::CREDENTIAL_FILE;
    let usual_file = format!("{USUAL}/{file}");
    let leads_there = |at: &Plain<'_>| {
        let given = given
            .as_ref()
            .is_some_and(|given| at == given || at.is_file_in(given, file));
        given || at.ends_in(USUAL) || at.ends_in(&usual_file)
    };
    let own = |mount: &Mount<'_>| !mount.name.starts_with(names::NAME_PREFIX);
    let mut mounts = target.own_mounts().filter(|(mount, at)| own(mount) && leads_there(at));
    let (mount, _) = mounts.find(|(mount, _)| {
        let volume = volumes.content(&mount.name).unwrap_or_default();
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        let has_secret = |source: &Value| source.get("secret").is_some_and(Value::is_object);
        has_secret(&volume) || sources.is_some_and(|sources| sources.iter().any(has_secret))
    })?;
    Some(format!("in volume {:?} at {}", &*mount.name, &*mount.mount_path))
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

/// Whether volumes of this kind hold what somebody put there, and not what a process wrote.
fn is_for_files(volume: &Value) -> bool {
    let has = |kind: &str| volume.get(kind).is_some_and(Value::is_object);
    has("configMap") || has("secret") || has("projected")
}

/// Whether a mount shows the file at a path and nothing else.
fn shows_alone(volume: &Value, mount: &Mount<'_>, path: &str, key: Option<&str>) -> bool {
    let given = |path: &Option<Text<'_>>| path.as_ref().is_some_and(|path| !path.is_empty());
    if given(&mount.sub_path_expr) {
        return false;
    }
    if given(&mount.sub_path) {
        return is_same(&mount.mount_path, path);
    }
    let secret = volume.pointer("/secret/secretName").and_then(Value::as_str);
    if secret.is_some_and(|name| KEYS_ALONE.contains(&name) || key == Some(name)) {
        return true;
    }
    let source = match volume.pointer("/projected/sources").and_then(Value::as_array) {
        Some(sources) => match sources.as_slice() {
            [only] => only,
            _ => return false,
        },
        None => volume,
    };
    let items = ["secret", "configMap"]
        .into_iter()
        .find_map(|kind| source.get(kind)?.get("items")?.as_array());
    let [only] = items.map(Vec::as_slice).unwrap_or_default() else {
        return false;
    };
    let file = only.get("path").and_then(Value::as_str).unwrap_or_default();
    is_same(&format!("{}/{file}", &*mount.mount_path), path)
}

/// The container's further variables that name something in a mount.
fn pointing_there(target: &ContainerDraft<'_>, directory: &Plain<'_>) -> Vec<String> {
    let env = target.chosen.container.env.iter().flatten().enumerate();
    let counting = env.filter(|(i, env)| target.environment.position(&env.name) == Some(*i));
    let further = counting
        .map(|(_, env)| env)
        .filter(|env| !CREDENTIAL_SOURCES.contains(&&*env.name) && !target.is_previous(&env.name));
    // What refers to the credential's variable goes with it, and that is told.
    let own = further.filter(|env| {
        let mut references = references(env.value.as_deref().unwrap_or_default());
        !references.any(|name| CREDENTIAL_SOURCES.contains(&name))
    });
    let is_there = |text: &str| Plain::of(text).is_some_and(|place| place.is_within(directory));
    let there = own.filter(|env| {
        matches!(target.environment.known(&env.name), Some(Known::Text(text)) if text.starts_with('/') && is_there(text))
    });
    there.map(|env| env.name.to_string()).collect()
}

/// `A, B and more point`, as long as people read it.
fn point(variables: &[String]) -> String {
    let shown: Vec<&str> = variables.iter().take(MAX_NAMES).map(String::as_str).collect();
    match (variables.len(), shown.len()) {
        (1, _) => format!("{} points", shown.join("")),
        (all, some) if all > some => format!("{} and {} more point", shown.join(", "), all - some),
        _ => format!("{} point", shown.join(" and ")),
    }
}
