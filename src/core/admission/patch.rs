//! JSON Patch from edits of lists and maps; the only place that knows in which order operations keep each other's
//! indices right.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Edits of one list, in terms of its positions before any of them.
#[derive(Debug, Default)]
pub(super) struct ListEdit {
    pub(super) replace: BTreeMap<usize, Value>,
    pub(super) remove: BTreeSet<usize>,
    pub(super) prepend: Vec<Value>,
    pub(super) append: Vec<Value>,
}

impl ListEdit {
    /// Whether the entry at a position stays as it is.
    pub(super) fn keeps(&self, position: usize) -> bool {
        !self.remove.contains(&position) && !self.replace.contains_key(&position)
    }

    /// Appends the operations; `exists` says whether the list is there and not null.
    pub(super) fn emit(self, list: &[&str], exists: bool, operations: &mut Vec<PatchOperation>) {
        if !exists {
            let all: Vec<Value> = self.prepend.into_iter().chain(self.append).collect();
            if !all.is_empty() {
                operations.push(add(list, None, Value::Array(all)));
            }
            return;
        }
        for (index, value) in self.replace {
            let path = pointer(list, Some(&index.to_string()));
            operations.push(PatchOperation::Replace(ReplaceOperation { path, value }));
        }
        for index in self.remove.into_iter().rev() {
            operations.push(PatchOperation::Remove(RemoveOperation {
                path: pointer(list, Some(&index.to_string())),
            }));
        }
        for value in self.append {
            operations.push(add(list, Some("-"), value));
        }
        for value in self.prepend.into_iter().rev() {
            operations.push(add(list, Some("0"), value));
        }
    }
}

/// Whether a map has a key.
pub(super) type Found<'f> = &'f dyn Fn(&str) -> bool;

/// Edits of one map of strings: a value to set, or nothing to remove the key. `found` is none when there is no map.
pub(super) fn emit_map(
    edits: Vec<(String, Option<String>)>,
    map: &[&str],
    found: Option<Found<'_>>,
    operations: &mut Vec<PatchOperation>,
) {
    let Some(found) = found else {
        if let Some(all) = whole(edits) {
            operations.push(add(map, None, all));
        }
        return;
    };
    for (key, value) in edits {
        let path = pointer(map, Some(&key));
        operations.push(match (value, found(&key)) {
            (Some(value), true) => PatchOperation::Replace(ReplaceOperation {
                path,
                value: value.into(),
            }),
            (Some(value), false) => PatchOperation::Add(AddOperation {
                path,
                value: value.into(),
            }),
            (None, true) => PatchOperation::Remove(RemoveOperation { path }),
            (None, false) => continue,
        });
    }
}

/// A map of strings in a parent that does not exist either.
pub(super) fn emit_within(
    edits: Vec<(String, Option<String>)>,
    parent: &[&str],
    map: &str,
    operations: &mut Vec<PatchOperation>,
) {
    if let Some(all) = whole(edits) {
        operations.push(add(parent, None, json!({ map: all })));
    }
}

/// What a map that is not there yet consists of; none when it stays away.
fn whole(edits: Vec<(String, Option<String>)>) -> Option<Value> {
    let all: Map<String, Value> = edits
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?.into())))
        .collect();
    (!all.is_empty()).then_some(Value::Object(all))
}

fn add(parent: &[&str], last: Option<&str>, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(parent, last),
        value,
    })
}

fn pointer(parent: &[&str], last: Option<&str>) -> PointerBuf {
    PointerBuf::from_tokens(parent.iter().copied().chain(last))
}
