//! What the tools of a request make the provider do, if anything.
//!
//! The agent's own tools are functions that it runs itself. The others run at the provider.

use super::json::Value;
use super::spelling::Squashed;
use vertex_injector_core::contract::proxy::Feature;

/// Types of Anthropic's tools that the agent runs itself; each is followed by its date.
const CLIENT_SIDE: [&str; 4] = ["bash", "computer", "memory", "text_editor"];

/// Types of Anthropic's tools that search the request's own tools only.
const SEARCH_OF_TOOLS: &str = "tool_search_tool_";

/// What a tool of Anthropic's API does, by its `type`; `None` when the agent runs it itself.
pub fn of_anthropic(kind: Option<Value<'_>>) -> Option<Feature> {
    let kind = match kind {
        None | Some(Value::Null) => return None,
        Some(Value::Text(kind)) => kind,
        Some(_) => return Some(Feature::UnknownTools),
    };
    if kind == "custom" || kind.starts_with(SEARCH_OF_TOOLS) || CLIENT_SIDE.contains(&undated(kind)) {
        return None;
    }
    let is = |name: &str| {
        kind.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    Some(if is("web_search") {
        Feature::WebSearch
    } else if is("web_fetch") {
        Feature::WebFetch
    } else if is("code_execution") {
        Feature::CodeExecution
    } else if is("mcp_toolset") {
        Feature::McpServers
    } else {
        Feature::UnknownTools
    })
}

/// What a member of a tool of Gemini's API does; `None` when the agent runs it itself.
pub fn of_google(name: &Squashed) -> Option<Feature> {
    match name.name() {
        Some(b"functiondeclarations" | b"computeruse") => None,
        Some(name) => by_name(name).or(Some(Feature::UnknownTools)),
        None => Some(Feature::UnknownTools),
    }
}

/// What a member does by its squashed name, wherever it stands.
pub fn by_name(name: &[u8]) -> Option<Feature> {
    Some(match name {
        b"cachedcontent" => Feature::CachedContent,
        b"codeexecution" | b"container" => Feature::CodeExecution,
        b"googlemaps" => Feature::GoogleMaps,
        b"mcpservers" => Feature::McpServers,
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
