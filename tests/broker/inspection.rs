//! What bodies may hold: the agent's own tools and data pass, whatever they are called; each feature is told apart from the others.

use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::{Feature, Method, Publisher, Rules, Unknown};
use vertex_injector_sidecar::broker::proxy::inspect::{Purpose, inspect};
use vertex_injector_sidecar::broker::proxy::json::Json;
use vertex_injector_sidecar::broker::proxy::target::Api;

pub(crate) fn rules(allow: &[Feature]) -> Rules {
    Rules {
        project: "my-project".parse().unwrap(),
        publishers: Publisher::ALL.to_vec(),
        regions: vec!["us-east5".parse().unwrap()],
        models: vec!["claude-*".parse().unwrap(), "gemini-*".parse().unwrap()],
        methods: Method::USUAL.to_vec(),
        allow: allow.to_vec(),
        unknown: Unknown::Deny { known: Vec::new() },
        project_number: None,
    }
}

/// Inspects; the refusal's feature and message.
pub(crate) fn inspected(publisher: Publisher, body: &str, allow: &[Feature]) -> Result<(), (Option<Feature>, String)> {
    let purpose = Purpose {
        api: Api::of(publisher),
        names_model: false,
    };
    let json = Json::parse(body.as_bytes()).map_err(|error| (None, error.to_string()))?;
    let refused = inspect(&json, purpose, &rules(allow)).err();
    refused.map_or(Ok(()), |refusal| Err((refusal.feature, refusal.message)))
}

/// Everything that means something elsewhere, as data.
fn treacherous() -> Value {
    json!({
        "type": "url",
        "url": "https://example.com",
        "source": {"type": "file", "file_id": "1"},
        "fileUri": "gs://bucket/object",
        "file_uri": "gs://bucket/object",
        "fileData": {},
        "cachedContent": "x",
        "model": "gpt-4",
        "container": "c",
        "mcp_servers": [{}],
        "tools": [{"googleSearch": {}}, {"type": "web_search_20250305"}],
        "properties": {"googleSearch": {"type": "object"}, "retrieval": {"type": "string"}},
    })
}

#[test]
fn claudes_own_tools_pass() {
    let data = treacherous();
    for tool in [
        json!({"name": "a", "description": "Reads a fileUri", "input_schema": data}),
        json!({"name": "web_search", "type": "custom", "input_schema": data, "cache_control": {"type": "ephemeral"}}),
        json!({"name": "a", "type": null, "input_schema": data, "input_examples": [data], "strict": true}),
        json!({"name": "bash", "type": "bash_20250124"}),
        json!({"name": "str_replace_based_edit_tool", "type": "text_editor_20250728", "max_characters": 100}),
        json!({"name": "computer", "type": "computer_20251124", "display_width_px": 1}),
        json!({"name": "memory", "type": "memory_20250818"}),
        json!({"name": "tool_search_tool_regex", "type": "tool_search_tool_regex_20251119"}),
        json!({"name": "tool_search_tool_bm25", "type": "tool_search_tool_bm25"}),
    ] {
        let body = json!({"messages": [], "tools": [tool], "tool_choice": {"type": "tool", "name": "a"}});
        assert_eq!(
            inspected(Publisher::Anthropic, &body.to_string(), &[]),
            Ok(()),
            "{body}"
        );
    }
}

#[test]
fn claudes_conversations_pass() {
    let data = treacherous();
    let body = json!({
        "anthropic_version": "vertex-2023-10-16",
        "anthropic_beta": ["context-1m"],
        "model": "claude-opus-4@20250514",
        "max_tokens": 10,
        "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "{\"fileUri\":\"gs://a\",\"type\":\"url\"}", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "mcp_servers": [],
        "container": null,
        "output_config": {"format": {"type": "json_schema", "schema": data}, "effort": "high"},
        "tools": [{"name": "a", "input_schema": data}],
        "messages": [
            {"role": "user", "content": "a string with {\"type\": \"url\"}"},
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {"type": "search_result", "source": "https://example.com", "title": "t", "content": [{"type": "text", "text": "x"}]},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "…", "signature": "s"},
                {"type": "text", "text": "x", "citations": [
                    {"type": "char_location", "cited_text": "x", "document_index": 0, "file_id": null},
                    {"type": "web_search_result_location", "url": "https://example.com", "title": "t"},
                ]},
                {"type": "tool_use", "id": "1", "name": "a", "input": data},
                {"type": "server_tool_use", "id": "2", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "2", "content": [
                    {"type": "web_search_result", "url": "https://example.com", "title": "t", "encrypted_content": "e"},
                ]},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "1", "is_error": false, "content": [
                    {"type": "text", "text": "{\"fileData\": 1}"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                ]},
                {"type": "tool_result", "tool_use_id": "1", "content": "fileUri"},
            ]},
        ],
    });
    assert_eq!(inspected(Publisher::Anthropic, &body.to_string(), &[]), Ok(()));
}

#[test]
fn geminis_own_functions_and_conversations_pass() {
    let data = treacherous();
    let body = json!({
        "systemInstruction": {"parts": [{"text": "fileUri"}]},
        "tools": [
            {"functionDeclarations": [
                {"name": "a", "description": "googleSearch", "parameters": data, "response": data},
                {"name": "b", "parametersJsonSchema": data, "responseJsonSchema": data},
            ]},
            {"function_declarations": [{"name": "c", "parameters_json_schema": data}], "googleSearch": null},
            {"computerUse": {"environment": "ENVIRONMENT_BROWSER"}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}},
        "labels": {"model": "gpt-4", "fileUri": "x", "file_uri": "y"},
        "cachedContent": null,
        "generationConfig": {"temperature": 1, "responseMimeType": "application/json", "responseSchema": data, "responseJsonSchema": data},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "contents": [
            {"role": "user", "parts": [{"text": "{\"fileUri\": \"gs://a\"}"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "1", "name": "a", "args": data}, "thoughtSignature": "s"},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            ]},
            {"role": "user", "parts": [{"function_response": {"name": "a", "response": data, "parts": [{"inlineData": {"data": "AA=="}}]}}]},
        ],
    });
    assert_eq!(inspected(Publisher::Google, &body.to_string(), &[]), Ok(()));
    let counting = json!({"generateContentRequest": body, "model": "models/gemini-2.5-pro"});
    assert_eq!(inspected(Publisher::Google, &counting.to_string(), &[]), Ok(()));
}

#[test]
fn what_is_data_for_one_api_is_none_for_the_other_and_none_elsewhere() {
    let uri = json!({"fileUri": "gs://a"});
    for (publisher, body) in [
        (
            Publisher::Anthropic,
            json!({"contents": [{"parts": [{"functionCall": {"args": uri}}]}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"generationConfig": {"responseSchema": uri}}),
        ),
        (Publisher::Anthropic, json!({"labels": {"fileUri": "gs://a"}})),
        (
            Publisher::Anthropic,
            json!({"system": [{"type": "tool_use", "input": uri}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"messages": [{"content": [{"type": "tool_result", "content": [{"type": "tool_use", "input": uri}]}]}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"messages": [{"content": [{"type": "tool_use", "Input": uri}]}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"messages": [{"content": [{"type": ["tool_use"], "input": uri}]}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"tools": [{"type": "bash_20250124", "input_schema": uri}]}),
        ),
        (
            Publisher::Anthropic,
            json!({"more": {"tools": [{"input_schema": uri}]}}),
        ),
        (
            Publisher::Anthropic,
            json!({"output_format": {"type": "text", "schema": uri}}),
        ),
        (
            Publisher::Google,
            json!({"messages": [{"content": [{"type": "tool_use", "input": uri}]}]}),
        ),
        (
            Publisher::Google,
            json!({"tools": [{"functionDeclarations": [{"Parameters": uri}]}]}),
        ),
        (
            Publisher::Google,
            json!({"functionDeclarations": [{"parameters": uri}]}),
        ),
        (
            Publisher::Google,
            json!({"contents": [{"functionCall": {"args": uri}}]}),
        ),
        (
            Publisher::Google,
            json!({"contents": [{"parts": [{"functionCall": {"response": uri}}]}]}),
        ),
        (Publisher::Google, json!({"responseSchema": uri})),
    ] {
        let refused = inspected(publisher, &body.to_string(), &[]);
        assert_eq!(
            refused.map_err(|(feature, _)| feature),
            Err(Some(Feature::FileSources)),
            "{body}"
        );
    }
}

#[test]
fn each_feature_is_refused_by_its_name_and_passes_when_it_is_allowed() {
    let file = |uri: &str| json!({"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]});
    let source = |source: Value| json!({"messages": [{"content": [{"type": "image", "source": source}]}]});
    let claude = |kind: &str| json!({"tools": [{"type": kind, "name": "t"}]});
    let gemini = |key: &str| json!({"tools": [{key: {}}]});
    for (publisher, body, feature) in [
        (Publisher::Google, json!({"cachedContent": "c"}), Feature::CachedContent),
        (Publisher::Google, gemini("codeExecution"), Feature::CodeExecution),
        (
            Publisher::Anthropic,
            claude("code_execution_20250825"),
            Feature::CodeExecution,
        ),
        (Publisher::Anthropic, json!({"container": "c"}), Feature::CodeExecution),
        (Publisher::Google, file("gs://a/b"), Feature::FileSources),
        (Publisher::Google, file("ftp://a/b"), Feature::FileSources),
        (
            Publisher::Anthropic,
            source(json!({"type": "file", "file_id": "f"})),
            Feature::FileSources,
        ),
        (Publisher::Google, gemini("googleMaps"), Feature::GoogleMaps),
        (
            Publisher::Anthropic,
            json!({"mcp_servers": [{"type": "url", "url": "https://a"}]}),
            Feature::McpServers,
        ),
        (Publisher::Anthropic, claude("mcp_toolset"), Feature::McpServers),
        (Publisher::Google, gemini("mcpServers"), Feature::McpServers),
        (Publisher::Google, gemini("retrieval"), Feature::Retrieval),
        (Publisher::Google, gemini("fileSearch"), Feature::Retrieval),
        (Publisher::Google, gemini("timeTravel"), Feature::UnknownTools),
        (
            Publisher::Anthropic,
            claude("time_travel_20300101"),
            Feature::UnknownTools,
        ),
        (Publisher::Google, file("https://a/b"), Feature::UrlSources),
        (
            Publisher::Anthropic,
            source(json!({"type": "url", "url": "https://a"})),
            Feature::UrlSources,
        ),
        (Publisher::Google, gemini("urlContext"), Feature::WebFetch),
        (Publisher::Anthropic, claude("web_fetch_20250910"), Feature::WebFetch),
        (Publisher::Google, gemini("googleSearch"), Feature::WebSearch),
        (Publisher::Google, gemini("enterpriseWebSearch"), Feature::WebSearch),
        (Publisher::Google, gemini("googleSearchRetrieval"), Feature::WebSearch),
        (Publisher::Anthropic, claude("web_search_20250305"), Feature::WebSearch),
    ] {
        let text = body.to_string();
        let refused = inspected(publisher, &text, &[]).expect_err("a refusal");
        assert_eq!(refused.0, Some(feature), "{body}: {}", refused.1);
        assert_eq!(inspected(publisher, &text, &[feature]), Ok(()), "{body}");
        let others: Vec<Feature> = Feature::ALL.iter().copied().filter(|other| *other != feature).collect();
        assert!(inspected(publisher, &text, &others).is_err(), "{body}");
    }
}

#[test]
fn a_model_that_google_chooses_needs_all_models_allowed() {
    let body = json!({"generationConfig": {"routingConfig": {"autoMode": {}}}}).to_string();
    let json = Json::parse(body.as_bytes()).expect("JSON");
    let purpose = Purpose {
        api: Api::of(Publisher::Google),
        names_model: false,
    };
    assert!(inspect(&json, purpose, &rules(&[])).is_err());
    let any = Rules {
        models: vec!["*".parse().unwrap()],
        ..rules(&[])
    };
    assert!(inspect(&json, purpose, &any).is_ok());
}

#[test]
fn a_refusal_tells_the_place_but_repeats_nothing_that_is_no_name() {
    let body =
        json!({"messages": [{"content": [{"type": "tool_result", "content": [{"canary secret": {"type": "url"}}]}]}]});
    let (_, message) = inspected(Publisher::Anthropic, &body.to_string(), &[]).expect_err("a refusal");
    assert!(
        message.contains("UrlSources at messages[0].content[0].content[0].…"),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
}
