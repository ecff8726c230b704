//! What the Vertex proxy lets through, in the one form in which the injector decides it and the broker enforces it.

use super::setting::by_name;
use crate::glob::Glob;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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
    /// What calls may make the provider do on the agent's behalf beyond answering.
    pub allow: Vec<Feature>,
}

impl Rules {
    /// The rules for `project` in `regions`. Without `publishers` those are both, without `models` all of theirs.
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
            allow,
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
            allow,
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
        )
    }
}

/// Names for people, at most 32 of them.
pub fn shown(names: &[impl fmt::Display]) -> String {
    const MOST: usize = 32;
    let texts = names.iter().take(MOST).map(ToString::to_string);
    let more = (names.len() > MOST).then(|| "…".to_owned());
    texts.chain(more).collect::<Vec<_>>().join(", ")
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
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    pub const ALL: [Self; 2] = [Self::Anthropic, Self::Google];

    /// As paths, policies and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Google => "google",
        }
    }
}

/// Something that a model call can make Google or Anthropic do on the agent's behalf beyond answering: fetch, search, run or call
/// out, with an identity or a network that the agent does not have. Refused unless allowed by name.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "injector", derive(schemars::JsonSchema))]
pub enum Feature {
    /// Gemini's `cachedContent`: content that somebody stored before.
    CachedContent,
    /// Code that Google or Anthropic runs: Gemini's `codeExecution`, Anthropic's `code_execution_*` and `container`.
    CodeExecution,
    /// Files that are stored at the provider or in Cloud Storage, read as the identity: `fileData` with `gs://`, sources of type `file`.
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
    pub const ALL: [Self; 10] = [
        Self::CachedContent,
        Self::CodeExecution,
        Self::FileSources,
        Self::GoogleMaps,
        Self::McpServers,
        Self::Retrieval,
        Self::UnknownTools,
        Self::UrlSources,
        Self::WebFetch,
        Self::WebSearch,
    ];

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

by_name!(Publisher, Feature);

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
as_text!(Project, Region);
