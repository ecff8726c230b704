//! What the Vertex proxy lets through, in the one form in which the injector decides it and the broker enforces it.

use super::setting::by_name;
use crate::glob::Glob;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use strum::VariantArray;

/// What may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The one project.
    pub project: Project,
    /// Whose models.
    pub publishers: Vec<Publisher>,
    /// Where.
    pub regions: Vec<Region>,
    /// Which models.
    pub models: Vec<Glob>,
    /// Which kinds of calls.
    pub methods: Vec<Method>,
    /// What calls may make the provider do on the agent's behalf beyond answering.
    pub allow: Vec<Feature>,
    /// What becomes of members of a body that this version does not know.
    pub unknown: Unknown,
    /// The project's number, by which resources may name it as well.
    pub project_number: Option<u64>,
}

/// What becomes of members of a body, and of types, that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// They are refused, but for these.
    Deny {
        /// What the operator knows.
        known: Vec<FieldName>,
    },
    /// They pass, unless their names say that they ask for what is not allowed.
    Allow,
}

impl Unknown {
    /// By the name of what is to become of them, and what the operator knows.
    pub fn new(fields: UnknownFields, known: Vec<FieldName>) -> Self {
        match fields {
            UnknownFields::Deny => Self::Deny { known },
            UnknownFields::Allow => Self::Allow,
        }
    }

    /// Its name.
    pub fn fields(&self) -> UnknownFields {
        match self {
            Self::Deny { .. } => UnknownFields::Deny,
            Self::Allow => UnknownFields::Allow,
        }
    }

    /// What is known besides.
    pub fn known(&self) -> &[FieldName] {
        match self {
            Self::Deny { known } => known,
            Self::Allow => &[],
        }
    }
}

impl Rules {
    /// The rules for `project` in `regions`. Without `publishers` those are both, without `models` all of theirs. Members that are
    /// not known are refused.
    pub fn new(
        project: Project,
        regions: Vec<Region>,
        mut publishers: Vec<Publisher>,
        mut models: Vec<Glob>,
        allow: Vec<Feature>,
    ) -> Self {
        if publishers.is_empty() {
            publishers = Publisher::ALL.to_vec();
        }
        if models.is_empty() {
            models = vec![Glob::any()];
        }
        Self {
            project,
            publishers,
            regions,
            models,
            methods: Method::USUAL.to_vec(),
            allow,
            unknown: Unknown::Deny { known: Vec::new() },
            project_number: None,
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            project: _,
            publishers,
            regions,
            models,
            methods,
            allow,
            unknown,
            project_number: _,
        } = self;
        let allow = if allow.is_empty() {
            "nothing".to_owned()
        } else {
            shown(allow)
        };
        write!(
            f,
            "publishers {}; models {}; regions {}; allow {allow}",
            shown(publishers),
            shown(models),
            shown(regions)
        )?;
        if *methods != Method::USUAL {
            write!(f, "; methods {}", shown(methods))?;
        }
        match unknown {
            Unknown::Allow => f.write_str("; unknown fields"),
            Unknown::Deny { known } if known.is_empty() => Ok(()),
            Unknown::Deny { known } => write!(f, "; fields {}", shown(known)),
        }
    }
}

/// Names for people, at most 32 of them.
pub fn shown(names: &[impl fmt::Display]) -> String {
    const MOST: usize = 32;
    let texts = names.iter().take(MOST).map(ToString::to_string);
    let more = (names.len() > MOST).then(|| "…".to_owned());
    texts.chain(more).collect::<Vec<_>>().join(", ")
}

/// Whether calls for the model that a client's variable names get through: `opus` and its like are aliases, which other
/// settings resolve, and `[1m]` at the end asks for a longer context.
pub fn may_be_called(named: &str, models: &[Glob]) -> bool {
    /// Longest name that any pattern is held against.
    const MAX: usize = 253;
    let model = named.strip_suffix("[1m]").unwrap_or(named);
    !model.contains('-') || (model.len() <= MAX && models.iter().any(|glob| glob.matches(model)))
}

/// The ID of a Google Cloud project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project(String);

impl FromStr for Project {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
        if !text.is_empty() && text.len() <= 63 && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a project ID: lower-case letters, digits and hyphens")
        }
    }
}

/// A location of Vertex AI: a region, `global`, `us` or `eu`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// Whether this can be one.
    pub fn is(text: &str) -> bool {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        text.len() <= 128 && text.bytes().all(known) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    }
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Self::is(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a location: a region such as us-east5, or global, us or eu")
        }
    }
}

/// Whose models Vertex AI serves, as the path of a call names them.
#[derive(VariantArray, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "injector", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Publisher {
    /// Claude.
    Anthropic,
    /// Gemini.
    Google,
}

impl Publisher {
    /// Both.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As paths, policies and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Google => "google",
        }
    }
}

/// A kind of calls of models.
#[derive(VariantArray, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "injector", derive(schemars::JsonSchema))]
pub enum Method {
    /// Answers: `rawPredict` and `streamRawPredict`, `generateContent` and `streamGenerateContent`.
    Generate,
    /// Counts the tokens of a request: the model `count-tokens`, `countTokens`.
    CountTokens,
    /// Embeds texts: `embedContent`, `batchEmbedContents`, and `predict` of text embedding models.
    Embed,
    /// Lists the tokens of a request: `computeTokens`.
    ComputeTokens,
    /// Answers in OpenAI's form: `endpoints/openapi/chat/completions`.
    ChatCompletions,
}

impl Method {
    /// All of them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Those that are allowed unless a policy says otherwise.
    pub const USUAL: &'static [Self] = &[Self::Generate, Self::CountTokens];

    /// As policies and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "Generate",
            Self::CountTokens => "CountTokens",
            Self::Embed => "Embed",
            Self::ComputeTokens => "ComputeTokens",
            Self::ChatCompletions => "ChatCompletions",
        }
    }
}

/// Something that a model call can make Google or Anthropic do on the agent's behalf beyond answering: fetch, search, run or call
/// out, with an identity or a network that the agent does not have. Refused unless allowed by name.
#[derive(VariantArray, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "injector", derive(schemars::JsonSchema))]
pub enum Feature {
    /// Content that is stored at the provider: Gemini's `cachedContent`, Anthropic's `thread`.
    CachedContent,
    /// Code that Google or Anthropic runs: Gemini's `codeExecution`, Anthropic's `code_execution_*` and `container`.
    CodeExecution,
    /// Files that are stored at the provider or in Cloud Storage, read or written as the identity: `fileData` with `gs://`, sources
    /// of type `file`, `outputUriPrefix`.
    FileSources,
    /// Gemini's `googleMaps`.
    GoogleMaps,
    /// MCP servers that the provider calls: `mcp_servers`, `mcp_toolset`, `mcpServers`.
    McpServers,
    /// Search in data stores, with the identity: Gemini's `retrieval`, `fileSearch`.
    Retrieval,
    /// Server tools that this version does not know.
    UnknownTools,
    /// Content that the provider fetches from a URL in the request: sources of type `url`, `fileData` with `http(s)://`.
    UrlSources,
    /// Pages that the model chooses to fetch: Gemini's `urlContext`, Anthropic's `web_fetch_*`.
    WebFetch,
    /// Searches of the web: Gemini's `googleSearch`, `googleSearchRetrieval`, `enterpriseWebSearch`, Anthropic's `web_search_*`.
    WebSearch,
}

impl Feature {
    /// All of them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As policies and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CachedContent => "CachedContent",
            Self::CodeExecution => "CodeExecution",
            Self::FileSources => "FileSources",
            Self::GoogleMaps => "GoogleMaps",
            Self::McpServers => "McpServers",
            Self::Retrieval => "Retrieval",
            Self::UnknownTools => "UnknownTools",
            Self::UrlSources => "UrlSources",
            Self::WebFetch => "WebFetch",
            Self::WebSearch => "WebSearch",
        }
    }
}

/// The name of an [`Unknown`].
#[derive(VariantArray, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "injector", derive(schemars::JsonSchema))]
pub enum UnknownFields {
    /// The request is refused, as the provider refuses what it does not know.
    #[default]
    Deny,
    /// They pass, unless their names say that they ask for what is not allowed.
    Allow,
}

impl UnknownFields {
    /// Both.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As policies and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Allow => "Allow",
        }
    }
}

by_name!(Publisher, Method, Feature, UnknownFields);

/// The name of a member of a request's body, or of a type of its objects: letters, digits, `_`, `-` and `.`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

impl FromStr for FieldName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

impl TryFrom<String> for FieldName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if (1..=64).contains(&name.len()) && name.bytes().all(known) {
            Ok(Self(name))
        } else {
            Err("must be the name of a member: at most 64 letters, digits, _, - and .")
        }
    }
}

impl From<FieldName> for String {
    fn from(FieldName(name): FieldName) -> Self {
        name
    }
}

/// What is text that was checked.
macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl $kind {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
as_text!(Project, Region, FieldName);
