//! What the Vertex proxy lets through.

use clap::ValueEnum;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the agent may call with `access: Proxy`. Everything else is refused by the broker, with what is allowed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Whose models. Default: `anthropic` and `google`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub publishers: Vec<Publisher>,

    /// Which models: globs, `*` stands for any characters, for example `claude-*`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9*][A-Za-z0-9._@*-]*$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub models: Vec<String>,

    /// In which locations. Default: `vertex.region` and those of `vertex.modelRegions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 2, max = 40), regex(pattern = r"^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub regions: Vec<String>,

    /// What a model call may make Google or Anthropic do on the agent's behalf beyond answering. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allow: Vec<Feature>,
}

/// Whose models Vertex AI serves, as the path of a call names them.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
#[serde(rename_all = "lowercase")]
pub enum Publisher {
    /// Claude.
    Anthropic,
    /// Gemini.
    Google,
}

/// Something that a model call can make Google or Anthropic do on the agent's behalf beyond answering: fetch, search, run or call
/// out, with an identity or a network that the agent does not have. Refused unless allowed by name.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
#[value(rename_all = "PascalCase")]
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

impl Publisher {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Anthropic, Self::Google];

    /// As paths and policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Google => "google",
        }
    }
}
