//! What is known of a body is judged: tools wherever they stand, models wherever one is chosen, resources by their project, stored
//! state as what it is; schemas are data in all their places, and history asks for nothing.

use super::inspection::rules;
use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules, Unknown};
use vertex_injector_sidecar::broker::proxy::inspect::{Purpose, inspect};
use vertex_injector_sidecar::broker::proxy::json::Json;
use vertex_injector_sidecar::broker::proxy::refusal::{Reason, Refusal};
use vertex_injector_sidecar::broker::proxy::target::Api;

/// What is said of a body by these rules; how many of its members passed without being known.
pub(crate) fn judged(publisher: Publisher, body: &Value, rules: &Rules) -> Result<u32, Refusal> {
    let purpose = Purpose {
        api: Api::of(publisher),
        names_model: false,
    };
    let text = body.to_string();
    let json = Json::parse(text.as_bytes()).expect("strict JSON");
    inspect(&json, purpose, rules).map(|inspected| inspected.unknown)
}

#[track_caller]
fn passes(publisher: Publisher, body: &Value, rules: &Rules) {
    let passed = judged(publisher, body, rules).map_err(|refusal| refusal.message);
    assert_eq!(passed, Ok(0), "{body}");
}

/// It is refused for this reason, with 403 and these words.
#[track_caller]
pub(crate) fn denied(publisher: Publisher, body: &Value, rules: &Rules, reason: Reason, words: &str) {
    let refusal = judged(publisher, body, rules).expect_err("a refusal");
    assert_eq!(
        (refusal.reason, refusal.status.as_u16()),
        (reason, 403),
        "{body}: {}",
        refusal.message
    );
    assert!(refusal.message.contains(words), "{body}: {}", refusal.message);
}

/// It asks for this feature: refused by its name without, passes with it, and does not pass with all others.
#[track_caller]
fn asks_for(publisher: Publisher, body: &Value, feature: Feature) {
    let refusal = judged(publisher, body, &rules(&[])).expect_err("a refusal");
    assert_eq!(refusal.feature, Some(feature), "{body}: {}", refusal.message);
    assert_eq!(refusal.status.as_u16(), 403, "{body}");
    passes(publisher, body, &rules(&[feature]));
    let others: Vec<Feature> = Feature::ALL.iter().copied().filter(|other| *other != feature).collect();
    assert!(judged(publisher, body, &rules(&others)).is_err(), "{body}");
}

fn any_model() -> Rules {
    Rules {
        models: vec!["*".parse().unwrap()],
        ..rules(&[])
    }
}

/// Only these models.
fn only(models: &[&str]) -> Rules {
    Rules {
        models: models.iter().map(|glob| glob.parse().unwrap()).collect(),
        ..rules(&[])
    }
}

/// A conversation of Claude's in which this block stands, in a message of this role.
pub(crate) fn said(role: &str, block: &Value) -> Value {
    json!({"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}, {"role": role, "content": [block]}]})
}

/// One with these members besides.
pub(crate) fn claude(key: &str, value: &Value) -> Value {
    json!({"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], key: value})
}

pub(crate) fn gemini(key: &str, value: &Value) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], key: value})
}

/// A tool that a message adds.
pub(crate) fn added(definition: &Value) -> Value {
    let tool = json!({"type": "tool_definition", "definition": definition});
    json!({"type": "tool_addition", "tool": tool})
}

/// A schema with properties that mean something elsewhere.
fn schema() -> Value {
    let text = json!({"type": "string"});
    let properties =
        json!({"model": text, "url": text, "file_id": text, "fileUri": text, "tools": text, "googleSearch": text});
    json!({"type": "object", "properties": properties, "required": ["model"], "$defs": {"thread": {"type": "url"}}})
}

#[test]
fn a_tool_of_claudes_is_one_wherever_it_stands() {
    for (definition, feature) in [
        (
            json!({"type": "web_search_20260318", "name": "web_search"}),
            Feature::WebSearch,
        ),
        (
            json!({"type": "web_fetch_20260318", "name": "web_fetch"}),
            Feature::WebFetch,
        ),
        (
            json!({"type": "code_execution_20260521", "name": "code_execution"}),
            Feature::CodeExecution,
        ),
        (
            json!({"type": "mcp_toolset", "mcp_server_name": "tickets"}),
            Feature::McpServers,
        ),
        (
            json!({"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8"}),
            Feature::UnknownTools,
        ),
        (
            json!({"type": "time_travel_20300101", "name": "travel"}),
            Feature::UnknownTools,
        ),
    ] {
        asks_for(Publisher::Anthropic, &claude("tools", &json!([definition])), feature);
        for role in ["system", "user", "assistant"] {
            asks_for(Publisher::Anthropic, &said(role, &added(&definition)), feature);
        }
        let compaction = json!({"type": "compaction", "content": "…", "tool_changes": [added(&definition)]});
        asks_for(Publisher::Anthropic, &said("assistant", &compaction), feature);
    }
    for tool in [
        json!({"type": "mcp_toolset_reference", "server_name": "tickets"}),
        json!({"type": "mcp_tool_reference", "server_name": "tickets", "name": "open"}),
    ] {
        let addition = json!({"type": "tool_addition", "tool": tool});
        asks_for(Publisher::Anthropic, &said("system", &addition), Feature::McpServers);
        // Who takes a tool away asks for nothing.
        let removal = json!({"type": "tool_removal", "tool": tool});
        passes(Publisher::Anthropic, &said("system", &removal), &rules(&[]));
    }
    // The advisor's model is one.
    let advisor = added(&json!({"type": "advisor_20260301", "name": "advisor", "model": "gpt-4"}));
    let allowed = rules(&[Feature::UnknownTools]);
    denied(
        Publisher::Anthropic,
        &said("system", &advisor),
        &allowed,
        Reason::Model,
        "model gpt-4 is not allowed",
    );
}

#[test]
fn tools_that_the_agent_runs_pass_wherever_they_stand() {
    for definition in [
        json!({"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": false}, "type": {"defer_loading": true}}}),
        json!({"type": "browser_toolset_20260801", "configs": {"javascript_exec": {"enabled": false}}}),
        json!({"type": "computer_20251124", "name": "computer", "display_width_px": 1, "display_height_px": 1, "enable_zoom": true}),
        json!({"type": "bash_20250124", "name": "bash", "input_examples": [{"fileUri": "gs://a"}]}),
        json!({"name": "delegate", "description": "Gives a task to another agent", "input_schema": schema()}),
        json!({"type": "custom", "name": "f", "input_schema": schema(), "input_examples": [schema()], "strict": true, "defer_loading": true}),
        json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}),
    ] {
        passes(
            Publisher::Anthropic,
            &claude("tools", &json!([definition])),
            &rules(&[]),
        );
        passes(Publisher::Anthropic, &said("system", &added(&definition)), &rules(&[]));
    }
    let referenced = json!({"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}});
    passes(Publisher::Anthropic, &said("system", &referenced), &rules(&[]));
    // A set without a date is none that is known, nor is a search of another kind.
    for kind in [
        "computer_toolset",
        "browser_toolset_2026",
        "tool_search_tool_web_20300101",
    ] {
        let tools = json!([{"type": kind}]);
        asks_for(Publisher::Anthropic, &claude("tools", &tools), Feature::UnknownTools);
    }
}

#[test]
fn who_leaves_the_choice_of_the_model_to_the_provider_needs_every_model() {
    let some = only(&["claude-fable-5*", "claude-sonnet-*", "gemini-2.5-flash"]);
    for (publisher, body) in [
        (Publisher::Anthropic, claude("fallbacks", &json!("default"))),
        (Publisher::Anthropic, claude("fallbacks", &json!("another"))),
        (
            Publisher::Google,
            gemini(
                "generationConfig",
                &json!({"modelConfig": {"featureSelectionPreference": "PRIORITIZE_QUALITY"}}),
            ),
        ),
        (
            Publisher::Google,
            gemini(
                "generation_config",
                &json!({"model_config": {"feature_selection_preference": "BALANCED"}}),
            ),
        ),
        (
            Publisher::Google,
            gemini(
                "generationConfig",
                &json!({"routingConfig": {"autoMode": {"modelRoutingPreference": "BALANCED"}}}),
            ),
        ),
        (
            Publisher::Google,
            gemini("generation_config", &json!({"routing_config": {"auto_mode": {}}})),
        ),
    ] {
        denied(
            publisher,
            &body,
            &some,
            Reason::Model,
            "proxy.models allows only claude-fable-5*",
        );
        passes(publisher, &body, &any_model());
    }
    let fallback = |model: &str| {
        claude(
            "fallbacks",
            &json!([{"model": "claude-sonnet-5"}, {"model": model, "max_tokens": 1}]),
        )
    };
    passes(Publisher::Anthropic, &fallback("claude-fable-5-1"), &some);
    denied(
        Publisher::Anthropic,
        &fallback("claude-opus-4-8"),
        &some,
        Reason::Model,
        "model claude-opus-4-8 is not allowed",
    );
    let manual = gemini(
        "generationConfig",
        &json!({"routingConfig": {"manualMode": {"modelName": "gemini-3-pro"}}}),
    );
    denied(
        Publisher::Google,
        &manual,
        &some,
        Reason::Model,
        "model gemini-3-pro is not allowed",
    );
}

#[test]
fn what_the_provider_writes_or_reads_elsewhere_is_a_file() {
    for body in [
        gemini(
            "outputConfig",
            &json!({"outputUriPrefix": "gs://bucket-of-somebody-else/inbox/"}),
        ),
        gemini("output_config", &json!({"output_uri_prefix": "gs://b/"})),
        gemini(
            "generationConfig",
            &json!({"responseFormat": [{"video": {"delivery": "URI", "gcsUri": "gs://b/"}}]}),
        ),
        gemini(
            "generation_config",
            &json!({"response_format": [{"video": {"gcs_uri": "gs://b/"}}]}),
        ),
    ] {
        asks_for(Publisher::Google, &body, Feature::FileSources);
    }
}

#[test]
fn a_resource_belongs_to_the_policys_project() {
    let rules = Rules {
        project_number: Some(123_456_789_012),
        ..rules(&[Feature::CachedContent])
    };
    let templates = |key: &str, project: &str| {
        gemini(
            "modelArmorConfig",
            &json!({key: format!("projects/{project}/locations/us-central1/templates/t")}),
        )
    };
    for key in ["promptTemplateName", "responseTemplateName", "prompt_template_name"] {
        passes(Publisher::Google, &templates(key, "my-project"), &rules);
        passes(Publisher::Google, &templates(key, "123456789012"), &rules);
        for other in ["other-project", "my-project-2", "210987654321", "-", "", "My-Project"] {
            denied(
                Publisher::Google,
                &templates(key, other),
                &rules,
                Reason::Project,
                "vertex.project is my-project",
            );
        }
    }
    for name in [
        json!("t"),
        json!("folders/my-project/t"),
        json!(["projects/my-project/t"]),
        json!({}),
    ] {
        let body = gemini("modelArmorConfig", &json!({"promptTemplateName": name}));
        denied(
            Publisher::Google,
            &body,
            &rules,
            Reason::Project,
            "at modelArmorConfig.promptTemplateName",
        );
    }
    let cached = |project: &str| {
        gemini(
            "cachedContent",
            &json!(format!("projects/{project}/locations/l/cachedContents/1")),
        )
    };
    passes(Publisher::Google, &cached("my-project"), &rules);
    denied(
        Publisher::Google,
        &cached("other-project"),
        &rules,
        Reason::Project,
        "vertex.project is my-project",
    );
}

#[test]
fn a_source_that_does_not_say_what_it_is_is_not_guessed() {
    for source in [
        json!({"url": "https://images.example/a.png"}),
        json!({"type": null, "url": "https://images.example/a.png"}),
        json!({"file_id": "file_1"}),
        json!({"data": "AA==", "media_type": "image/png"}),
        json!({"type": "s3", "uri": "s3://a"}),
        json!({}),
        json!("https://images.example/a.png"),
        json!([["file_1"]]),
    ] {
        for kind in ["image", "document"] {
            let block = json!({"type": kind, "source": source});
            let result = json!({"type": "tool_result", "tool_use_id": "1", "content": [block]});
            for block in [block, result] {
                let refusal = judged(Publisher::Anthropic, &said("user", &block), &rules(&[])).expect_err("a refusal");
                assert_eq!(
                    (refusal.reason, refusal.status.as_u16()),
                    (Reason::Feature, 403),
                    "{block}"
                );
                let both = rules(&[Feature::FileSources, Feature::UrlSources]);
                passes(Publisher::Anthropic, &said("user", &block), &both);
            }
        }
    }
}

#[test]
fn a_stored_conversation_is_stored_content() {
    for thread in [
        json!({"type": "continue", "previous_message_id": "msg_01"}),
        json!({"type": "create"}),
        json!("msg_01"),
    ] {
        asks_for(Publisher::Anthropic, &claude("thread", &thread), Feature::CachedContent);
    }
    passes(Publisher::Anthropic, &claude("thread", &Value::Null), &rules(&[]));
}

#[test]
fn schemas_are_data_in_all_their_places() {
    let format = json!({"type": "json_schema", "schema": schema()});
    for body in [
        claude("output_config", &json!({"format": format, "effort": "high"})),
        claude("output_format", &format),
        claude(
            "fallbacks",
            &json!([{"model": "claude-opus-4-8", "output_config": {"format": format}}]),
        ),
        said(
            "assistant",
            &json!({"type": "mcp_tool_listing", "mcp_server_name": "m", "tools": [{"name": "t", "input_schema": schema()}]}),
        ),
    ] {
        passes(Publisher::Anthropic, &body, &rules(&[]));
    }
    for config in [
        json!({"responseFormat": [{"text": {"mimeType": "APPLICATION_JSON", "schema": schema()}}]}),
        json!({"response_format": [{"text": {"mime_type": "APPLICATION_JSON", "schema": schema()}}]}),
        json!({"responseFormat": {"text": {"schema": schema()}}}),
        json!({"responseSchema": schema()}),
        json!({"response_json_schema": schema()}),
    ] {
        passes(Publisher::Google, &gemini("generationConfig", &config), &rules(&[]));
    }
    for declared in ["parameters", "response", "parametersJsonSchema", "response_json_schema"] {
        let tools = json!([{"function_declarations": [{"name": "f", declared: schema()}]}]);
        passes(Publisher::Google, &gemini("tools", &tools), &rules(&[]));
    }
}

#[test]
fn history_that_tells_what_happened_asks_for_nothing() {
    let result = |kind: &str, content: Value| json!({"type": kind, "tool_use_id": "1", "content": content});
    let only = only(&["claude-fable-5*"]);
    for block in [
        json!({"type": "fallback", "from": {"model": "claude-fable-5"}, "to": {"model": "claude-opus-4-8"}}),
        json!({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": {"type": "refusal", "category": "cyber"}}),
        json!({"type": "server_tool_use", "id": "1", "name": "web_search", "input": {"url": "https://a", "model": "x"},
               "caller": {"type": "code_execution_20260120", "tool_id": "2"}}),
        json!({"type": "mcp_tool_use", "id": "1", "name": "t", "server_name": "s", "input": {"tools": [{"type": "web_search_20260318"}]}}),
        json!({"type": "text", "text": "x", "citations": [{"type": "page_location", "file_id": "file_1", "cited_text": "x"}]}),
        result(
            "web_search_tool_result",
            json!([{"type": "web_search_result", "url": "https://a", "encrypted_content": "e"}]),
        ),
        result(
            "web_fetch_tool_result",
            json!({"type": "web_fetch_result", "url": "https://a", "content":
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}}),
        ),
        result(
            "bash_code_execution_tool_result",
            json!({"type": "bash_code_execution_result", "stdout": "", "return_code": 0,
            "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}]}),
        ),
        result(
            "code_execution_tool_result",
            json!({"type": "code_execution_tool_result_error", "error_code": "unavailable"}),
        ),
        result(
            "tool_search_tool_result",
            json!({"type": "tool_search_tool_search_result", "tool_references":
            [{"type": "tool_reference", "tool_name": "t"}]}),
        ),
        result(
            "advisor_tool_result",
            json!({"type": "advisor_redacted_result", "encrypted_content": "e"}),
        ),
    ] {
        passes(Publisher::Anthropic, &said("assistant", &block), &only);
    }
    for part in [
        json!({"executableCode": {"language": "PYTHON", "code": "fetch()"}}),
        json!({"toolCall": {"id": "1", "toolType": "GOOGLE_SEARCH", "args": {"fileUri": "gs://a"}}}),
        json!({"tool_response": {"id": "1", "response": {"model": "x"}}}),
        json!({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}}),
    ] {
        let body = json!({"contents": [{"role": "model", "parts": [part]}]});
        passes(Publisher::Google, &body, &rules(&[]));
    }
    // What was fetched is history; what is to be fetched is not.
    let fetched = json!({"type": "web_fetch_result", "content": {"type": "document", "source": {"type": "url", "url": "https://a"}}});
    let body = said("assistant", &result("web_fetch_tool_result", fetched));
    asks_for(Publisher::Anthropic, &body, Feature::UrlSources);
}

#[test]
fn the_suffix_of_a_long_context_is_explained() {
    let body = json!({"model": "claude-sonnet-4-5@20250929[1m]", "messages": [{"role": "user", "content": "hi"}]});
    let words = "[1m] is no part of a model's name: name claude-sonnet-4-5@20250929";
    denied(Publisher::Anthropic, &body, &rules(&[]), Reason::Model, words);
    for (suffixed, words) in [
        (
            "claude-opus-4-8[1M]",
            "the header anthropic-beta: context-1m-2025-08-07 asks for",
        ),
        (
            "publishers/anthropic/models/claude-opus-4-8[fast]",
            "[fast] is no part of a model's name: name claude-opus-4-8",
        ),
        ("claude-opus-4-8[a/secret]", "proxy.models allows claude-*"),
        (
            "claude-opus-4-8[a secret]",
            "names a model in a way that is not allowed",
        ),
        ("a secret[1m]", "names a model in a way that is not allowed"),
        ("claude-opus-4-8[]", "names a model in a way that is not allowed"),
    ] {
        let body = json!({"model": suffixed, "messages": []});
        denied(Publisher::Anthropic, &body, &rules(&[]), Reason::Model, words);
    }
    let fallback = claude("fallbacks", &json!([{"model": "claude-opus-4-8[1m]"}]));
    denied(
        Publisher::Anthropic,
        &fallback,
        &rules(&[]),
        Reason::Model,
        "name claude-opus-4-8",
    );
}

#[test]
fn what_stands_where_an_object_would_be_judged_does_not_pass_in_its_place() {
    let claude = [
        json!({"fallbacks": ["default"]}),
        json!({"fallbacks": ["claude-opus-5"]}),
        json!({"fallbacks": [[["claude-opus-5"]]]}),
        json!({"fallbacks": [{}]}),
        json!({"fallbacks": [{"model": null}]}),
        json!({"fallbacks": {"max_tokens": 1}}),
        json!({"messages": [{"role": "user", "content": [{"type": "tool_addition", "tool": "web_search_20250305"}]}]}),
    ];
    let gemini = [
        json!({"outputConfig": "gs://x"}),
        json!({"modelArmorConfig": "projects/other/x"}),
        json!({"modelArmorConfig": {"promptTemplateName": "projects/my-project/../other/templates/x"}}),
        json!({"generationConfig": {"routingConfig": "auto"}}),
        json!({"generationConfig": {"routingConfig": {"manualMode": "gemini-3-pro"}}}),
        json!({"generationConfig": {"routingConfig": [["auto"]]}}),
    ];
    let bodies = claude.iter().map(|body| (Publisher::Anthropic, body));
    for (publisher, body) in bodies.chain(gemini.iter().map(|body| (Publisher::Google, body))) {
        assert!(judged(publisher, body, &only(&["claude-haiku-*"])).is_err(), "{body}");
    }
}

#[test]
fn what_nobody_knows_is_found_by_its_name_in_any_spelling_where_unknown_members_pass() {
    let rules = Rules {
        unknown: Unknown::Allow,
        ..rules(&[])
    };
    for body in [
        json!({"x": {"type": "web_search", "name": "web_search"}}),
        json!({"x": {"type": "WEB_SEARCH_20250305"}}),
        json!({"server_tools": [{"type": "web_search"}]}),
        json!({"mcp-servers": [{"url": "x"}]}),
        json!({"mcp_server": {"url": "https://x"}}),
        json!({"x": {"type": "web_fetch_x", "url": "https://x"}}),
    ] {
        assert!(judged(Publisher::Anthropic, &body, &rules).is_err(), "{body}");
    }
    for body in [
        json!({"x": {"type": "web_search_tool_result"}}),
        json!({"x_tools": ["a"]}),
    ] {
        assert!(judged(Publisher::Anthropic, &body, &rules).is_ok(), "{body}");
    }
}

#[test]
fn what_nobody_knows_and_asks_for_nothing_passes_where_unknown_members_pass() {
    let allow = |features: &[Feature]| Rules {
        unknown: Unknown::Allow,
        ..rules(features)
    };
    let some = Rules {
        models: vec!["claude-fable-5*".parse().unwrap()],
        ..allow(&[])
    };
    let named = json!([{"model": "claude-fable-5-1"}]);
    for later in [
        json!({"mcp_servers": []}),
        json!({"their_model": {"a": 1}}),
        json!({"fallbacks": named}),
        json!({"file_id": null, "model": null}),
    ] {
        judged(Publisher::Anthropic, &claude("later", &later), &some).expect("it passes");
    }
    let page = gemini("later", &json!({"fileData": {"fileUri": "https://a"}}));
    judged(Publisher::Google, &page, &allow(&[Feature::UrlSources])).expect("a page, and no file");
    for tools in [
        json!({"googleSearch": null}),
        json!([{"googleSearch": null, "functionDeclarations": []}]),
    ] {
        let body = gemini("later", &json!({"tools": tools}));
        judged(Publisher::Google, &body, &allow(&[])).expect("a tool that is none");
    }
    for (publisher, later) in [
        (Publisher::Google, json!({"autoMode": {}})),
        (Publisher::Google, json!({"model_selection_config": {}})),
        (Publisher::Anthropic, json!({"model": ["claude-fable-5-1"]})),
        (Publisher::Anthropic, json!({"fallbacks": ["claude-fable-5-1"]})),
    ] {
        let body = json!({"later": later});
        let refusal = judged(publisher, &body, &some).expect_err("a refusal");
        assert_eq!(refusal.reason, Reason::Model, "{body}: {}", refusal.message);
    }
    for data in [
        json!({"mimeType": "text/plain"}),
        json!({"fileUri": null}),
        json!("gs://a"),
    ] {
        let known = json!({"contents": [{"parts": [{"fileData": data}]}]});
        for body in [gemini("later", &json!({"fileData": data})), known] {
            let refusal = judged(Publisher::Google, &body, &allow(&[])).expect_err("a refusal");
            assert_eq!(
                refusal.feature,
                Some(Feature::FileSources),
                "{body}: {}",
                refusal.message
            );
        }
    }
    for tool in [json!({"googleSearch": {}}), json!("googleSearch")] {
        let body = gemini("later", &json!({"tools": tool}));
        judged(Publisher::Google, &body, &allow(&[])).expect_err("a tool");
    }
}

#[test]
fn a_member_of_googles_in_both_its_spellings_is_there_twice() {
    let allowed = rules(&[Feature::WebSearch]);
    for body in [
        json!({"contents": [], "generationConfig": {}, "generation_config": {}}),
        json!({"contents": [], "tools": [{"googleSearch": {}, "google_search": {}}]}),
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "a", "mime_type": "b"}}]}]}),
    ] {
        let refusal = judged(Publisher::Google, &body, &allowed).expect_err("a refusal");
        assert_eq!(refusal.status.as_u16(), 400, "{body}: {}", refusal.message);
        assert!(
            refusal.message.contains("in two spellings"),
            "{body}: {}",
            refusal.message
        );
    }
    let once = json!({"contents": [], "generation_config": {"topK": 1, "top_p": 1}});
    passes(Publisher::Google, &once, &allowed);
}

#[test]
fn a_model_is_named_by_its_id_or_by_a_name_that_ends_in_it() {
    let full = |project: &str, region: &str, publisher: &str| {
        format!("projects/{project}/locations/{region}/publishers/{publisher}/models/claude-opus-4-8")
    };
    for name in [
        "claude-opus-4-8",
        "models/claude-opus-4-8",
        "anthropic/claude-opus-4-8",
        "publishers/anthropic/models/claude-opus-4-8",
        &full("my-project", "us-east5", "anthropic"),
    ] {
        passes(Publisher::Anthropic, &claude("model", &json!(name)), &rules(&[]));
    }
    for name in [
        "google/claude-opus-4-8",
        "publishers/google/models/claude-opus-4-8",
        &full("other", "us-east5", "anthropic"),
        &full("my-project", "europe-west1", "anthropic"),
        &full("my-project", "us-east5", "google"),
        "claude-opus-4-8 ",
        "",
    ] {
        judged(Publisher::Anthropic, &claude("model", &json!(name)), &rules(&[])).expect_err("a refusal");
    }
}

#[test]
fn a_tool_that_asks_another_model_has_no_members_that_nobody_knows() {
    let advisor = json!({"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8", "later": 1});
    let allowed = rules(&[Feature::UnknownTools]);
    let refusal = judged(Publisher::Anthropic, &claude("tools", &json!([advisor])), &allowed).expect_err("a refusal");
    assert_eq!(refusal.reason, Reason::UnknownField, "{}", refusal.message);
}
