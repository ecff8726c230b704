//! The walk through a value along its schema.

use super::node::{ListType, Node, Type};
use super::shown::{nearest, shown, shown_key, type_name};
use crate::api::{FieldError, FieldErrors};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt::Write;

/// Where the walk stands, and what it found so far.
pub(super) struct Walk {
    path: String,
    errors: Vec<FieldError>,
    limit: usize,
    /// Errors beyond the limit.
    more: usize,
}

impl Walk {
    /// A walk that reports at most `limit` errors.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            path: String::new(),
            errors: Vec::new(),
            limit,
            more: 0,
        }
    }

    /// Checks a value at the current path.
    pub(super) fn value(&mut self, node: &Node, value: &Value) {
        let Some(kind) = node.kind else { return };
        match (kind, value) {
            (_, Value::Null) if node.nullable => return,
            (Type::Object, Value::Object(map)) => self.map(node, map),
            (Type::Array, Value::Array(items)) => self.list(node, items),
            (Type::String, Value::String(text)) => self.text(node, text),
            (Type::Integer, Value::Number(number)) if !number.is_f64() => self.number(node, value, number.as_f64()),
            (Type::Number, Value::Number(number)) => self.number(node, value, number.as_f64()),
            (Type::Boolean, Value::Bool(_)) => {}
            (kind, value) => return self.wrong_type(kind, value),
        }
        if !node.one_of.is_empty() && !node.one_of.contains(value) {
            self.not_one_of(&node.one_of, value);
        }
    }

    /// Notes an error at another place than the current one.
    pub(super) fn error_at(&mut self, field: &str, problem: impl Into<String>) {
        if self.errors.len() < self.limit {
            self.errors.push(FieldError::new(field, problem));
        } else {
            self.more += 1;
        }
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Result<(), FieldErrors> {
        if self.more > 0 {
            self.errors.push(FieldError::new(
                "spec",
                format!("{} more errors are not shown", self.more),
            ));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(FieldErrors(self.errors))
        }
    }

    fn map(&mut self, node: &Node, map: &Map<String, Value>) {
        if let Some(most) = node.max_properties.filter(|most| map.len() > *most) {
            self.error(format!("may have at most {most} entries, has {}", map.len()));
        }
        for (key, value) in map {
            match (node.properties.get(key), &node.additional_properties) {
                // The API server drops a null where none is allowed.
                (Some(child), _) if value.is_null() && !child.nullable => {}
                (Some(child), _) => self.at(format_args!(".{key}"), |walk| walk.value(child, value)),
                (None, Some(child)) => {
                    self.at(format_args!("[{}]", shown_key(key)), |walk| walk.value(child, value));
                }
                (None, None) => self.at(format_args!(".{}", shown_key(key)), |walk| walk.unknown(node, key)),
            }
        }
        for name in &node.required {
            let missing = match map.get(name) {
                None => true,
                Some(value) => value.is_null() && node.properties.get(name).is_none_or(|child| !child.nullable),
            };
            if missing {
                self.at(format_args!(".{name}"), |walk| walk.error("is required".to_owned()));
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Value]) {
        match (node.min_items, node.max_items) {
            (Some(least), _) if items.len() < least => {
                self.error(format!(
                    "needs at least {least} item{}",
                    if least == 1 { "" } else { "s" }
                ));
            }
            (_, Some(most)) if items.len() > most => {
                self.error(format!("may have at most {most} items, has {}", items.len()));
            }
            _ => {}
        }
        if let Some(child) = &node.items {
            for (index, item) in items.iter().enumerate() {
                self.at(format_args!("[{index}]"), |walk| walk.value(child, item));
            }
        }
        self.duplicates(node, items);
    }

    fn duplicates(&mut self, node: &Node, items: &[Value]) {
        let mut seen = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let identity: Vec<&Value> = match node.list_type {
                ListType::Atomic => return,
                ListType::Set => vec![item],
                // An item without its key is told as such already.
                ListType::Map => node.list_map_keys.iter().filter_map(|key| item.get(key)).collect(),
            };
            if node.list_type == ListType::Map && identity.len() < node.list_map_keys.len() {
                continue;
            }
            let what = identity
                .iter()
                .map(|value| shown(value, &self.path))
                .collect::<Vec<_>>()
                .join(", ");
            if let Some(first) = seen.insert(identity, index) {
                self.at(format_args!("[{index}]"), |walk| {
                    let keys = match node.list_type {
                        ListType::Map => format!("{} ", node.list_map_keys.join(", ")),
                        _ => String::new(),
                    };
                    walk.error(format!(
                        "has the same {keys}{what} as item {first}; each may stand only once"
                    ));
                });
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str) {
        // The API server counts characters, not bytes.
        let length = text.chars().count();
        if let Some(least) = node.min_length.filter(|least| length < *least) {
            return self.error(if length == 0 {
                "must not be empty".to_owned()
            } else {
                format!("must have at least {least} characters, has {length}")
            });
        }
        if let Some(most) = node.max_length.filter(|most| length > *most) {
            return self.error(format!("may have at most {most} characters, has {length}"));
        }
        if let Some(pattern) = node.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            let shown = shown(&Value::String(text.to_owned()), &self.path);
            self.error(match pattern.form() {
                Some(form) => format!("{shown} is not {form}"),
                None => format!("{shown} does not match {}", pattern.as_str()),
            });
        }
    }

    fn number(&mut self, node: &Node, value: &Value, number: Option<f64>) {
        let (format_least, format_most) = match node.format.as_deref() {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        let least = node.minimum.or(format_least);
        let most = node.maximum.or(format_most);
        let Some(number) = number else { return };
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let bounds = match (least, most) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("at least {least}"),
                (None, most) => format!("at most {}", most.unwrap_or_default()),
            };
            self.error(format!("must be {bounds}, is {}", shown(value, &self.path)));
        }
    }

    fn wrong_type(&mut self, kind: Type, value: &Value) {
        let expected = match kind {
            Type::Object => "a map",
            Type::Array => "a list",
            Type::String => "a string",
            Type::Integer => "an integer",
            Type::Number => "a number",
            Type::Boolean => "true or false",
        };
        let remedy = match (kind, value) {
            (Type::String, Value::Bool(_) | Value::Number(_)) => "; put it in quotes",
            (Type::Integer | Type::Number | Type::Boolean, Value::String(_)) => "; write it without quotes",
            _ => "",
        };
        self.error(format!("must be {expected}, is {}{remedy}", type_name(value)));
    }

    fn not_one_of(&mut self, valid: &[Value], value: &Value) {
        let names: Vec<_> = valid.iter().filter_map(Value::as_str).collect();
        let names = names.join(", ");
        self.error(format!("{} is not one of {names}", shown(value, &self.path)));
    }

    fn unknown(&mut self, node: &Node, key: &str) {
        let valid = || node.properties.keys().map(String::as_str);
        self.error(match nearest(key, valid()) {
            Some(meant) => format!("unknown field; did you mean {meant}?"),
            None => format!("unknown field; valid are {}", valid().collect::<Vec<_>>().join(", ")),
        });
    }

    fn error(&mut self, problem: String) {
        let path = self.path.clone();
        self.error_at(&path, problem);
    }

    /// Walks on one step further down.
    fn at(&mut self, step: std::fmt::Arguments<'_>, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if write!(self.path, "{step}").is_ok() {
            if length == 0 && self.path.starts_with('.') {
                self.path.remove(0);
            }
            walk(self);
        }
        self.path.truncate(length);
    }
}
