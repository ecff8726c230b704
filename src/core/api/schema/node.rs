//! A node of the structural schema, as it stands in the CustomResourceDefinition.

use super::forms;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::BTreeMap;

/// A schema. Keywords that are not listed make it unreadable, so none can be forgotten in silence; those of type
/// [`IgnoredAny`] describe, or are checked by [`crate::policy`] (the CEL rules).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Node {
    #[serde(rename = "type")]
    pub(super) kind: Option<Type>,
    pub(super) nullable: bool,
    #[serde(rename = "enum")]
    pub(super) one_of: Vec<Value>,
    pub(super) format: Option<String>,

    pub(super) properties: BTreeMap<String, Self>,
    pub(super) additional_properties: Option<Box<Self>>,
    pub(super) required: Vec<String>,
    pub(super) max_properties: Option<usize>,

    pub(super) items: Option<Box<Self>>,
    pub(super) min_items: Option<usize>,
    pub(super) max_items: Option<usize>,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(super) list_type: ListType,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(super) list_map_keys: Vec<String>,

    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) pattern: Option<Pattern>,

    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,

    #[serde(rename = "description")]
    _description: IgnoredAny,
    #[serde(rename = "title")]
    _title: IgnoredAny,
    // What is read fills it in by itself.
    #[serde(rename = "default")]
    _default: IgnoredAny,
    #[serde(rename = "x-kubernetes-validations")]
    _rules: IgnoredAny,
}

impl Node {
    /// A schema that allows everything.
    pub(super) fn anything() -> Self {
        Self::default()
    }
}

/// The JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// Which items of a list exclude each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// A regular expression, compiled.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pattern {
    compiled: regex::bytes::Regex,
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text.as_bytes())
    }

    /// What it wants, in words.
    pub(super) fn form(&self) -> Option<&'static str> {
        forms::of(self.as_str())
    }

    pub(super) fn as_str(&self) -> &str {
        self.compiled.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    /// Classes such as `\s` are those of ASCII, as in Go, whose regular expressions the API server uses.
    fn try_from(pattern: String) -> Result<Self, regex::Error> {
        let compiled = regex::bytes::RegexBuilder::new(&pattern).unicode(false).build()?;
        Ok(Self { compiled })
    }
}
