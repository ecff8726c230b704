//! Whether a body asks only for what the rules allow.
//!
//! The whole body is walked, and what makes the provider fetch, search, run or call out is found wherever it stands and however it
//! is spelled: Google reads `fileUri` and `file_uri` alike. Not walked is what the provider takes as data by the API's
//! definition, and only at the very place where it does: arguments and results of the agent's own functions, and schemas.
//! There a property may be called `fileUri`.

use super::json::{Json, Members, Value};
use super::refusal::{Reason, Refusal};
use super::rules;
use super::spelling::{Squashed, distinct};
use super::tools;
use http::StatusCode;
use std::fmt::Write;
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules};
use vertex_injector_core::glob::Glob;

/// What a body is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// Whose API reads it.
    pub publisher: Publisher,
    /// Whether the body has to name the model, because the path does not.
    pub names_model: bool,
}

/// The model that a body names at its top.
#[derive(Debug, Clone, Copy)]
pub struct Named<'b, 'r> {
    /// Its ID.
    pub model: &'b str,
    /// The pattern that it matches.
    pub glob: &'r Glob,
}

/// Inspects a body: the model that it names, if it does.
///
/// # Errors
/// Says what is not allowed and where it stands.
pub fn inspect<'b, 'r>(
    body: &'b Json<'_>,
    purpose: Purpose,
    rules: &'r Rules,
) -> Result<Option<Named<'b, 'r>>, Refusal> {
    let Value::Object(members) = body.value() else {
        return Err(malformed("the body has to be a JSON object"));
    };
    let mut walk = Walk {
        rules,
        publisher: purpose.publisher,
        path: Vec::new(),
    };
    walk.object(members, Place::Root)?;
    match members.get("model") {
        Some(Value::Text(name)) => {
            let glob = rules::check_named(rules, name, purpose.publisher)?;
            let model = name.rsplit('/').next().unwrap_or(name);
            Ok(Some(Named { model, glob }))
        }
        _ if purpose.names_model => Err(Refusal::denied(
            Reason::Model,
            "the body has to name the model whose tokens are counted",
        )),
        _ => Ok(None),
    }
}

/// Where in a body a value stands, as far as that gives its members a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The body, and Gemini's `generateContentRequest`.
    Root,
    /// `tools` of the root.
    Tools,
    /// `tools` anywhere else.
    StrayTools,
    /// Anthropic: `messages`.
    Messages,
    /// Anthropic: `messages[].content`.
    Blocks,
    /// Anthropic: `source` of any block.
    Source,
    /// Anthropic: `mcp_servers`.
    McpServers,
    /// Anthropic: `output_config`.
    OutputConfig,
    /// Anthropic: `output_format`, `output_config.format`.
    OutputFormat,
    /// Gemini: `contents`, `systemInstruction`.
    Contents,
    /// Gemini: `contents[].parts`.
    Parts,
    /// Gemini: `functionCall` of a part.
    FunctionCall,
    /// Gemini: `functionResponse` of a part.
    FunctionResponse,
    /// Gemini: `tools[].functionDeclarations`.
    Declarations,
    /// Gemini: `generationConfig`.
    GenerationConfig,
    /// Gemini: `labels`.
    Labels,
    /// Everywhere else.
    Elsewhere,
}

impl Place {
    /// The place of the member `key`, which is `name` when squashed; its spelling has to be one of the API's. Lists have the place
    /// of their elements.
    fn below(self, publisher: Publisher, key: &str, name: &Squashed) -> Self {
        match (publisher, self, key) {
            (_, Self::Root, "tools") => Self::Tools,
            (Publisher::Anthropic, Self::Root, "messages") => Self::Messages,
            (Publisher::Anthropic, Self::Root, "mcp_servers") => Self::McpServers,
            (Publisher::Anthropic, Self::Root, "output_config") => Self::OutputConfig,
            (Publisher::Anthropic, Self::Root, "output_format") | (_, Self::OutputConfig, "format") => {
                Self::OutputFormat
            }
            (Publisher::Anthropic, Self::Messages, "content") => Self::Blocks,
            (Publisher::Anthropic, _, "source") => Self::Source,
            (Publisher::Google, Self::Root, "contents" | "systemInstruction" | "system_instruction") => Self::Contents,
            (Publisher::Google, Self::Root, "generateContentRequest" | "generate_content_request") => Self::Root,
            (Publisher::Google, Self::Root, "generationConfig" | "generation_config") => Self::GenerationConfig,
            (Publisher::Google, Self::Root, "labels") => Self::Labels,
            (Publisher::Google, Self::Tools, "functionDeclarations" | "function_declarations") => Self::Declarations,
            (Publisher::Google, Self::Contents, "parts") => Self::Parts,
            (Publisher::Google, Self::Parts, "functionCall" | "function_call") => Self::FunctionCall,
            (Publisher::Google, Self::Parts, "functionResponse" | "function_response") => Self::FunctionResponse,
            _ if name.is("tools") => Self::StrayTools,
            _ => Self::Elsewhere,
        }
    }

    /// Whether the provider takes the member `key`, of an object of type `kind`, as data: whatever it holds, it means nothing.
    fn is_data(self, publisher: Publisher, key: &str, kind: Option<&str>, value: Value<'_>) -> bool {
        match (publisher, self) {
            (Publisher::Anthropic, Self::Blocks) => {
                key == "input" && matches!(kind, Some("tool_use" | "server_tool_use" | "mcp_tool_use"))
            }
            (Publisher::Anthropic, Self::Tools) => {
                matches!(key, "input_schema" | "input_examples") && matches!(kind, None | Some("custom"))
            }
            (Publisher::Anthropic, Self::OutputFormat) => key == "schema" && kind == Some("json_schema"),
            (Publisher::Google, Self::FunctionCall) => key == "args",
            (Publisher::Google, Self::FunctionResponse) => key == "response",
            (Publisher::Google, Self::Declarations) => DECLARED.contains(&key),
            (Publisher::Google, Self::GenerationConfig) => SCHEMAS.contains(&key),
            (Publisher::Google, Self::Labels) => matches!(value, Value::Text(_)),
            _ => false,
        }
    }
}

/// What a function of Gemini's is declared with.
const DECLARED: [&str; 6] = [
    "parameters",
    "response",
    "parametersJsonSchema",
    "parameters_json_schema",
    "responseJsonSchema",
    "response_json_schema",
];

/// What Gemini's answers have to look like.
const SCHEMAS: [&str; 4] = [
    "responseSchema",
    "response_schema",
    "responseJsonSchema",
    "response_json_schema",
];

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

struct Walk<'w> {
    rules: &'w Rules,
    publisher: Publisher,
    path: Vec<Step<'w>>,
}

impl<'w> Walk<'w> {
    fn value(&mut self, value: Value<'w>, place: Place) -> Result<(), Refusal> {
        let tools = matches!(place, Place::Tools | Place::StrayTools);
        match value {
            Value::List(items) => {
                for (i, item) in items.into_iter().enumerate() {
                    self.path.push(Step::Index(i));
                    if tools {
                        self.tool(item, place)?;
                    } else {
                        self.value(item, place)?;
                    }
                    self.path.pop();
                }
                Ok(())
            }
            Value::Null => Ok(()),
            _ if tools => self.tool(value, place),
            Value::Object(members) => self.object(members, place),
            Value::Other | Value::Text(_) => Ok(()),
        }
    }

    fn tool(&mut self, tool: Value<'w>, place: Place) -> Result<(), Refusal> {
        let Value::Object(members) = tool else {
            return self.feature(Feature::UnknownTools);
        };
        match self.publisher {
            Publisher::Anthropic => {
                if let Some(feature) = tools::of_anthropic(members.get("type")) {
                    self.feature(feature)?;
                }
            }
            Publisher::Google => {
                for (key, _) in members.into_iter().filter(|(_, value)| !value.is_null()) {
                    if let Some(feature) = tools::of_google(&Squashed::of(key)) {
                        self.feature(feature)?;
                    }
                }
            }
        }
        self.object(members, place)
    }

    fn object(&mut self, members: Members<'w>, place: Place) -> Result<(), Refusal> {
        if place != Place::Labels && !distinct(members.keys()) {
            return Err(malformed(format!(
                "the body has an object with the same key in two spellings, at {}",
                self.place()
            )));
        }
        let kind = match members.get("type") {
            Some(Value::Text(kind)) => Some(kind),
            Some(Value::Null) | None => None,
            // What is no string is no type that data can belong to.
            Some(_) => Some(""),
        };
        self.kind(kind, place)?;
        for (key, value) in members {
            if place.is_data(self.publisher, key, kind, value) {
                continue;
            }
            self.path.push(Step::Key(key));
            if !value.is_null() {
                let name = Squashed::of(key);
                self.member(&name, value, kind)?;
                self.value(value, place.below(self.publisher, key, &name))?;
            }
            self.path.pop();
        }
        Ok(())
    }

    /// What an object's type asks for.
    fn kind(&self, kind: Option<&str>, place: Place) -> Result<(), Refusal> {
        let Some(kind) = kind.map(Squashed::of) else {
            return Ok(());
        };
        let is = |name: &str| kind.is(name);
        if is("url") && place != Place::McpServers {
            self.feature(Feature::UrlSources)?;
        }
        if is("file") {
            self.feature(Feature::FileSources)?;
        }
        if is("containerupload") {
            self.feature(Feature::CodeExecution)?;
        }
        let known = ["base64", "text", "content", "url", "file"];
        if place == Place::Source && !known.into_iter().any(is) {
            // A source that this version does not know comes from the one or from the other.
            self.feature(Feature::FileSources)?;
            self.feature(Feature::UrlSources)?;
        }
        Ok(())
    }

    /// What a member asks for by its name. `null` asks for nothing and does not come here.
    fn member(&self, name: &Squashed, value: Value<'_>, kind: Option<&str>) -> Result<(), Refusal> {
        let Some(name) = name.name() else { return Ok(()) };
        if name.ends_with(b"model") || matches!(name, b"modelname" | b"modelid") {
            return match value {
                Value::Text(model) => rules::check_named(self.rules, model, self.publisher).map(|_| ()),
                _ if name == b"model" => Err(Refusal::denied(Reason::Model, "a model's name has to be a string")),
                _ => Ok(()),
            };
        }
        match name {
            b"automode" | b"modelselectionconfig" => rules::check_any_model(self.rules),
            b"fileuri" => self.feature(source_of(value)),
            b"filedata" if !has(value, "fileuri") => self.feature(Feature::FileSources),
            b"gcsuri" | b"storageuri" | b"outputgcsuri" | b"gcssource" | b"gcsdestination" => {
                self.feature(Feature::FileSources)
            }
            // What code execution put out carries the same name and is history.
            b"fileid" if !matches!(kind, Some("code_execution_output" | "bash_code_execution_output")) => {
                self.feature(Feature::FileSources)
            }
            // An empty list is what some clients send for none.
            b"mcpservers" if value.is_empty_list() => Ok(()),
            _ => match tools::by_name(name) {
                Some(feature) => self.feature(feature),
                None => Ok(()),
            },
        }
    }

    fn feature(&self, feature: Feature) -> Result<(), Refusal> {
        rules::check_feature(self.rules, feature, || self.place())
    }

    /// Where we are, for a message. A key that is none of an API's is not repeated.
    fn place(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Index(i) => {
                    let _ = write!(text, "[{i}]");
                }
                Step::Key(key) => {
                    text += if text.is_empty() { "" } else { "." };
                    let plain = key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    text += if plain { key } else { "…" };
                }
            }
        }
        if text.is_empty() { "its top".to_owned() } else { text }
    }
}

/// `fileUri` by its scheme: pages are fetched by anybody's right, all else is read by the identity's.
fn source_of(uri: Value<'_>) -> Feature {
    let starts = |text: &str, scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match uri {
        Value::Text(uri) if starts(uri, "http://") || starts(uri, "https://") => Feature::UrlSources,
        _ => Feature::FileSources,
    }
}

fn has(value: Value<'_>, name: &str) -> bool {
    let Value::Object(members) = value else {
        return false;
    };
    let mut members = members.into_iter();
    members.any(|(key, value)| !value.is_null() && Squashed::of(key).is(name))
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Json, StatusCode::BAD_REQUEST, message)
}
