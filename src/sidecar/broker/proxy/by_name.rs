//! Judging by their names the members that no table has, and all that is in them.
//!
//! What makes the provider fetch, search, run or call out is found wherever it stands and however it is spelled: Google reads
//! `fileUri` and `file_uri` alike. Nothing is data here.

use super::json::{Members, Value};
use super::path::Path;
use super::refusal::Refusal;
use super::rules;
use super::spelling::{Squashed, distinct};
use super::tools;
use std::borrow::Cow;
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules};

/// A walk through what is not known.
#[derive(Debug)]
pub struct ByName<'p, 'b> {
    /// What may be called.
    pub rules: &'b Rules,
    /// Whose API reads it.
    pub publisher: Publisher,
    /// Where it stands.
    pub path: &'p mut Path<'b>,
}

/// As what an object stands where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A tool.
    Tool,
    /// Anthropic's `source` of any block.
    Source,
    /// Nothing in particular.
    Any,
}

impl<'b> ByName<'_, 'b> {
    /// Judges a member. `kind` is the type of its object; `null` asks for nothing.
    ///
    /// # Errors
    /// Says what is not allowed and where it stands.
    pub fn member(&mut self, key: &str, value: Value<'b>, kind: Option<&str>) -> Result<(), Refusal> {
        if value.is_null() {
            return Ok(());
        }
        let name = Squashed::of(key);
        self.name(&name, value, kind)?;
        let role =
            if name.is("tools") || (name.name().is_some_and(|name| name.ends_with(b"tools")) && holds_objects(value)) {
                Role::Tool
            } else if self.publisher == Publisher::Anthropic && key == "source" {
                Role::Source
            } else {
                Role::Any
            };
        self.value(value, role)
    }

    /// Judges an object.
    ///
    /// # Errors
    /// As [`Self::member`].
    pub fn object(&mut self, members: Members<'b>, role: Role) -> Result<(), Refusal> {
        if !distinct(members.keys()) {
            return Err(Refusal::same_key(&self.path.shown()));
        }
        let kind = kind(members);
        self.kind(kind.as_deref(), role)?;
        for (key, value) in members {
            self.path.key(key);
            self.member(key, value, kind.as_deref())?;
            self.path.back();
        }
        Ok(())
    }

    fn value(&mut self, value: Value<'b>, role: Role) -> Result<(), Refusal> {
        match value {
            Value::List(items) => {
                for (i, item) in items.into_iter().enumerate() {
                    self.path.index(i);
                    match role {
                        Role::Tool => self.tool(item)?,
                        Role::Source | Role::Any => self.value(item, role)?,
                    }
                    self.path.back();
                }
                Ok(())
            }
            _ if role == Role::Tool => self.tool(value),
            Value::Object(members) => self.object(members, role),
            Value::Null | Value::Other | Value::Text(_) => Ok(()),
        }
    }

    fn tool(&mut self, tool: Value<'b>) -> Result<(), Refusal> {
        let Value::Object(members) = tool else {
            return self.feature(Feature::UnknownTools);
        };
        match self.publisher {
            Publisher::Anthropic => {
                if let Some(feature) = tools::of_anthropic(members.get("type")).asks() {
                    self.feature(feature)?;
                }
            }
            Publisher::Google => {
                for (key, _) in members.into_iter().filter(|(_, value)| !value.is_null()) {
                    if let Some(feature) = tools::of_google(key) {
                        self.feature(feature)?;
                    }
                }
            }
        }
        self.object(members, Role::Tool)
    }

    /// What an object's type asks for.
    fn kind(&self, kind: Option<&str>, role: Role) -> Result<(), Refusal> {
        if let Some(feature) = kind.filter(|_| role == Role::Any).and_then(tools::named) {
            self.feature(feature)?;
        }
        let kind = kind.map(Squashed::of);
        let is = |name: &str| kind.is_some_and(|kind| kind.is(name));
        if is("url") {
            self.feature(Feature::UrlSources)?;
        }
        if is("file") {
            self.feature(Feature::FileSources)?;
        }
        if is("containerupload") {
            self.feature(Feature::CodeExecution)?;
        }
        if role == Role::Source && !["base64", "text", "content", "url", "file"].into_iter().any(is) {
            // A source that this version does not know, or that does not say what it is, comes from the one or from the other.
            self.feature(Feature::FileSources)?;
            self.feature(Feature::UrlSources)?;
        }
        Ok(())
    }

    /// What a member asks for by its name.
    fn name(&self, name: &Squashed, value: Value<'_>, kind: Option<&str>) -> Result<(), Refusal> {
        let Some(name) = name.name() else { return Ok(()) };
        if name.ends_with(b"model") || matches!(name, b"modelname" | b"modelid") {
            return match value {
                Value::Text(model) => rules::check_named(self.rules, &model.read(), self.publisher).map(|_| ()),
                _ if name == b"model" => Err(Refusal::nameless_model()),
                _ => Ok(()),
            };
        }
        match name {
            b"automode" | b"modelselectionconfig" | b"modelconfig" => rules::check_any_model(self.rules),
            b"fallbacks" if !name_models(value) => rules::check_any_model(self.rules),
            b"fileuri" => self.feature(address(value)),
            b"filedata" if !has(value, "fileuri") => self.feature(Feature::FileSources),
            b"gcsuri" | b"storageuri" | b"outputgcsuri" | b"outputuriprefix" | b"gcssource" | b"gcsdestination" => {
                self.feature(Feature::FileSources)
            }
            // What code execution put out carries the same name and is history.
            b"fileid" if !matches!(kind, Some("code_execution_output" | "bash_code_execution_output")) => {
                self.feature(Feature::FileSources)
            }
            b"modelarmorconfig" => self.templates(value),
            // An empty list is what some clients send for none.
            b"mcpservers" if value.is_empty_list() => Ok(()),
            _ => match tools::by_name(name) {
                Some(feature) => self.feature(feature),
                None => Ok(()),
            },
        }
    }

    /// Templates of Model Armor, all of which name their project.
    fn templates(&self, value: Value<'_>) -> Result<(), Refusal> {
        let Value::Object(members) = value else {
            return Ok(());
        };
        members.into_iter().try_for_each(|(_, name)| match name {
            Value::Text(name) => rules::check_resource(self.rules, &name.read(), || self.path.shown()),
            Value::Null | Value::Other | Value::List(_) | Value::Object(_) => Ok(()),
        })
    }

    fn feature(&self, feature: Feature) -> Result<(), Refusal> {
        rules::check_feature(self.rules, feature, || self.path.shown())
    }
}

/// What an object says that it is. What is no string is no type that anything can belong to.
pub fn kind(members: Members<'_>) -> Option<Cow<'_, str>> {
    match members.get("type") {
        Some(Value::Text(kind)) => Some(kind.read()),
        Some(Value::Null) | None => None,
        Some(Value::Other | Value::List(_) | Value::Object(_)) => Some(Cow::Borrowed("")),
    }
}

/// What `fileUri` asks for, by its scheme: pages are fetched by anybody's right, all else is read by the identity's.
pub fn address(uri: Value<'_>) -> Feature {
    let starts = |text: &str, scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match uri {
        Value::Text(uri) if { ["http://", "https://"].iter() }.any(|scheme| starts(&uri.read(), scheme)) => {
            Feature::UrlSources
        }
        _ => Feature::FileSources,
    }
}

/// Whether it is an object, or a list with one.
fn holds_objects(value: Value<'_>) -> bool {
    match value {
        Value::Object(_) => true,
        Value::List(items) => { items.into_iter() }.any(|item| matches!(item, Value::Object(_))),
        Value::Null | Value::Other | Value::Text(_) => false,
    }
}

/// Whether each of one or several objects names a model.
pub fn name_models(value: Value<'_>) -> bool {
    match value {
        Value::Object(members) => matches!(members.get("model"), Some(Value::Text(_))),
        Value::List(items) => { items.into_iter() }.all(|item| match item {
            Value::Object(_) => name_models(item),
            Value::Null | Value::Other | Value::Text(_) | Value::List(_) => false,
        }),
        Value::Null | Value::Other | Value::Text(_) => false,
    }
}

/// Whether an object has a member of this name, which is given squashed.
pub fn has(value: Value<'_>, name: &str) -> bool {
    let Value::Object(members) = value else {
        return false;
    };
    let mut members = members.into_iter();
    members.any(|(key, value)| !value.is_null() && Squashed::of(key).is(name))
}
