//! The chat completions that Vertex AI serves beside its own calls, as OpenAI's clients send them.

use super::Member::{Asks, Data, In, Link, Model, Payload, Stored};
use super::{FREE, NOTHING, Place, Type};
use vertex_injector_core::contract::proxy::Feature::{FileSources, WebSearch};

/// The body.
pub static ROOT: Place = alike!(
    &[
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "modalities",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "seed",
        "stop",
        "stream",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    ],
    &[
        ("model", Model),
        ("messages", In(&MESSAGE)),
        ("tools", In(&TOOL)),
        ("tool_choice", In(&TOOL_CHOICE)),
        ("functions", In(&FUNCTION)),
        ("function_call", In(&CALLED)),
        ("response_format", In(&RESPONSE_FORMAT)),
        ("stream_options", In(&STREAM_OPTIONS)),
        ("logit_bias", In(&NUMBERS)),
        ("audio", In(&AUDIO)),
        ("web_search_options", Asks(WebSearch, &FREE)),
        // What is Google's own; clients write it in either place.
        ("google", In(&GOOGLE)),
        ("extra_body", In(&EXTRA_BODY)),
    ],
);

static EXTRA_BODY: Place = alike!(&[], &[("google", In(&GOOGLE))]);
static GOOGLE: Place = alike!(
    &["thought_tag_marker"],
    &[
        ("cached_content", Stored),
        ("safety_settings", In(&SAFETY_SETTING)),
        ("thinking_config", In(&THINKING_CONFIG)),
    ],
);
static SAFETY_SETTING: Place = alike!(&["category", "method", "threshold"], &[]);
static THINKING_CONFIG: Place = alike!(&["include_thoughts", "thinking_budget", "thinking_level"], &[]);

static STREAM_OPTIONS: Place = alike!(&["include_usage"], &[]);
static NUMBERS: Place = Place::Each(&NOTHING);
static AUDIO: Place = alike!(&["format", "voice"], &[]);

static MESSAGE: Place = alike!(
    &["name", "reasoning_content", "refusal", "role", "tool_call_id"],
    &[
        ("content", In(&PART)),
        ("tool_calls", In(&TOOL_CALL)),
        ("function_call", In(&CALLED)),
        ("extra_content", In(&EXTRA_CONTENT)),
    ],
);
/// An earlier answer's signature, sent back with it.
static EXTRA_CONTENT: Place = alike!(&[], &[("google", In(&SIGNATURE))]);
static SIGNATURE: Place = alike!(&["thought", "thought_signature"], &[]);

static PART: Place = Place::ByType {
    types: &[&TEXT, &REFUSAL, &IMAGE, &SOUND, &FILE],
    told: false,
};
static TEXT: Type = of_type!("text", &["text"], &[]);
static REFUSAL: Type = of_type!("refusal", &["refusal"], &[]);
static IMAGE: Type = of_type!("image_url", &[], &[("image_url", Link(&LINKED))]);
static LINKED: Place = alike!(&["detail"], &[("url", Link(&NOTHING))]);
static SOUND: Type = of_type!("input_audio", &[], &[("input_audio", In(&INPUT_AUDIO))]);
static INPUT_AUDIO: Place = alike!(&["format"], &[("data", Payload)]);
static FILE: Type = of_type!("file", &[], &[("file", In(&FILE_PART))]);
static FILE_PART: Place = alike!(
    &["filename"],
    &[("file_data", Payload), ("file_id", Asks(FileSources, &NOTHING))],
);

static TOOL: Place = Place::ByType {
    types: &[&FUNCTION_TOOL],
    told: false,
};
static FUNCTION_TOOL: Type = of_type!("function", &[], &[("function", In(&FUNCTION))]);
static FUNCTION: Place = alike!(&["description", "name", "strict"], &[("parameters", Data)]);
static TOOL_CHOICE: Place = alike!(&["type"], &[("function", In(&CALLED))]);
static TOOL_CALL: Place = alike!(
    &["id", "index", "type"],
    &[("function", In(&CALLED)), ("extra_content", In(&EXTRA_CONTENT))],
);
static CALLED: Place = alike!(&["arguments", "name"], &[]);

static RESPONSE_FORMAT: Place = alike!(&["type"], &[("json_schema", In(&JSON_SCHEMA))]);
static JSON_SCHEMA: Place = alike!(&["description", "name", "strict"], &[("schema", Data)]);
