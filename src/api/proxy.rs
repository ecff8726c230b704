//! What the Vertex proxy lets through.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
