//! Anthropic's Messages and the counting of their tokens.

pub mod content;
pub mod tools;

use super::Member::{Asks, AsksUnlessEmpty, Data, Fallbacks, In, Model};
use super::Place;
use content::{BLOCK, TEXT};
use tools::{CACHE_CONTROL, TOOL};
use vertex_injector_core::contract::proxy::Feature::{CachedContent, CodeExecution, McpServers};

/// The body.
pub static ROOT: Place = alike!(
    &[
        "anthropic_beta",
        "anthropic_version",
        "inference_geo",
        "max_tokens",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "temperature",
        "top_k",
        "top_p",
    ],
    &[
        ("messages", In(&MESSAGE)),
        ("system", In(&TEXT)),
        ("tools", In(&TOOL)),
        ("model", Model),
        ("metadata", In(&METADATA)),
        ("thinking", In(&THINKING)),
        ("tool_choice", In(&TOOL_CHOICE)),
        ("cache_control", In(&CACHE_CONTROL)),
        ("context_management", In(&CONTEXT_MANAGEMENT)),
        ("output_config", In(&OUTPUT_CONFIG)),
        ("output_format", In(&OUTPUT_FORMAT)),
        ("billing_policy", In(&BILLING_POLICY)),
        ("compaction", In(&COMPACTION)),
        // Compares the prompt with an earlier one of the same client; nothing of either is shown.
        ("diagnostics", In(&DIAGNOSTICS)),
        ("fallback_credit_token", In(&CREDIT_TOKEN)),
        ("fallbacks", Fallbacks(&FALLBACK)),
        ("container", Asks(CodeExecution, &CONTAINER)),
        ("mcp_servers", AsksUnlessEmpty(McpServers, &MCP_SERVER)),
        // What was said before is held at the provider, and is said again without being inspected.
        ("thread", Asks(CachedContent, &THREAD)),
    ],
);

static METADATA: Place = alike!(&["user_id"], &[]);
static DIAGNOSTICS: Place = alike!(&["previous_message_id"], &[]);
static CREDIT_TOKEN: Place = alike!(&["token", "mode"], &[]);
static BILLING_POLICY: Place = alike!(&["type", "bill_to"], &[]);
static COMPACTION: Place = alike!(&["type", "instructions"], &[]);
static THREAD: Place = alike!(&["type", "previous_message_id"], &[]);
static TOOL_CHOICE: Place = alike!(&["type", "name", "disable_parallel_tool_use"], &[]);
static CONTAINER: Place = alike!(&["id"], &[("skills", In(&SKILL))]);
static SKILL: Place = alike!(&["type", "skill_id", "version"], &[]);

static THINKING: Place = Place::ByType {
    types: &[
        &of_type!(
            "enabled",
            &["budget_tokens", "display"],
            &[("block_binding", In(&BLOCK_BINDING))],
        ),
        &of_type!("adaptive", &["display"], &[("block_binding", In(&BLOCK_BINDING))]),
        &of_type!("between_tools", &[], &[]),
        &of_type!("disabled", &[], &[]),
    ],
    told: true,
};

static BLOCK_BINDING: Place = alike!(&["prefix_mismatch_behavior"], &[]);

static OUTPUT_CONFIG: Place = alike!(
    &["effort"],
    &[("format", In(&OUTPUT_FORMAT)), ("task_budget", In(&TASK_BUDGET))],
);
static TASK_BUDGET: Place = alike!(&["type", "total", "remaining"], &[]);
static OUTPUT_FORMAT: Place = Place::ByType {
    types: &[&of_type!("json_schema", &[], &[("schema", Data)])],
    told: false,
};

static FALLBACK: Place = alike!(
    &["max_tokens", "speed"],
    &[
        ("model", Model),
        ("output_config", In(&OUTPUT_CONFIG)),
        ("thinking", In(&THINKING)),
    ],
);

static CONTEXT_MANAGEMENT: Place = alike!(&[], &[("edits", In(&EDIT))]);
static EDIT: Place = Place::ByType {
    types: &[
        &of_type!(
            "clear_tool_uses_20250919",
            &["clear_tool_inputs", "exclude_tools"],
            &[
                ("clear_at_least", In(&AMOUNT)),
                ("keep", In(&AMOUNT)),
                ("trigger", In(&AMOUNT)),
            ],
        ),
        &of_type!("clear_thinking_20251015", &[], &[("keep", In(&AMOUNT))]),
        &of_type!(
            "compact_20260112",
            &["instructions", "pause_after_compaction"],
            &[("trigger", In(&AMOUNT))],
        ),
    ],
    told: true,
};
static AMOUNT: Place = alike!(&["type", "value"], &[]);

static MCP_SERVER: Place = alike!(
    &["type", "name", "url", "authorization_token"],
    &[("tool_configuration", In(&MCP_SERVER_TOOLS))],
);
static MCP_SERVER_TOOLS: Place = alike!(&["allowed_tools", "enabled"], &[]);

static MESSAGE: Place = alike!(
    &["role", "clear_at"],
    &[("content", In(&BLOCK)), ("output_config", In(&MESSAGE_OUTPUT))],
);
static MESSAGE_OUTPUT: Place = alike!(&["effort"], &[]);
