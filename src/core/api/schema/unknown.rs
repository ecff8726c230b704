//! Which fields of a value its schema does not know. The API server drops such fields, unless its definitions are newer than this
//! program.

use super::node::Node;
use super::shown::shown_key;
use serde_json::Value;

/// Their paths, at most `most`.
pub(super) fn fields(node: &Node, spec: &Value, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    collect(node, spec, "spec", &mut found);
    found.truncate(most);
    found
}

fn collect(node: &Node, value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if node.kind.is_some() => {
            for (key, value) in fields {
                let child = node.properties.get(key).or(node.additional_properties.as_deref());
                let path = format!("{path}.{}", shown_key(key));
                match child {
                    Some(child) => collect(child, value, &path, found),
                    None => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            let Some(child) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                collect(child, item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
