//! What messages consist of: text, media, uses of tools and what came of them, and changes of the tools.

use super::super::Member::{Data, In};
use super::super::{Member, Place, Type};
use super::tools::{ADDED_TOOL, CACHE_CONTROL, ENABLED, MCP_TOOL};
use vertex_injector_core::contract::proxy::Feature::{CodeExecution, FileSources, McpServers, UrlSources};

/// `content` of messages.
pub static BLOCK: Place = Place::ByType {
    types: &[
        &TEXT_TYPE,
        &TOOL_USE,
        &TOOL_RESULT,
        &IMAGE,
        &DOCUMENT,
        &of_type!("thinking", &["thinking", "signature"], &[]),
        &of_type!("redacted_thinking", &["data"], &[]),
        &SEARCH_RESULT,
        &of_type!("server_tool_use", &["id", "name"], USE),
        &of_type!("mcp_tool_use", &["id", "name", "server_name"], USE),
        &of_type!(
            "mcp_tool_result",
            &["tool_use_id", "is_error"],
            &[("content", In(&TEXT)), ("cache_control", In(&CACHE_CONTROL))],
        ),
        &of_type!("web_search_tool_result", RESULT, OF_SERVER),
        &of_type!("web_fetch_tool_result", RESULT, OF_SERVER),
        &of_type!("code_execution_tool_result", RESULT, OF_SERVER),
        &of_type!("bash_code_execution_tool_result", RESULT, OF_SERVER),
        &of_type!("text_editor_code_execution_tool_result", RESULT, OF_SERVER),
        &of_type!("tool_search_tool_result", RESULT, OF_SERVER),
        &of_type!("advisor_tool_result", RESULT, OF_SERVER),
        &Type {
            name: "container_upload",
            asks: Some(CodeExecution),
            fields: fields!(&["file_id"], &[("cache_control", In(&CACHE_CONTROL))]),
        },
        &of_type!(
            "compaction",
            &["content", "encrypted_content", "signature"],
            &[
                ("cache_control", In(&CACHE_CONTROL)),
                ("tool_changes", In(&TOOL_CHANGES)),
            ],
        ),
        &TOOL_ADDITION,
        &TOOL_REMOVAL,
        &of_type!("mcp_tool_listing", &["mcp_server_name"], &[("tools", In(&MCP_TOOL))]),
        // Which model answered, after which one had not.
        &of_type!("fallback", &[], &[("from", Data), ("to", Data), ("trigger", Data)]),
    ],
    told: true,
};

/// `system`, and other content that is text only.
pub static TEXT: Place = Place::Alike(fields!(&["type", "text"], OF_TEXT));

static TEXT_TYPE: Type = of_type!("text", &["text"], OF_TEXT);
const OF_TEXT: &[(&str, Member)] = &[("cache_control", In(&CACHE_CONTROL)), ("citations", In(&CITATION))];

/// What a text quotes, wherever that was found.
static CITATION: Place = alike!(
    &[
        "type",
        "cited_text",
        "document_index",
        "document_title",
        "encrypted_index",
        "end_block_index",
        "end_char_index",
        "end_page_number",
        "file_id",
        "search_result_index",
        "source",
        "start_block_index",
        "start_char_index",
        "start_page_number",
        "title",
        "url",
    ],
    &[],
);

static IMAGE: Type = of_type!(
    "image",
    &[],
    &[
        ("source", In(&SOURCE)),
        ("cache_control", In(&CACHE_CONTROL)),
        ("transformations", In(&TRANSFORMATIONS)),
    ],
);
static TRANSFORMATIONS: Place = alike!(&["oversized_image"], &[]);

static DOCUMENT: Type = of_type!(
    "document",
    &["context", "title"],
    &[
        ("source", In(&SOURCE)),
        ("cache_control", In(&CACHE_CONTROL)),
        ("citations", In(&ENABLED)),
    ],
);

static SEARCH_RESULT: Type = of_type!(
    "search_result",
    &["source", "title"],
    &[
        ("content", In(&TEXT)),
        ("cache_control", In(&CACHE_CONTROL)),
        ("citations", In(&ENABLED)),
    ],
);

static SOURCE: Place = Place::Source(&[
    &of_type!("base64", &["data", "media_type"], &[]),
    &of_type!("text", &["data", "media_type"], &[]),
    &of_type!("content", &[], &[("content", In(&SOURCE_CONTENT))]),
    &Type {
        name: "url",
        asks: Some(UrlSources),
        fields: fields!(&["url"], &[]),
    },
    &Type {
        name: "file",
        asks: Some(FileSources),
        fields: fields!(&["file_id"], &[]),
    },
]);
static SOURCE_CONTENT: Place = Place::ByType {
    types: &[&TEXT_TYPE, &IMAGE],
    told: true,
};

static TOOL_USE: Type = of_type!("tool_use", &["id", "name", "toolset_name"], USE);
const USE: &[(&str, Member)] = &[
    ("input", Data),
    ("cache_control", In(&CACHE_CONTROL)),
    ("caller", In(&CALLER)),
];
static CALLER: Place = alike!(&["type", "tool_id"], &[]);

static TOOL_RESULT: Type = of_type!(
    "tool_result",
    &["tool_use_id", "is_error", "toolset_name"],
    &[("content", In(&RESULT_CONTENT)), ("cache_control", In(&CACHE_CONTROL))],
);

/// What the agent's own tools gave back.
static RESULT_CONTENT: Place = Place::ByType {
    types: &[
        &TEXT_TYPE,
        &IMAGE,
        &DOCUMENT,
        &SEARCH_RESULT,
        &of_type!(
            "tool_reference",
            &["tool_name"],
            &[("cache_control", In(&CACHE_CONTROL))],
        ),
        &of_type!(
            "browser_state",
            &[],
            &[
                ("cache_control", In(&CACHE_CONTROL)),
                ("tabs", In(&BROWSER)),
                ("state_changes", In(&BROWSER)),
            ],
        ),
    ],
    told: true,
};

/// Tabs of the agent's browser, and what became of them.
static BROWSER: Place = alike!(
    &[
        "type",
        "active",
        "download_id",
        "error",
        "path",
        "size_bytes",
        "tab_id",
        "title",
        "url",
    ],
    &[],
);

const RESULT: &[&str] = &["tool_use_id"];
const OF_SERVER: &[(&str, Member)] = &[
    ("content", In(&SERVER_RESULT)),
    ("cache_control", In(&CACHE_CONTROL)),
    ("caller", In(&CALLER)),
];

/// What tools of the provider gave back, errors included: history.
static SERVER_RESULT: Place = Place::ByType {
    types: &[
        &of_type!(
            "web_search_result",
            &["encrypted_content", "page_age", "title", "url"],
            &[],
        ),
        &of_type!("web_search_tool_result_error", ERROR, &[]),
        &of_type!(
            "web_fetch_result",
            &["retrieved_at", "url"],
            &[("content", In(&FETCHED))],
        ),
        &of_type!("web_fetch_tool_result_error", ERROR, &[]),
        &of_type!(
            "code_execution_result",
            &["return_code", "stderr", "stdout"],
            &[("content", In(&OUTPUT))],
        ),
        &of_type!(
            "encrypted_code_execution_result",
            &["encrypted_stdout", "return_code", "stderr"],
            &[("content", In(&OUTPUT))],
        ),
        &of_type!("code_execution_tool_result_error", ERROR, &[]),
        &of_type!(
            "bash_code_execution_result",
            &["return_code", "stderr", "stdout"],
            &[("content", In(&OUTPUT))],
        ),
        &of_type!("bash_code_execution_tool_result_error", ERROR, &[]),
        &of_type!(
            "text_editor_code_execution_view_result",
            &["content", "file_type", "num_lines", "start_line", "total_lines"],
            &[],
        ),
        &of_type!("text_editor_code_execution_create_result", &["is_file_update"], &[]),
        &of_type!(
            "text_editor_code_execution_str_replace_result",
            &["lines", "new_lines", "new_start", "old_lines", "old_start"],
            &[],
        ),
        &of_type!("text_editor_code_execution_tool_result_error", ERROR, &[]),
        &of_type!(
            "tool_search_tool_search_result",
            &[],
            &[("tool_references", In(&FOUND_TOOL))],
        ),
        &of_type!("tool_search_tool_result_error", ERROR, &[]),
        &of_type!("advisor_result", &["stop_reason", "text"], &[]),
        &of_type!("advisor_redacted_result", &["encrypted_content", "stop_reason"], &[]),
        &of_type!("advisor_tool_result_error", ERROR, &[]),
    ],
    told: true,
};
const ERROR: &[&str] = &["error_code", "error_message"];
static FETCHED: Place = Place::ByType {
    types: &[&DOCUMENT],
    told: false,
};
/// Files that code put out before; naming them again makes nobody read them.
static OUTPUT: Place = Place::ByType {
    types: &[
        &of_type!("code_execution_output", &["file_id"], &[]),
        &of_type!("bash_code_execution_output", &["file_id"], &[]),
    ],
    told: false,
};
static FOUND_TOOL: Place = alike!(&["type", "tool_name"], &[("cache_control", In(&CACHE_CONTROL))]);

static TOOL_CHANGES: Place = Place::ByType {
    types: &[&TOOL_ADDITION, &TOOL_REMOVAL],
    told: true,
};
static TOOL_ADDITION: Type = of_type!(
    "tool_addition",
    &[],
    &[("tool", In(&ADDED)), ("cache_control", In(&CACHE_CONTROL))],
);
static TOOL_REMOVAL: Type = of_type!(
    "tool_removal",
    &[],
    &[("tool", In(&REMOVED)), ("cache_control", In(&CACHE_CONTROL))],
);
static ADDED: Place = Place::ByType {
    types: &[
        &of_type!("tool_definition", &[], &[("definition", In(&ADDED_TOOL))]),
        &of_type!("tool_reference", &["name"], &[]),
        &Type {
            name: "mcp_tool_reference",
            asks: Some(McpServers),
            fields: fields!(&["name", "server_name"], &[]),
        },
        &Type {
            name: "mcp_toolset_reference",
            asks: Some(McpServers),
            fields: fields!(&["server_name"], &[]),
        },
    ],
    told: false,
};
static REMOVED: Place = alike!(&["type", "name", "server_name"], &[]);
