//! What two states of the same pod have different, as far as injection has to do with it.

use crate::fields::list;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use vertex_injector_core::admission::is_rendered_as;
use vertex_injector_core::names::{GROUP, NAME_PREFIX, POLICY_REF, RENDERED_ENV};

/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 80;

/// A line for each difference: `+` what comes, `-` what goes, `~` what changes.
pub fn difference(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let containers = |pod: &Value| {
        let lists = ["/spec/containers", "/spec/initContainers"]
            .map(|list| pod.pointer(list).and_then(Value::as_array).cloned());
        lists.into_iter().flatten().flatten().collect::<Vec<Value>>()
    };
    let (old, new) = (containers(before), containers(after));
    for name in names(&old, &new, "name") {
        let (old, new) = (named(&old, "name", &name), named(&new, "name", &name));
        if name.starts_with(NAME_PREFIX) {
            lines.extend(whole("container", &name, old, new));
        } else {
            lines.extend(of_container(
                &name,
                old.unwrap_or(&Value::Null),
                new.unwrap_or(&Value::Null),
            ));
        }
    }
    let (old, new) = (list(before, "/spec/volumes"), list(after, "/spec/volumes"));
    for name in names(old, new, "name") {
        lines.extend(whole(
            "volume",
            &name,
            named(old, "name", &name),
            named(new, "name", &name),
        ));
    }
    for (field, title) in [
        ("/metadata/annotations", "annotation"),
        ("/spec/nodeSelector", "nodeSelector"),
    ] {
        let of = |pod: &Value| {
            pod.pointer(field)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let (old, new) = (of(before), of(after));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            // They change with everything else.
            let is_note = key == POLICY_REF || key == RENDERED_ENV;
            if is_note || (title == "annotation" && !key.starts_with(GROUP)) {
                continue;
            }
            lines.extend(changed(&format!("{title} {key}"), old.get(key), new.get(key)));
        }
    }
    lines
}

/// Variables and mounts of an agent's container.
fn of_container(name: &str, old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (field, key, title) in [("/env", "name", ""), ("/volumeMounts", "mountPath", "mount ")] {
        let (old, new) = (list(old, field), list(new, field));
        for entry in names(old, new, key) {
            let shown = |entry: Option<&Value>| {
                let entry = entry?;
                let value = if title.is_empty() {
                    entry.get("value").or_else(|| entry.get("valueFrom"))
                } else {
                    entry.get("name")
                };
                Some(value.cloned().unwrap_or_else(|| Value::from("")))
            };
            let (old, new) = (shown(named(old, key, &entry)), shown(named(new, key, &entry)));
            lines.extend(changed(
                &format!("{title}{name}/{entry}").replace("//", "/"),
                old.as_ref(),
                new.as_ref(),
            ));
        }
    }
    lines
}

fn changed(what: &str, old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    match (old, new) {
        (None, Some(new)) => Some(format!("+ {what}={}", short(new))),
        (Some(old), None) => Some(format!("- {what}={}", short(old))),
        (Some(old), Some(new)) if !is_same(old, new) => Some(format!("~ {what}={} -> {}", short(old), short(new))),
        _ => None,
    }
}

/// Whether what the API server fills in, on either side, is the only difference.
fn is_same(old: &Value, new: &Value) -> bool {
    is_rendered_as(old, new) || is_rendered_as(new, old)
}

/// Something of ours that is replaced as a whole, with the names of the fields that differ.
fn whole(title: &str, name: &str, old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    match (old, new) {
        (None, Some(_)) => Some(format!("+ {title} {name}")),
        (Some(_), None) => Some(format!("- {title} {name}")),
        (Some(old), Some(new)) if !is_same(old, new) => {
            let empty = Map::new();
            let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let alone = |of: &Map<String, Value>, key: &str| {
                let value = of.get(key).map(|value| (key.to_owned(), value.clone()));
                Value::Object(value.into_iter().collect())
            };
            let differ =
                { keys.into_iter().map(String::as_str) }.filter(|key| !is_same(&alone(old, key), &alone(new, key)));
            Some(format!("~ {title} {name}: {}", differ.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

/// The last one of a name, which is the one that counts.
fn named<'v>(list: &'v [Value], key: &str, name: &str) -> Option<&'v Value> {
    list.iter()
        .rfind(|entry| entry.get(key).and_then(Value::as_str) == Some(name))
}

/// All names of two lists, in order, each once.
fn names(old: &[Value], new: &[Value], key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = new.iter().chain(old).filter_map(|entry| entry.get(key)?.as_str());
    all.filter(|name| seen.insert((*name).to_owned()))
        .map(str::to_owned)
        .collect()
}

fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text,
    }
}
