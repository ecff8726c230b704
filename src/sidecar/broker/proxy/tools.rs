//! What the tools of a request make the provider do, if anything.
//!
//! The agent's own tools are functions that it runs itself. The others run at the provider.

use super::json::Value;
use super::spelling::Squashed;
use vertex_injector_core::contract::proxy::Feature;

/// A tool of Anthropic's API, by its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A function of the agent's own.
    Custom,
    /// One that Anthropic defines and the agent runs.
    ClientSide,
    /// Many of these at once.
    ClientSideSet,
    /// One that finds others of the same request.
    ToolSearch,
    /// One that the provider runs.
    ServerSide(Feature),
    /// All of an MCP server's.
    McpToolset,
    /// None that this version knows.
    Unknown,
}

impl Tool {
    /// What it makes the provider do.
    pub fn asks(self) -> Option<Feature> {
        match self {
            Self::Custom | Self::ClientSide | Self::ClientSideSet | Self::ToolSearch => None,
            Self::ServerSide(feature) => Some(feature),
            Self::McpToolset => Some(Feature::McpServers),
            Self::Unknown => Some(Feature::UnknownTools),
        }
    }
}

/// What a tool of Anthropic's API is, by its `type`.
pub fn of_anthropic(kind: Option<Value<'_>>) -> Tool {
    match kind {
        None | Some(Value::Null) => Tool::Custom,
        Some(Value::Text(kind)) => of_type(&kind.read()),
        Some(Value::Other | Value::List(_) | Value::Object(_)) => Tool::Unknown,
    }
}

/// What makes the provider do something by its `type` alone, wherever an object of it stands.
pub fn named(kind: &str) -> Option<Feature> {
    let kind = kind.to_ascii_lowercase();
    // What a tool brought back is called after it, and is history.
    let is_history = kind.ends_with("_result") || kind.ends_with("_error");
    let asks = of_type(&kind).asks().filter(|_| !is_history);
    asks.filter(|feature| *feature != Feature::UnknownTools)
}

fn of_type(kind: &str) -> Tool {
    match undated(kind) {
        "bash" | "computer" | "memory" | "text_editor" => return Tool::ClientSide,
        "browser_toolset" | "computer_toolset" => return Tool::ClientSideSet,
        "tool_search_tool_bm25" | "tool_search_tool_regex" => return Tool::ToolSearch,
        // Asks another model.
        "advisor" => return Tool::ServerSide(Feature::UnknownTools),
        _ => {}
    }
    match kind {
        "custom" => return Tool::Custom,
        "tool_search_tool_bm25" | "tool_search_tool_regex" => return Tool::ToolSearch,
        _ => {}
    }
    let is = |name: &str| {
        kind.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    if is("web_search") {
        Tool::ServerSide(Feature::WebSearch)
    } else if is("web_fetch") {
        Tool::ServerSide(Feature::WebFetch)
    } else if is("code_execution") {
        Tool::ServerSide(Feature::CodeExecution)
    } else if is("mcp_toolset") {
        Tool::McpToolset
    } else {
        Tool::Unknown
    }
}

/// What a member of a tool of Gemini's API does; `None` when the agent runs it itself.
pub fn of_google(key: &str) -> Option<Feature> {
    match Squashed::of(key).name() {
        Some(b"functiondeclarations" | b"computeruse") => None,
        Some(name) => by_name(name).or(Some(Feature::UnknownTools)),
        None => Some(Feature::UnknownTools),
    }
}

/// What a member does by its squashed name, wherever it stands.
pub fn by_name(name: &[u8]) -> Option<Feature> {
    Some(match name {
        b"cachedcontent" | b"thread" => Feature::CachedContent,
        b"codeexecution" | b"container" => Feature::CodeExecution,
        b"googlemaps" => Feature::GoogleMaps,
        b"mcpservers" | b"mcpserver" => Feature::McpServers,
        b"retrieval" | b"filesearch" | b"vertexaisearch" | b"vertexragstore" | b"externalapi" => Feature::Retrieval,
        b"urlcontext" => Feature::WebFetch,
        b"googlesearch" | b"googlesearchretrieval" | b"enterprisewebsearch" => Feature::WebSearch,
        _ => return None,
    })
}

/// A type without its date, `_` and eight digits, which it has to have.
fn undated(kind: &str) -> &str {
    match kind.rsplit_once('_') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => "",
    }
}
