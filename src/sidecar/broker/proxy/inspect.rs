//! Whether a body asks only for what the rules allow.
//!
//! The whole body is walked beside the [`tables`] of what a request may have. What is in none of them is judged
//! [`by_name`], and passes only if the rules let unknown members pass. Not walked is what the provider takes as data by the API's
//! definition, and only at the very place where it does: arguments and results of the agent's own functions, and schemas.

use super::by_name::{self, ByName, Role};
use super::json::{Json, Members, Value};
use super::path::Path;
use super::refusal::{Reason, Refusal};
use super::rules;
use super::spelling::distinct;
use super::tables::{Fields, Member, NOTHING, Place, Type, anthropic, google, openai};
use super::target::Api;
use super::tools::{self, Tool};
use super::unknown;
use std::borrow::Cow;
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules};
use vertex_injector_core::glob::Glob;

/// What a body is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// What reads it.
    pub api: Api,
    /// Whether the body has to name the model, because the path does not.
    pub names_model: bool,
}

/// What there is to say of a body that passes.
#[derive(Debug)]
pub struct Inspected<'r> {
    /// The model that it names at its top.
    pub named: Option<Named<'r>>,
    /// How many members and types it has that no table has.
    pub unknown: u32,
}

/// The model that a body names at its top.
#[derive(Debug)]
pub struct Named<'r> {
    /// Its ID.
    pub model: String,
    /// The pattern that it matches.
    pub glob: &'r Glob,
}

/// Inspects a body.
///
/// # Errors
/// Says what is not allowed and where it stands.
pub fn inspect<'r>(body: &Json<'_>, purpose: Purpose, rules: &'r Rules) -> Result<Inspected<'r>, Refusal> {
    let Value::Object(members) = body.value() else {
        return Err(Refusal::malformed("the body has to be a JSON object"));
    };
    let publisher = purpose.api.publisher();
    let mut walk = Walk {
        rules,
        publisher,
        path: Path::default(),
        unknown: 0,
    };
    let root = match purpose.api {
        Api::Messages => &anthropic::ROOT,
        Api::Gemini => &google::ROOT,
        Api::Embed => &google::EMBED,
        Api::Predict => &google::PREDICT,
        Api::ComputeTokens => &google::COMPUTE_TOKENS,
        Api::ChatCompletions => &openai::ROOT,
    };
    walk.object(members, root)?;
    let unknown = walk.unknown;
    let named = match members.get("model") {
        Some(Value::Text(name)) => {
            let name = name.read();
            let glob = rules::check_named(rules, &name, publisher)?;
            let model = name.rsplit('/').next().unwrap_or_default().to_owned();
            Some(Named { model, glob })
        }
        _ if purpose.names_model => {
            let message = "the body has to name the model";
            return Err(Refusal::denied(Reason::Model, message));
        }
        _ => None,
    };
    Ok(Inspected { named, unknown })
}

struct Walk<'b> {
    rules: &'b Rules,
    publisher: Publisher,
    path: Path<'b>,
    unknown: u32,
}

impl<'b> Walk<'b> {
    fn value(&mut self, value: Value<'b>, place: &'static Place) -> Result<(), Refusal> {
        match value {
            Value::List(items) => {
                for (i, item) in items.into_iter().enumerate() {
                    self.path.index(i);
                    match item {
                        Value::Object(members) => self.object(members, place)?,
                        Value::Null | Value::Other | Value::Text(_) | Value::List(_) => self.no_object(item, place)?,
                    }
                    self.path.back();
                }
                Ok(())
            }
            Value::Object(members) => self.object(members, place),
            Value::Null => Ok(()),
            Value::Other | Value::Text(_) => self.no_object(value, place),
        }
    }

    /// What stands in the place of an object says nothing, except where one would have to be judged.
    fn no_object(&mut self, value: Value<'b>, place: &'static Place) -> Result<(), Refusal> {
        match place {
            Place::AnthropicTool { .. } | Place::GoogleTool(_) => self.feature(Feature::UnknownTools),
            Place::Source(_) => {
                self.feature(Feature::FileSources)?;
                self.feature(Feature::UrlSources)
            }
            Place::Alike(_) | Place::ByType { .. } | Place::Each(_) | Place::Free => match value {
                Value::List(_) => self.value(value, place),
                Value::Other | Value::Text(_) if place.needs_objects() => Err(Refusal::malformed(format!(
                    "the body has no object at {}, where one has to stand",
                    self.path.shown()
                ))),
                Value::Null | Value::Other | Value::Text(_) | Value::Object(_) => Ok(()),
            },
        }
    }

    fn object(&mut self, members: Members<'b>, place: &'static Place) -> Result<(), Refusal> {
        match place {
            Place::Alike(fields) => self.members(members, fields, false),
            Place::ByType { types, told } => match type_of(members, types) {
                Some(of) => self.typed(members, of, *told),
                None => self.of_unknown_type(members, types),
            },
            Place::Source(types) => match type_of(members, types) {
                Some(of) => self.typed(members, of, true),
                None => self.by_name().object(members, Role::Source),
            },
            Place::AnthropicTool { told } => self.tool(members, *told),
            Place::GoogleTool(fields) => self.tools(members, fields),
            Place::Each(place) => {
                for (key, value) in members {
                    self.path.key(key);
                    self.value(value, place)?;
                    self.path.back();
                }
                Ok(())
            }
            Place::Free => self.by_name().object(members, Role::Any),
        }
    }

    fn typed(&mut self, members: Members<'b>, of: &'static Type, told: bool) -> Result<(), Refusal> {
        if let Some(feature) = of.asks {
            self.feature(feature)?;
        }
        self.below_type(members, &of.fields, told.then_some(Cow::Borrowed(of.name)))
    }

    fn tool(&mut self, members: Members<'b>, told: bool) -> Result<(), Refusal> {
        let tool = tools::of_anthropic(members.get("type"));
        if let Some(feature) = tool.asks() {
            self.feature(feature)?;
        }
        let fields = match tool {
            Tool::Custom => &anthropic::tools::CUSTOM,
            Tool::ClientSide => &anthropic::tools::CLIENT_SIDE,
            Tool::ClientSideSet => &anthropic::tools::CLIENT_SIDE_SET,
            Tool::ToolSearch | Tool::ServerSide(_) => &anthropic::tools::SERVER_SIDE,
            Tool::McpToolset => &anthropic::tools::MCP_TOOLSET,
            Tool::Unknown => return self.by_name().object(members, Role::Tool),
        };
        let name = by_name::kind(members).unwrap_or(Cow::Borrowed("custom"));
        self.below_type(members, fields, told.then_some(name))
    }

    /// The members of an object whose type is known.
    fn below_type(
        &mut self,
        members: Members<'b>,
        fields: &'static Fields,
        told: Option<Cow<'b, str>>,
    ) -> Result<(), Refusal> {
        let Some(name) = told else {
            return self.members(members, fields, true);
        };
        self.path.of_type(name);
        self.members(members, fields, true)?;
        self.path.back();
        Ok(())
    }

    fn members(&mut self, members: Members<'b>, fields: &'static Fields, has_type: bool) -> Result<(), Refusal> {
        // Keys all differ. If all are spelled as in the table, they differ in more than spelling.
        let mut spelled = true;
        for (key, value) in members {
            self.path.key(key);
            match fields.find(self.publisher, key) {
                Some((member, first)) => {
                    spelled &= first;
                    if !value.is_null() {
                        self.member(member, value)?;
                    }
                }
                None if has_type && key == "type" => {}
                None => {
                    spelled = false;
                    self.by_name().member(key, value, None)?;
                    if !rules::lets_pass(self.rules, key) {
                        return Err(unknown::member(self.publisher, &self.path));
                    }
                    self.unknown += 1;
                }
            }
            self.path.back();
        }
        self.differ(members, spelled)
    }

    /// The members of a tool of Google's, each of which is one.
    fn tools(&mut self, members: Members<'b>, fields: &'static Fields) -> Result<(), Refusal> {
        let mut spelled = true;
        for (key, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            self.path.key(key);
            if let Some((member, first)) = fields.find(self.publisher, key) {
                spelled &= first;
                self.member(member, value)?;
            } else {
                spelled = false;
                self.feature(tools::of_google(key).unwrap_or(Feature::UnknownTools))?;
                self.by_name().member(key, value, None)?;
            }
            self.path.back();
        }
        self.differ(members, spelled)
    }

    fn differ(&self, members: Members<'b>, spelled: bool) -> Result<(), Refusal> {
        if spelled || distinct(members.keys()) {
            return Ok(());
        }
        Err(Refusal::same_key(&self.path.shown()))
    }

    fn of_unknown_type(&mut self, members: Members<'b>, types: &'static [&'static Type]) -> Result<(), Refusal> {
        self.by_name().object(members, Role::Any)?;
        let kind = by_name::kind(members);
        let kind = kind.as_deref();
        if rules::lets_pass(self.rules, kind.unwrap_or_default()) {
            self.unknown += 1;
            return Ok(());
        }
        Err(unknown::of_type(self.publisher, &self.path, kind, types))
    }

    fn member(&mut self, member: Member, value: Value<'b>) -> Result<(), Refusal> {
        match member {
            Member::Data => Ok(()),
            Member::In(place) => self.value(value, place),
            Member::AsksUnlessEmpty(..) if value.is_empty_list() => Ok(()),
            Member::Asks(feature, place) | Member::AsksUnlessEmpty(feature, place) => {
                self.feature(feature)?;
                self.value(value, place)
            }
            Member::Model => match value {
                Value::Text(model) => rules::check_named(self.rules, &model.read(), self.publisher).map(|_| ()),
                Value::Null | Value::Other | Value::List(_) | Value::Object(_) => Err(Refusal::nameless_model()),
            },
            Member::Choice(place) => {
                rules::check_any_model(self.rules)?;
                self.value(value, place)
            }
            Member::Fallbacks(place) => {
                if !by_name::name_models(value) {
                    rules::check_any_model(self.rules)?;
                }
                match value {
                    Value::List(_) | Value::Object(_) => self.value(value, place),
                    Value::Null | Value::Other | Value::Text(_) => Ok(()),
                }
            }
            Member::Resource => {
                let name = if let Value::Text(name) = value {
                    name.read()
                } else {
                    Cow::default()
                };
                self.resource(&name)
            }
            Member::Stored => {
                self.feature(Feature::CachedContent)?;
                match value {
                    Value::Text(name) if name.read().contains('/') => self.resource(&name.read()),
                    _ => self.value(value, &NOTHING),
                }
            }
            Member::File(place) => {
                if !by_name::has(value, "fileuri") {
                    self.feature(Feature::FileSources)?;
                }
                self.value(value, place)
            }
            Member::Address => {
                self.feature(by_name::address(value))?;
                self.value(value, &NOTHING)
            }
            Member::Link(place) => match value {
                Value::Text(text) if is_data(&text.read()) => Ok(()),
                Value::Text(_) | Value::Other | Value::List(_) => self.feature(by_name::address(value)),
                Value::Null | Value::Object(_) => self.value(value, place),
            },
            Member::Payload => match value {
                // Bytes in base64 have no colon, addresses have.
                Value::Text(text) if !is_data(&text.read()) && text.read().contains(':') => {
                    self.feature(by_name::address(value))
                }
                Value::List(_) => self.feature(by_name::address(value)),
                Value::Null | Value::Other | Value::Text(_) | Value::Object(_) => self.value(value, &NOTHING),
            },
        }
    }

    fn resource(&self, name: &str) -> Result<(), Refusal> {
        rules::check_resource(self.rules, name, || self.path.shown())
    }

    fn feature(&self, feature: Feature) -> Result<(), Refusal> {
        rules::check_feature(self.rules, feature, || self.path.shown())
    }

    fn by_name(&mut self) -> ByName<'_, 'b> {
        ByName {
            rules: self.rules,
            publisher: self.publisher,
            path: &mut self.path,
        }
    }
}

/// Whether an address holds what it is the address of (RFC 2397).
fn is_data(address: &str) -> bool {
    address
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

fn type_of(members: Members<'_>, types: &'static [&'static Type]) -> Option<&'static Type> {
    let kind = by_name::kind(members)?;
    types.iter().copied().find(|of| of.name == kind)
}
