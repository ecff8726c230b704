//! What no table of bodies has is refused as the provider would refuse it, unless the policy or the operator lets it pass, and is
//! judged by its names before.

use super::bodies::{added, claude, denied, gemini, judged, said};
use super::inspection::rules;
use super::vertex::{GEMINI, MODELS, Vertex, call};
use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules, Unknown};
use vertex_injector_sidecar::broker::proxy::refusal::Reason;

/// It is refused with 400 as the provider would, in these words.
#[track_caller]
fn is_unknown(publisher: Publisher, body: &Value, words: &str) {
    let refusal = judged(publisher, body, &rules(&[])).expect_err("a refusal");
    assert_eq!(refusal.reason, Reason::UnknownField, "{body}: {}", refusal.message);
    assert_eq!(refusal.status.as_u16(), 400, "{body}");
    assert!(refusal.message.starts_with(words), "{body}: {}", refusal.message);
    assert!(
        refusal.message.contains("proxy.unknownFields: Allow"),
        "{}",
        refusal.message
    );
}

#[test]
fn a_member_that_no_table_has_is_refused_as_the_provider_would() {
    for (body, words) in [
        (
            claude("time_travel", &json!(true)),
            "time_travel: Extra inputs are not permitted",
        ),
        (
            claude("maxTokens", &json!(1)),
            "maxTokens: Extra inputs are not permitted",
        ),
        (
            claude("metadata", &json!({"team": "x"})),
            "metadata.team: Extra inputs are not permitted",
        ),
        (
            claude("max_tokens", &json!({"of": 1})),
            "max_tokens.of: Extra inputs are not permitted",
        ),
        (
            claude("tools", &json!([{"name": "a", "input_schema": {}, "later": 1}])),
            "tools.0.custom.later: Extra inputs are not permitted",
        ),
        (
            claude("thinking", &json!({"type": "enabled", "block_binding": {"x": 1}})),
            "thinking.enabled.block_binding.x: Extra inputs are not permitted",
        ),
        (
            said(
                "user",
                &json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}),
            ),
            "messages.1.content.0.text.cache_control.ephemeral.scope: Extra inputs are not permitted",
        ),
        (
            said(
                "system",
                &added(&json!({"name": "f", "input_schema": {}, "ownership_metadata": {}})),
            ),
            "messages.1.content.0.tool_addition.tool.definition.ownership_metadata: Extra inputs are not permitted",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi", "output_config": {"timing": 1}}]}),
            "messages.0.output_config.timing: Extra inputs are not permitted",
        ),
        (
            said("user", &json!({"type": "hologram", "data": "x"})),
            "messages.1.content.0: Input tag 'hologram' found using 'type' does not match any of the expected tags: 'text', ",
        ),
        (
            said("user", &json!({"text": "x"})),
            "messages.1.content.0.type: Field required",
        ),
        (
            claude("a secret canary", &json!(1)),
            "…: Extra inputs are not permitted",
        ),
    ] {
        is_unknown(Publisher::Anthropic, &body, words);
    }
    let unknown = |name: &str, at: &str| {
        format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")
    };
    for (body, words) in [
        (gemini("timeTravel", &json!(true)), unknown("timeTravel", "")),
        (
            gemini("generationConfig", &json!({"newThing": 1})),
            unknown("newThing", " at 'generation_config'"),
        ),
        (gemini("GenerationConfig", &json!({})), unknown("GenerationConfig", "")),
        (
            json!({"contents": [{"parts": [{"text": "x"}, {"functionCall": {"name": "f", "why": 1}}]}]}),
            unknown("why", " at 'contents[0].parts[1].function_call'"),
        ),
        (
            gemini("tools", &json!([{"functionDeclarations": [{"name": "f", "since": 1}]}])),
            unknown("since", " at 'tools[0].function_declarations[0]'"),
        ),
    ] {
        is_unknown(Publisher::Google, &body, &words);
    }
}

#[test]
fn what_is_not_known_is_judged_by_its_names_before_it_is_refused_or_passes() {
    let search = json!({"tool": {"definition": {"type": "web_search_20260318", "name": "web_search"}}});
    let allow = Rules {
        unknown: Unknown::Allow,
        ..rules(&[])
    };
    for rules in [rules(&[]), allow] {
        for (publisher, body, feature) in [
            (
                Publisher::Anthropic,
                claude("later", &json!({"source": {"url": "https://a"}})),
                Feature::FileSources,
            ),
            (Publisher::Anthropic, claude("later", &search), Feature::WebSearch),
            (
                Publisher::Anthropic,
                said("user", &json!({"type": "later", "add": search})),
                Feature::WebSearch,
            ),
            (
                Publisher::Anthropic,
                claude("later", &json!({"thread": {"type": "continue"}})),
                Feature::CachedContent,
            ),
            (
                Publisher::Anthropic,
                claude("later", &json!({"type": "later", "file_id": "file_1"})),
                Feature::FileSources,
            ),
            (
                Publisher::Google,
                gemini("later", &json!({"output_uri_prefix": "gs://a"})),
                Feature::FileSources,
            ),
            (
                Publisher::Google,
                gemini("later", &json!({"tools": [{"google_search": {}}]})),
                Feature::WebSearch,
            ),
        ] {
            let refusal = judged(publisher, &body, &rules).expect_err("a refusal");
            assert_eq!(refusal.feature, Some(feature), "{body}: {}", refusal.message);
        }
        let model = claude("later", &json!({"model": "gpt-4"}));
        denied(
            Publisher::Anthropic,
            &model,
            &rules,
            Reason::Model,
            "model gpt-4 is not allowed",
        );
        let choice = claude("later", &json!([{"fallbacks": "default"}]));
        denied(
            Publisher::Anthropic,
            &choice,
            &rules,
            Reason::Model,
            "proxy.models allows only",
        );
        let template = gemini(
            "later",
            &json!({"model_armor_config": {"x": "projects/other/locations/l/templates/t"}}),
        );
        denied(
            Publisher::Google,
            &template,
            &rules,
            Reason::Project,
            "vertex.project is my-project",
        );
    }
}

#[test]
fn what_a_member_asks_for_is_known_by_its_name_in_each_spelling_and_wherever_it_stands() {
    let allow = Rules {
        unknown: Unknown::Allow,
        ..rules(&[])
    };
    for (names, feature) in [
        (["cachedContent", "cached_content", "thread"], Feature::CachedContent),
        (["codeExecution", "code_execution", "container"], Feature::CodeExecution),
        (["googleMaps", "google_maps", "google-maps"], Feature::GoogleMaps),
        (["mcpServers", "mcp_server", "mcpServer"], Feature::McpServers),
        (["retrieval", "fileSearch", "vertex_ai_search"], Feature::Retrieval),
        (
            ["vertexRagStore", "external_api", "vertex_rag_store"],
            Feature::Retrieval,
        ),
        (["urlContext", "url_context", "URLContext"], Feature::WebFetch),
        (
            ["googleSearch", "google_search_retrieval", "enterpriseWebSearch"],
            Feature::WebSearch,
        ),
    ] {
        for name in names {
            for body in [
                gemini("tools", &json!([{name: {}}])),
                gemini("later", &json!({"deep": [{name: {"x": 1}}]})),
            ] {
                let refusal = judged(Publisher::Google, &body, &allow).expect_err("a refusal");
                assert_eq!(refusal.feature, Some(feature), "{body}: {}", refusal.message);
            }
        }
    }
}

#[test]
fn what_the_operator_or_the_policy_lets_pass_is_counted() {
    let known = Rules {
        unknown: Unknown::Deny {
            known: vec!["time_travel".parse().unwrap(), "hologram".parse().unwrap()],
        },
        ..rules(&[])
    };
    let allow = Rules {
        unknown: Unknown::Allow,
        ..rules(&[])
    };
    for (publisher, body) in [
        (
            Publisher::Anthropic,
            claude("time_travel", &json!({"to": [1985, {"by": "car"}]})),
        ),
        (
            Publisher::Anthropic,
            said("user", &json!({"type": "hologram", "data": "x"})),
        ),
        (Publisher::Google, gemini("timeTravel", &json!(true))),
        (
            Publisher::Google,
            gemini("generationConfig", &json!({"time_travel": {"to": 1985}})),
        ),
    ] {
        assert!(judged(publisher, &body, &rules(&[])).is_err(), "{body}");
        for rules in [&known, &allow] {
            assert_eq!(judged(publisher, &body, rules).expect("it passes"), 1, "{body}");
        }
    }
    // What code execution put out is history, and tools that run at the agent are nobody's business.
    for later in [
        json!({"type": "code_execution_output", "file_id": "file_1"}),
        json!({"type": "bash_code_execution_output", "file_id": "file_1"}),
        json!({"more_tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        json!({"more_tools": ["web_search_20250305"]}),
    ] {
        let executing = Rules {
            unknown: Unknown::Allow,
            ..rules(&[Feature::CodeExecution])
        };
        judged(Publisher::Anthropic, &claude("later", &later), &executing).expect("it passes");
    }
    let server = claude(
        "later",
        &json!({"more_tools": [{"type": "later_20300101", "name": "f"}]}),
    );
    judged(Publisher::Anthropic, &server, &allow).expect_err("a tool that may run anywhere");
    let two = json!({"messages": [], "time_travel": 1, "later": 1});
    assert_eq!(judged(Publisher::Anthropic, &two, &allow).expect("it passes"), 2);
    is_unknown(Publisher::Anthropic, &two, "");
    // Two spellings of one name stay two.
    let twice = json!({"messages": [], "time_travel": 1, "timeTravel": 1});
    assert!(judged(Publisher::Anthropic, &twice, &allow).is_err());
}

#[test]
fn clients_see_an_unknown_member_refused_in_the_shape_of_the_provider() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--metrics-listen=127.0.0.1:0"]);
    let (claude, gemini) = (
        format!("{MODELS}/claude-x:rawPredict"),
        format!("{GEMINI}/gemini-x:generateContent"),
    );
    let answer = call(&broker, &claude, "", r#"{"messages":[],"time_travel":{"to":1985}}"#);
    assert_eq!(answer.status, 400);
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("time_travel: Extra inputs are not permitted"),
        "{message}"
    );
    assert_eq!(
        body,
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
    );
    let answer = call(
        &broker,
        &gemini,
        "",
        r#"{"contents":[],"generationConfig":{"time_travel":1}}"#,
    );
    assert_eq!(answer.status, 400);
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message");
    let words =
        "Invalid JSON payload received. Unknown name \"time_travel\" at 'generation_config': Cannot find field.";
    assert!(message.starts_with(words), "{message}");
    let violation = json!({"field": "generation_config", "description": words});
    let details = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]);
    let error = json!({"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details});
    assert_eq!(body, json!({"error": error}));
    assert_eq!(vertex.calls().len(), 0);
    let metrics = broker
        .ask("metrics", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .body;
    for line in [
        r#"proxy_unknown_fields_total{publisher="anthropic",result="Denied"} 1"#,
        r#"proxy_unknown_fields_total{publisher="google",result="Denied"} 1"#,
        r#"proxy_denials_total{reason="UnknownField",feature=""} 2"#,
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

#[test]
fn the_operator_adds_names_and_a_policy_lets_all_pass() {
    let body = r#"{"messages":[],"time_travel":{"to":1985},"later":1}"#;
    for (flags, passes) in [
        (&["--known-fields=time_travel,later"][..], true),
        (&["--known-fields=time_travel"], false),
        (&["--unknown-fields=Deny"], false),
        (&["--unknown-fields=Allow"], true),
    ] {
        let vertex = Vertex::always(200, "", "{}");
        let broker = vertex.broker(flags);
        let answer = call(&broker, &format!("{MODELS}/claude-x:rawPredict"), "", body);
        assert_eq!(
            answer.status,
            if passes { 200 } else { 400 },
            "{flags:?}: {}",
            answer.body
        );
        // What passes is sent on as it came.
        let sent: Vec<Vec<u8>> = vertex.calls().into_iter().map(|call| call.body).collect();
        assert_eq!(sent, vec![body.as_bytes().to_vec(); usize::from(passes)], "{flags:?}");
        let metrics = broker
            .ask("metrics", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            .body;
        let passed = r#"proxy_unknown_fields_total{publisher="anthropic",result="Passed"} 2"#;
        assert_eq!(metrics.contains(passed), passes, "{flags:?}: {metrics}");
    }
}
