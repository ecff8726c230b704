//! Tools, wherever they stand, and what else has a part of theirs.

use super::super::Member::{Data, In, Model};
use super::super::{Fields, Place};

/// Up to where a prompt is kept for the next call.
pub static CACHE_CONTROL: Place = Place::ByType {
    types: &[&of_type!("ephemeral", &["ttl"], &[])],
    told: true,
};

/// A switch.
pub static ENABLED: Place = alike!(&["enabled"], &[]);

/// A tool.
pub static TOOL: Place = Place::AnthropicTool { told: true };
/// A tool that a message adds.
pub static ADDED_TOOL: Place = Place::AnthropicTool { told: false };

/// What tools have in common.
macro_rules! tool {
    ([$($plain:literal),*], [$($judged:expr),*]) => {
        fields!(
            &["allowed_callers", "defer_loading", "name", "strict", $($plain),*],
            &[("cache_control", In(&CACHE_CONTROL)), $($judged),*],
        )
    };
}

/// A function of the agent's own.
pub static CUSTOM: Fields = tool!(
    ["description", "eager_input_streaming"],
    [("input_schema", Data), ("input_examples", Data)]
);

/// A tool that Anthropic defines and the agent runs.
pub static CLIENT_SIDE: Fields = tool!(
    [
        "display_height_px",
        "display_number",
        "display_width_px",
        "enable_zoom",
        "max_characters"
    ],
    [("input_examples", Data)]
);

/// Many such tools at once.
pub static CLIENT_SIDE_SET: Fields = tool!([], [("configs", In(&CONFIGS))]);

/// A tool that runs at the provider.
pub static SERVER_SIDE: Fields = tool!(
    [
        "allowed_domains",
        "blocked_domains",
        "max_content_tokens",
        "max_tokens",
        "max_uses",
        "response_inclusion",
        "use_cache"
    ],
    [
        ("caching", In(&CACHE_CONTROL)),
        ("citations", In(&ENABLED)),
        ("model", Model),
        ("url_sources", In(&URL_SOURCES)),
        ("user_location", In(&USER_LOCATION))
    ]
);

/// The tools of an MCP server.
pub static MCP_TOOLSET: Fields = tool!(
    ["mcp_server_name"],
    [
        ("configs", In(&CONFIGS)),
        ("default_config", In(&CONFIG)),
        ("tools", In(&MCP_TOOL))
    ]
);

static CONFIGS: Place = Place::Each(&CONFIG);
static CONFIG: Place = alike!(&["defer_loading", "enabled"], &[]);
/// A tool as an MCP server has listed it.
pub static MCP_TOOL: Place = alike!(&["name", "description"], &[("input_schema", Data)]);
static USER_LOCATION: Place = alike!(&["type", "city", "country", "region", "timezone"], &[]);
/// From where the addresses of pages to fetch may come.
static URL_SOURCES: Place = alike!(
    &[],
    &[
        ("client_tool_results", In(&URL_SOURCE)),
        ("server_tool_results", In(&URL_SOURCE)),
        ("user_input", In(&URL_SOURCE)),
    ],
);
static URL_SOURCE: Place = alike!(&["type"], &[("tools", In(&NAMED_TOOL))]);
static NAMED_TOOL: Place = alike!(&["type", "name"], &[]);
