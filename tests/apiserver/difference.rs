//! What differs between two stored pods, one line per piece that people think of as one thing.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

/// A stored pod without what the API server gives to each.
#[track_caller]
pub(crate) fn without_identity(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "namespace",
        "generation",
    ] {
        metadata.shift_remove(key);
    }
    pod
}

/// A stored pod as (piece, content) in the order of the pod, without what differs between any two pods. A list that
/// has two pieces of one name is a mistake: the API server accepts it, and the pod then has something else than it says.
#[track_caller]
pub(crate) fn stored(pod: &Value) -> Vec<(String, String)> {
    let pod = without_identity(pod.clone());
    // A Job's identity, and the random name of the ServiceAccount plugin's volume.
    let owner = pod["metadata"]["ownerReferences"][0]["uid"].as_str();
    let owner = owner.map_or_else(|| "no owner".to_owned(), str::to_owned);
    let text = pod.to_string().replace(&owner, "OWNER");
    let random = Regex::new("kube-api-access-[a-z0-9]{5}").expect("a pattern");
    let pod: Value = serde_json::from_str(&random.replace_all(&text, "kube-api-access")).expect("JSON");

    let mut pieces = Vec::new();
    for (key, value) in pod["metadata"].as_object().expect("metadata") {
        match (key.as_str(), value) {
            ("annotations" | "labels", Value::Object(map)) => {
                let singular = key.trim_end_matches('s');
                pieces.extend(
                    map.iter()
                        .map(|(name, value)| (format!("{singular} {name}"), shown(value))),
                );
            }
            _ => pieces.push((key.clone(), shown(value))),
        }
    }
    for (key, value) in pod["spec"].as_object().expect("spec") {
        match (key.as_str(), value) {
            ("containers" | "initContainers", Value::Array(list)) => {
                for container in list {
                    pieces_of_container(container, &mut pieces);
                }
            }
            ("volumes", Value::Array(list)) => {
                pieces.extend(
                    list.iter()
                        .map(|volume| (format!("volume {}", shown(&volume["name"])), without(volume, "name"))),
                );
            }
            _ => pieces.push((key.clone(), shown(value))),
        }
    }
    let names: BTreeSet<&String> = pieces.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), pieces.len(), "a piece is there twice: {pieces:#?}");
    assert_mounts_have_volumes(&pieces);
    pieces
}

/// The changes from one pod to another, as lines: `+` added, `-` removed, `~` changed. What both have must be in the
/// same order.
#[track_caller]
pub(crate) fn changes(before: &[(String, String)], after: &[(String, String)]) -> String {
    let find = |list: &[(String, String)], name: &str| {
        let found = list.iter().find(|(other, _)| other == name);
        found.map(|(_, content)| content.clone())
    };
    let common = |list: &[(String, String)], other: &[(String, String)]| -> Vec<String> {
        let names = list.iter().map(|(name, _)| name.clone());
        names.filter(|name| find(other, name).is_some()).collect()
    };
    assert_eq!(common(before, after), common(after, before), "the order has changed");
    let removed = before.iter().filter(|(name, _)| find(after, name).is_none());
    let mut lines: Vec<String> = removed.map(|(name, content)| format!("- {name}: {content}")).collect();
    lines.extend(after.iter().filter_map(|(name, content)| match find(before, name) {
        None => Some(format!("+ {name}: {content}")),
        Some(was) if was != *content => Some(format!("~ {name}: {was} → {content}")),
        Some(_) => None,
    }));
    lines.sort_by_key(|line| line.split_at(2).1.to_owned());
    lines.join("\n")
}

/// The same pieces, whatever their order.
#[track_caller]
pub(crate) fn assert_same_pieces(one: &[(String, String)], other: &[(String, String)]) {
    let sorted = |pieces: &[(String, String)]| {
        let mut pieces = pieces.to_vec();
        pieces.sort();
        pieces
    };
    assert_eq!(changes(&sorted(one), &sorted(other)), "");
}

fn pieces_of_container(container: &Value, pieces: &mut Vec<(String, String)>) {
    let of = shown(&container["name"]);
    for (key, value) in container.as_object().expect("a container") {
        match (key.as_str(), value) {
            ("name", _) => pieces.push((format!("container {of}"), String::new())),
            ("env", Value::Array(list)) => {
                pieces.extend(list.iter().map(|env| {
                    let value = match env.get("valueFrom") {
                        None => shown(env.get("value").unwrap_or(&Value::Null)),
                        Some(source) => source.to_string(),
                    };
                    (format!("{of} env {}", shown(&env["name"])), value)
                }));
            }
            ("volumeMounts", Value::Array(list)) => {
                pieces.extend(list.iter().map(|mount| {
                    (
                        format!("{of} mount {}", shown(&mount["mountPath"])),
                        without(mount, "mountPath"),
                    )
                }));
            }
            _ => pieces.push((format!("{of} {key}"), shown(value))),
        }
    }
}

/// The API server checks this too; here it says which one.
#[track_caller]
fn assert_mounts_have_volumes(pieces: &[(String, String)]) {
    for (name, content) in pieces.iter().filter(|(name, _)| name.contains(" mount ")) {
        let mount: Value = serde_json::from_str(content).expect("a mount");
        let volume = format!("volume {}", shown(&mount["name"]));
        assert!(
            pieces.iter().any(|(name, _)| *name == volume),
            "{name} of a missing {volume}"
        );
    }
}

fn without(object: &Value, key: &str) -> String {
    let mut object = object.clone();
    object.as_object_mut().expect("an object").shift_remove(key);
    object.to_string()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        _ => value.to_string(),
    }
}
