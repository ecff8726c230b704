//! Calls that are models' too: they pass where the policy allows their kind, and their bodies are judged as the others.

use super::vertex::{CANARY, GEMINI, MODELS, Vertex, call};
use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::Feature;

const CHAT: &str = "/v1/projects/my-project/locations/us-east5/endpoints/openapi/chat/completions";
const MODELS_ALLOWED: &str = "--models=claude-*,gemini-*,text-*";
const ALL: &str = "--methods=Generate,CountTokens,Embed,ComputeTokens,ChatCompletions";

fn google(call: &str) -> String {
    format!("{GEMINI}/{call}")
}

/// Calls that pass with every method, and which one they need.
fn honest() -> Vec<(&'static str, String, Value)> {
    let content = json!({"role": "user", "parts": [{"text": "hi"}]});
    vec![
        (
            "Embed",
            google("gemini-embedding-001:embedContent"),
            json!({"content": content}),
        ),
        (
            "Embed",
            google("gemini-embedding-2:embedContent"),
            json!({"content": content, "taskType": "RETRIEVAL_QUERY", "title": "t", "outputDimensionality": 768, "autoTruncate": true,
                   "embedContentConfig": {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 768, "documentOcr": true}}),
        ),
        (
            "Embed",
            google("gemini-embedding-2:batchEmbedContents"),
            json!({"requests": [{"content": content, "embed_content_config": {"task_type": "X", "auto_truncate": true}}]}),
        ),
        (
            "Embed",
            google("text-embedding-005:predict"),
            json!({"instances": [{"content": "hi", "task_type": "RETRIEVAL_DOCUMENT", "title": "t"}],
                   "parameters": {"autoTruncate": true, "outputDimensionality": 256}}),
        ),
        (
            "Embed",
            google("text-multilingual-embedding-002:predict"),
            json!({"instances": [{"content": "hi", "mimeType": "text/plain"}]}),
        ),
        (
            "ComputeTokens",
            google("gemini-x:computeTokens"),
            json!({"contents": [content]}),
        ),
        (
            "ChatCompletions",
            CHAT.to_owned(),
            json!({"model": "google/gemini-x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}),
        ),
        (
            "ChatCompletions",
            CHAT.replace("/v1/", "/v1beta1/"),
            json!({
                "model": "google/gemini-x", "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "low",
                "extra_body": {"google": {"thinking_config": {"include_thoughts": true}, "safety_settings": [{"category": "a", "threshold": "b"}]}},
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"properties": {"file_id": {}}}}},
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "fileUri": "x"}}}],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [
                        {"type": "text", "text": "https://example.com"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                        {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
                        {"type": "input_audio", "input_audio": {"data": "AA/+==", "format": "wav"}},
                    ]},
                    {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                     "extra_content": {"google": {"thought_signature": "s"}}}]},
                    {"role": "tool", "tool_call_id": "1", "content": "x"},
                ],
            }),
        ),
    ]
}

#[test]
fn each_kind_of_calls_passes_where_it_is_allowed_and_only_there() {
    let vertex = Vertex::always(200, "", "{}");
    let (all, usual) = (vertex.broker(&[ALL, MODELS_ALLOWED]), vertex.broker(&[MODELS_ALLOWED]));
    for (method, target, body) in honest() {
        let body = body.to_string();
        let answer = call(&all, &target, "", &body);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        let calls = vertex.calls();
        let seen = calls.last().expect("a call");
        assert_eq!((&seen.target, seen.body.as_slice()), (&target, body.as_bytes()));
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
        let before = vertex.calls().len();
        let answer = call(&usual, &target, "", &body);
        assert_eq!(answer.status, 403, "{target}");
        assert!(
            answer.body.contains(&format!("{method} can be added there")),
            "{}",
            answer.body
        );
        assert_eq!(vertex.calls().len(), before);
    }
    // A policy can allow less than is usual, too.
    let embeds = vertex.broker(&["--methods=Embed"]);
    let claude = format!("{MODELS}/claude-x:rawPredict");
    assert_eq!(call(&embeds, &claude, "", "{}").status, 403);
    let count = format!("{MODELS}/count-tokens:rawPredict");
    assert_eq!(call(&embeds, &count, "", r#"{"model":"claude-x"}"#).status, 403);
    assert_eq!(call(&embeds, &google("gemini-x:countTokens"), "", "{}").status, 403);
    let counts = vertex.broker(&["--methods=CountTokens"]);
    assert_eq!(call(&counts, &count, "", r#"{"model":"claude-x"}"#).status, 200);
    assert_eq!(call(&counts, &claude, "", "{}").status, 403);
}

#[test]
fn the_model_that_only_the_body_names_is_checked_and_told_in_the_log() {
    let vertex = Vertex::always(200, "", "{}");
    let mut broker = vertex.broker(&[ALL]);
    let chat = |model: Value| json!({"model": model, "messages": []}).to_string();
    for model in [
        json!("google/palm-2"),
        json!("palm-2"),
        json!("anthropic/claude-x"),
        json!("meta/llama-4"),
        json!("projects/other/locations/us-east5/publishers/google/models/gemini-x"),
        json!("endpoints/1"),
        json!(null),
        json!(["google/gemini-x"]),
        json!({"id": "google/gemini-x"}),
    ] {
        let answer = call(&broker, CHAT, "", chat(model.clone()));
        assert_eq!(answer.status, 403, "{model}: {}", answer.body);
    }
    assert_eq!(call(&broker, CHAT, "", r#"{"messages":[]}"#).status, 403);
    assert_eq!(vertex.calls().len(), 0);
    assert_eq!(call(&broker, CHAT, "", chat(json!("google/gemini-x"))).status, 200);
    let log = broker.log();
    let line = log
        .lines()
        .find(|line| line.contains("\"Answered\""))
        .map(str::to_owned);
    let line = line.unwrap_or_else(|| {
        harness::process::pause(std::time::Duration::from_millis(200));
        broker.wait_for("model call");
        broker
            .log()
            .lines()
            .find(|line| line.contains("\"Answered\""))
            .expect("a line")
            .to_owned()
    });
    assert!(
        line.contains(r#""model":"gemini-x""#) && line.contains(r#""method":"chat/completions""#),
        "{line}"
    );
}

#[test]
fn what_they_ask_for_beyond_an_answer_is_refused_by_its_name() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[ALL, MODELS_ALLOWED]);
    let chat = |key: &str, value: Value| json!({"model": "google/gemini-x", "messages": [], key: value});
    let said = |part: Value| chat("messages", json!([{"role": "user", "content": [part]}]));
    let file = |uri: &str| json!({"parts": [{"fileData": {"fileUri": uri}}]});
    for (target, body, feature) in [
        (
            google("gemini-embedding-2:embedContent"),
            json!({"content": file("gs://a/b")}),
            Some(Feature::FileSources),
        ),
        (
            google("gemini-embedding-2:embedContent"),
            json!({"content": file("https://a/b")}),
            Some(Feature::UrlSources),
        ),
        (
            google("gemini-embedding-2:batchEmbedContents"),
            json!({"requests": [{"content": file("gs://a/b")}]}),
            Some(Feature::FileSources),
        ),
        (
            google("gemini-x:computeTokens"),
            json!({"contents": [file("gs://a/b")]}),
            Some(Feature::FileSources),
        ),
        (
            google("gemini-x:computeTokens"),
            json!({"contents": [], "cachedContent": "c"}),
            Some(Feature::CachedContent),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "image_url", "image_url": {"url": "https://a/b"}})),
            Some(Feature::UrlSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "image_url", "image_url": {"url": "gs://a/b"}})),
            Some(Feature::FileSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "image_url", "image_url": "HTTP://a/b"})),
            Some(Feature::UrlSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "image_url", "image_url": "//a/b"})),
            Some(Feature::FileSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "input_audio", "input_audio": {"data": "gs://a/b"}})),
            Some(Feature::FileSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "file", "file": {"file_id": "f"}})),
            Some(Feature::FileSources),
        ),
        (
            CHAT.to_owned(),
            said(json!({"type": "file", "file": {"file_data": "https://a"}})),
            Some(Feature::UrlSources),
        ),
        (
            CHAT.to_owned(),
            chat("web_search_options", json!({})),
            Some(Feature::WebSearch),
        ),
        (
            CHAT.to_owned(),
            chat("google", json!({"cached_content": "c"})),
            Some(Feature::CachedContent),
        ),
        (
            CHAT.to_owned(),
            chat("extra_body", json!({"google": {"cached_content": "c"}})),
            Some(Feature::CachedContent),
        ),
        (
            CHAT.to_owned(),
            chat("tools", json!([{"googleSearch": {}}])),
            Some(Feature::WebSearch),
        ),
        // What nobody has judged.
        (
            google("text-embedding-005:predict"),
            json!({"instances": [{"image": {"gcsUri": "gs://a"}}]}),
            Some(Feature::FileSources),
        ),
        (
            google("text-embedding-005:predict"),
            json!({"instances": [{"prompt": "x"}]}),
            None,
        ),
        (google("gemini-embedding-2:embedContent"), json!({"contents": []}), None),
        (
            google("gemini-x:computeTokens"),
            json!({"contents": [], "tools": []}),
            None,
        ),
        (CHAT.to_owned(), chat("store", json!(true)), None),
        (CHAT.to_owned(), chat("maxTokens", json!(1)), None),
        (CHAT.to_owned(), said(json!({"type": "hologram"})), None),
        (
            CHAT.to_owned(),
            chat("tools", json!([{"type": "web_search"}])),
            Some(Feature::WebSearch),
        ),
    ] {
        let answer = call(&broker, &target, "", body.to_string());
        let expected = if feature.is_some() { 403 } else { 400 };
        assert_eq!(answer.status, expected, "{body}: {}", answer.body);
        if let Some(feature) = feature {
            assert!(answer.body.contains(feature.name()), "{body}: {}", answer.body);
        } else {
            assert!(answer.body.contains("proxy.unknownFields"), "{body}: {}", answer.body);
        }
    }
    assert_eq!(vertex.calls().len(), 0);
    let searches = vertex.broker(&[ALL, "--allow=WebSearch,UrlSources"]);
    for body in [
        chat("web_search_options", json!({})),
        said(json!({"type": "image_url", "image_url": {"url": "https://a/b"}})),
    ] {
        assert_eq!(call(&searches, CHAT, "", body.to_string()).status, 200, "{body}");
    }
}
