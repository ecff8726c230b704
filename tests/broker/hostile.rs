//! Requests that a hostile agent could send to the proxy. All are refused, and nothing of any reaches Vertex AI.

use super::process::Broker;
use super::vertex::{GEMINI, MODELS, Vertex, call, connect, post};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::Read;

const BODY: &str = r#"{"messages":[]}"#;

/// Sends bytes and reads whatever comes until the end of the connection: the status, 0 when there was no answer at all.
fn status(broker: &Broker, bytes: &[u8]) -> (u16, String) {
    let mut stream = connect(broker, bytes);
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .map_or(0, |status| status.parse().expect("a status"));
    (status, text)
}

/// A request that ends its connection.
fn request(line: &str, headers: &str) -> Vec<u8> {
    let length = BODY.len();
    let host = if headers.to_ascii_lowercase().contains("host:") {
        ""
    } else {
        "Host: 127.0.0.1\r\n"
    };
    format!("{line}\r\n{host}Connection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{BODY}")
        .into_bytes()
}

fn targets() -> Vec<String> {
    let long = "a".repeat(200);
    let mut targets: Vec<String> = [
        // Dot segments, doubled and missing slashes, encodings.
        "/v1/projects/my-project/../my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/./projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/./v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "//v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1//projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/%2e%2e/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/%2e/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects%2Fmy-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project%2flocations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/%76%31/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/%6dy-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1\\projects\\my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/x/..\\claude-x:rawPredict",
        // Other cases.
        "/V1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/Projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/MY-PROJECT/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/US-EAST5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/Anthropic/models/claude-x:rawPredict",
        // Other projects, regions, publishers, versions.
        "/v1/projects/other/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/123456789/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/-/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects//locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/europe-west1/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/global/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/-/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5.evil.example/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/evil.example%23/publishers/anthropic/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/meta/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/mistralai/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/google/models/claude-x:rawPredict",
        "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:generateContent",
        "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/gemini-x:countTokens",
        "/v1beta2/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
        "/v1alpha/projects/my-project/locations/us-east5/publishers/google/models/gemini-x:generateContent",
        "/v2/projects/my-project/locations/us-east5/publishers/google/models/gemini-x:generateContent",
        "/projects/my-project/locations/us-east5/publishers/google/models/gemini-x:generateContent",
        // Other resources.
        "/v1/projects/my-project/locations/us-east5/endpoints/123:rawPredict",
        "/v1/projects/my-project/locations/us-east5/endpoints/123:generateContent",
        "/v1/projects/my-project/locations/us-east5/endpoints/openapi/chat/completions",
        "/v1/projects/my-project/locations/us-east5/cachedContents",
        "/v1/projects/my-project/locations/us-east5/reasoningEngines/1:query",
        "/v1/projects/my-project/locations/us-east5/batchPredictionJobs",
        "/v1/projects/my-project/locations/us-east5/customJobs",
        "/v1/projects/my-project/locations/us-east5:retrieveContexts",
        "/v1/projects/my-project/locations/us-east5/models/claude-x:rawPredict",
        "/computeMetadata/v1/instance/service-accounts/default/token",
        "/v1/token",
        "/metrics",
        "/",
    ]
    .map(str::to_owned)
    .into();
    for model in [
        // Foreign models, in every disguise.
        "gpt-4:rawPredict",
        "Claude-x:rawPredict",
        "xclaude-x:rawPredict",
        "%63laude-x:rawPredict",
        "claude-x%2540v:rawPredict",
        "claude-x%2F..%2Fgpt:rawPredict",
        "claude-x/../gpt:rawPredict",
        "..:rawPredict",
        ":rawPredict",
        "claude-x\u{e9}:rawPredict",
        "claude-x%00:rawPredict",
        "claude-x;v=1:rawPredict",
        "count-tokens:rawPredict",
        // Other methods, and what is almost one.
        "claude-x",
        "claude-x:",
        "claude-x:rawpredict",
        "claude-x:RAWPREDICT",
        "claude-x:rawPredict/",
        "claude-x:rawPredict;x",
        "claude-x:rawPredict%20",
        "claude-x:rawPredict%00",
        "claude-x:rawPredict%3falt=sse",
        "claude-x:rawPredict:streamRawPredict",
        "claude-x:streamRawPredictX",
        "claude-x%3ArawPredict",
        "claude-x:predict",
        "claude-x:serverStreamingPredict",
        "claude-x:fetchPredictOperation",
        "claude-x:countTokens",
        "claude-x:rawPredict/../../../../../../../cachedContents",
        &format!("claude-{long}:rawPredict"),
    ] {
        targets.push(format!("{MODELS}/{model}"));
    }
    for query in [
        "?$httpMethod=GET",
        "?%24httpMethod=GET",
        "?alt=sse&_method=DELETE",
        "?x-http-method-override=PUT",
        "?X_HTTP_Method=PUT",
    ] {
        targets.push(format!("{MODELS}/claude-x:rawPredict{query}"));
    }
    targets
}

fn heads() -> Vec<Vec<u8>> {
    let target = format!("{MODELS}/claude-x:rawPredict");
    let line = format!("POST {target} HTTP/1.1");
    let mut heads = Vec::new();
    for method in [
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post",
    ] {
        heads.push(request(&format!("{method} {target} HTTP/1.1"), ""));
    }
    for line in [
        format!("POST http://127.0.0.1{target} HTTP/1.1"),
        format!("POST https://us-east5-aiplatform.googleapis.com{target} HTTP/1.1"),
        format!("POST HTTP://evil.example{target} HTTP/1.1"),
        "CONNECT us-east5-aiplatform.googleapis.com:443 HTTP/1.1".to_owned(),
        "OPTIONS * HTTP/1.1".to_owned(),
        "POST * HTTP/1.1".to_owned(),
        format!("POST  {target} HTTP/1.1"),
        format!("POST {target} x HTTP/1.1"),
        format!("POST {target} HTTP/2.0"),
        format!("POST {target}"),
    ] {
        heads.push(request(&line, ""));
    }
    for headers in [
        // Somebody else's host.
        "Host: evil.example\r\n",
        "Host: us-east5-aiplatform.googleapis.com\r\n",
        "Host: metadata.google.internal\r\n",
        "Host: 127.0.0.1.evil.example\r\n",
        "Host: localhost.\r\n",
        "Host: 127.0.0.1@evil.example\r\n",
        "Host: evil.example#127.0.0.1\r\n",
        "Host: 127.0.0.1:80:80\r\n",
        "Host: 127.0.0.1:\r\n",
        "Host: 127.0.0.2\r\n",
        "Host: 2130706433\r\n",
        "Host: [::1]\r\n",
        "Host: \r\n",
        "X-Not-Host: 1\r\n",
        "Host: 127.0.0.1\r\nHost: evil.example\r\n",
        "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n",
        // A browser's page.
        "Origin: https://evil.example\r\n",
        "Origin: http://127.0.0.1\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
        // Another protocol.
        "Upgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: TLS/1.3\r\n",
        "Connection: upgrade\r\nUpgrade: h2c/x\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: TLS/1.3\r\n",
        // Two steps.
        "Expect: 100-continue, 200-ok\r\n",
        "Expect: 100-continue\r\nExpect: 200-ok\r\n",
        "Expect: 200-ok\r\n",
        // Another method.
        "X-HTTP-Method-Override: GET\r\n",
        "x-http-method: DELETE\r\n",
        "X-Method-Override: PUT\r\n",
        // Other contents than what is inspected.
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n",
        "Content-Encoding: identity, gzip\r\n",
        "Content-Encoding: identity\r\nContent-Encoding: deflate\r\n",
        "Content-Type: text/plain\r\n",
    ] {
        heads.push(request(&line, headers));
    }
    heads.push(
        format!("{line}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}")
            .into_bytes(),
    );
    for kind in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=x",
        "multipart/related; boundary=x",
        "application/x-protobuf",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; boundary=x",
        "application/json, text/plain",
        "application/jsonp",
    ] {
        heads.push(
            format!("{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes(),
        );
    }
    heads
}

/// Bodies whose length two readers could see differently.
fn smuggled() -> Vec<Vec<u8>> {
    let target = format!("{MODELS}/claude-x:rawPredict");
    let second = format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{{}}");
    let mut all = Vec::new();
    for framing in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "transfer-encoding: Chunked\r\nX-A: b\r\nCONTENT-LENGTH: 7",
        "Content-Length: 12\r\nContent-Length: 12\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: chunked\r\n Content-Length: 2",
        "Content-Length: 2\r\nContent-Length: 12",
        "Content-Length: -2",
        "Content-Length: +2",
        "Content-Length: 0x2",
        "Content-Length: 2, 12",
        "Content-Length: 99999999999999999999",
        "Content-Length: two",
        "Content Length: 2",
    ] {
        // Only chunked or with a length that is longer can the rest be part of it; whoever disagrees sees a second request.
        let head = format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n\r\n");
        all.push(format!("{head}2\r\n{{}}\r\n0\r\n\r\n{second}").into_bytes());
    }
    for chunks in [
        "ffffffffffffffff1\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "g\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
    ] {
        let head = format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        all.push(format!("{head}{chunks}").into_bytes());
    }
    all.push(
        format!(
            "POST {target} HTTP/1.0\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        )
        .into_bytes(),
    );
    all.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    all.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    all
}

/// Bodies that are no strict JSON, or not only one.
fn unclear() -> Vec<Vec<u8>> {
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let many = format!("{{\"messages\":[{}0]}}", "0,".repeat(500_000));
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "[]",
        "\"{}\"",
        "{",
        "{}{}",
        "{} x",
        "{},",
        "\u{feff}{}",
        "{'messages':[]}",
        "{\"messages\":[],}",
        "{\"messages\":[] /* a comment */}",
        "{messages:[]}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\x41\"}",
        "messages=%5B%5D",
        "--x\r\nContent-Type: application/json\r\n\r\n{}\r\n--x--",
        // The same key twice: whose is the last word?
        r#"{"model":"claude-x","model":"gpt-4"}"#,
        r#"{"tools":[],"tools":[{"type":"web_search_20250305"}]}"#,
        r#"{"tools":[],"t\u006fols":[{"type":"web_search_20250305"}]}"#,
        r#"{"max_tokens":1,"maxTokens":2}"#,
        r#"{"max_tokens":1,"Max_Tokens":2}"#,
        r#"{"messages":[{"content":[{"type":"text","type":"image"}]}]}"#,
        r#"{"messages":[{"content":[{"type":"tool_use","input":{"a":1,"a":2}}]}]}"#,
        r#"{"messages":[{"content":[{"source":{"media_type":"a","mediaType":"b"}}]}]}"#,
        &deep,
        &many,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bodies.push(utf16);
    bodies.push(b"{\"a\":\"\xff\"}".to_vec());
    bodies.push(b"{\"a\":\"\xed\xa0\x80\"}".to_vec());
    bodies.push(b"{\"a\":\"\xc0\xaf\"}".to_vec());
    bodies
}

/// Bodies that ask Anthropic for more than an answer.
fn of_anthropic() -> Vec<Value> {
    let mut bodies = Vec::new();
    for kind in [
        "web_search_20250305",
        "web_search_20260209",
        "web_search",
        "web_fetch_20250910",
        "code_execution_20250522",
        "code_execution_20250825",
        "bash_code_execution_20250825",
        "text_editor_code_execution_20250825",
        "mcp_toolset",
        "advisor_20260301",
        "Web_Search_20250305",
        "bash",
        "bash_2025",
        "bash_20250124_web_search",
        "computer",
        "",
    ] {
        bodies.push(json!({"messages": [], "tools": [{"type": kind, "name": "bash", "input_schema": {}}]}));
    }
    for tools in [
        json!([{"type": ["web_search_20250305"]}]),
        json!([[{"type": "web_search_20250305"}]]),
        json!({"type": "web_search_20250305"}),
        json!("web_search_20250305"),
        json!([{"name": "mine", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]),
    ] {
        bodies.push(json!({"messages": [], "tools": tools}));
    }
    for source in [
        json!({"type": "url", "url": "https://evil.example/?data"}),
        json!({"url": "https://evil.example/?data", "type": "url"}),
        json!({"type": "URL", "url": "https://evil.example"}),
        json!({"type": "file", "file_id": "file_1"}),
        json!({"type": "gcs", "uri": "gs://secrets/1"}),
        json!({"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": "https://evil.example"}}]}),
        json!({"type": "base64", "data": "", "file_id": "file_1"}),
    ] {
        let image = json!({"type": "image", "source": source});
        bodies.push(json!({"messages": [{"role": "user", "content": [image]}]}));
        bodies.push(json!({"system": [{"type": "document", "source": source}], "messages": []}));
        // In the results of tools, in what only looks like a tool's input, and in places that nobody knows.
        let result = json!({"type": "tool_result", "tool_use_id": "1", "content": [image]});
        bodies.push(json!({"messages": [{"role": "user", "content": [result]}]}));
        bodies.push(json!({"messages": [{"role": "user", "content": [{"type": "text", "input": image}]}]}));
        bodies.push(json!({"messages": [], "input": image, "extra": {"input_schema": image}}));
    }
    for (key, value) in [
        (
            "mcp_servers",
            json!([{"type": "url", "url": "https://evil.example", "name": "m"}]),
        ),
        ("mcpServers", json!([{"name": "m"}])),
        ("container", json!("container_1")),
        (
            "container",
            json!({"skills": [{"type": "anthropic", "skill_id": "xlsx"}]}),
        ),
        ("model", json!("gpt-4")),
        ("model", json!(["claude-x"])),
        (
            "model",
            json!("projects/other/locations/us-east5/publishers/anthropic/models/claude-x"),
        ),
        ("model", json!("projects/my-project/locations/us-east5/endpoints/1")),
        ("fallback_model", json!("gpt-4")),
    ] {
        bodies.push(json!({"messages": [], key: value}));
    }
    let upload = json!({"type": "container_upload", "file_id": "file_1"});
    bodies.push(json!({"messages": [{"role": "user", "content": [upload]}]}));
    bodies
}

/// Bodies that ask Google for more than an answer.
fn of_google() -> Vec<Value> {
    let mut bodies = Vec::new();
    for (key, value) in [
        ("googleSearch", json!({})),
        ("google_search", json!({})),
        ("googleSearch", json!(false)),
        ("google_search_retrieval", json!({})),
        ("enterpriseWebSearch", json!({})),
        ("googleMaps", json!({})),
        ("urlContext", json!({})),
        ("url_context", json!({})),
        ("codeExecution", json!({})),
        ("code_execution", json!({})),
        ("retrieval", json!({"vertexAiSearch": {"datastore": "projects/1"}})),
        ("fileSearch", json!({"fileSearchStoreNames": ["a"]})),
        ("mcpServers", json!([])),
        ("parallelAiSearch", json!({})),
        ("type", json!("custom")),
    ] {
        let mixed = json!({"functionDeclarations": [], key: value});
        bodies.push(json!({"contents": [], "tools": [mixed]}));
        bodies.push(json!({"generateContentRequest": {"contents": [], "tools": [{key: value}]}}));
        bodies.push(json!({"contents": [], "unknown": {"tools": {key: value}}}));
    }
    for part in [
        json!({"fileData": {"fileUri": "gs://secrets/1", "mimeType": "text/plain"}}),
        json!({"file_data": {"file_uri": "gs://secrets/1"}}),
        json!({"fileData": {"file_uri": "https://evil.example/?data"}}),
        json!({"fileData": {"fileUri": "HTTPS://evil.example/?data"}}),
        json!({"fileData": {"fileUri": " https://evil.example/?data"}}),
        json!({"fileData": {"FileURI": "gs://secrets/1"}}),
        json!({"fileData": {"mimeType": "text/plain"}}),
        json!({"fileData": "gs://secrets/1"}),
        json!({"fileUri": "gs://secrets/1"}),
        json!({"functionResponse": {"name": "f", "response": {}, "parts": [{"fileData": {"fileUri": "gs://secrets/1"}}]}}),
        json!({"functionCall": {"name": "f", "Args": {"fileUri": "gs://secrets/1"}}}),
        json!({"functionResponse": {"args": {"fileUri": "gs://secrets/1"}}}),
        json!({"args": {"fileUri": "gs://secrets/1"}}),
    ] {
        bodies.push(json!({"contents": [{"role": "user", "parts": [part]}]}));
        bodies.push(json!({"contents": {"parts": part}}));
        bodies.push(json!({"contents": [], "systemInstruction": {"parts": [part]}}));
        bodies.push(json!({"generate_content_request": {"contents": [{"parts": [part]}]}}));
        bodies.push(json!({"contents": [], "unknown": [[{"deep": part}]]}));
    }
    for (key, value) in [
        ("cachedContent", json!("projects/1/locations/l/cachedContents/1")),
        ("cached_content", json!("projects/1/locations/l/cachedContents/1")),
        ("model", json!("gemini-x/../../claude")),
        ("model", json!("models/palm-2")),
        (
            "model",
            json!("projects/other/locations/us-east5/publishers/google/models/gemini-x"),
        ),
        (
            "model",
            json!("projects/my-project/locations/mars/publishers/google/models/gemini-x"),
        ),
        ("model", json!("publishers/anthropic/models/claude-x")),
        ("generateContentRequest", json!({"model": "palm-2"})),
        ("generateContentRequest", json!({"cachedContent": "projects/1"})),
        (
            "generationConfig",
            json!({"routingConfig": {"manualMode": {"modelName": "palm-2"}}}),
        ),
        ("generationConfig", json!({"routingConfig": {"autoMode": {}}})),
        (
            "generation_config",
            json!({"response_schema": {}, "model_config": {"model_name": "palm-2"}}),
        ),
        ("labels", json!({"a": {"fileUri": "gs://secrets/1"}})),
    ] {
        bodies.push(json!({"contents": [], key: value}));
    }
    bodies
}

#[test]
fn hostile_requests_are_refused_and_none_reaches_vertex_ai() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let mut count = 0;
    let mut refused = |bytes: &[u8], what: &str| {
        let (status, answer) = status(&broker, bytes);
        assert!(matches!(status, 0 | 400..=499), "{what}: {answer}");
        assert_eq!(vertex.calls().len(), 0, "{what} reached Vertex AI");
        count += 1;
    };
    for target in targets() {
        refused(&request(&format!("POST {target} HTTP/1.1"), ""), &target);
    }
    for bytes in heads().into_iter().chain(smuggled()) {
        refused(&bytes, &String::from_utf8_lossy(&bytes));
    }
    let (claude, gemini) = (
        format!("{MODELS}/claude-x:rawPredict"),
        format!("{GEMINI}/gemini-x:generateContent"),
    );
    for body in unclear() {
        let shown: String = String::from_utf8_lossy(&body).chars().take(100).collect();
        refused(&post(&claude, "Connection: close\r\n", &body), &shown);
    }
    for (target, bodies) in [(&claude, of_anthropic()), (&gemini, of_google())] {
        for body in bodies {
            let body = body.to_string();
            refused(&post(target, "Connection: close\r\n", &body), &body);
            // The same with every letter of every key escaped.
            let escaped = escaped(&body);
            refused(&post(target, "Connection: close\r\n", &escaped), &escaped);
        }
    }
    assert!(count >= 300, "{count} requests");
    // It is the requests that were refused, not everything.
    assert_eq!(call(&broker, &claude, "", BODY).status, 200);
    assert_eq!(vertex.calls().len(), 1);
}

/// JSON with its keys in escapes, which mean the same.
fn escaped(json: &str) -> String {
    fn spell(value: &Value, out: &mut String) {
        match value {
            Value::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    *out += if i == 0 { "\"" } else { ",\"" };
                    for unit in key.encode_utf16() {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                    *out += "\":";
                    spell(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    *out += if i == 0 { "" } else { "," };
                    spell(item, out);
                }
                out.push(']');
            }
            other => *out += &other.to_string(),
        }
    }
    let mut out = String::new();
    spell(&serde_json::from_str(json).expect("JSON"), &mut out);
    out
}

#[test]
fn a_refusal_says_what_would_be_allowed_and_where_that_is_set() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--allow=WebFetch"]);
    let region = |region: &str| format!("/v1/projects/my-project/locations/{region}/publishers/anthropic/models");
    let search = r#"{"messages":[],"tools":[{"name":"a"},{"type":"web_search_20250305"}]}"#;
    for (target, body, words) in [
        (
            format!("{MODELS}/gpt-4:rawPredict"),
            BODY,
            "model gpt-4 is not allowed: the policy's proxy.models allows claude-*, gemini-*",
        ),
        (
            format!("{}/claude-x:rawPredict", region("europe-west1")),
            BODY,
            "the policy's proxy.regions allows us-east5",
        ),
        (
            "/v1/projects/other/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict".to_owned(),
            BODY,
            "the policy's vertex.project is my-project",
        ),
        (
            format!("{MODELS}/claude-x:rawPredict"),
            search,
            "WebSearch at tools[1]: the policy's proxy.allow allows WebFetch; WebSearch can be added there",
        ),
        (
            format!("{MODELS}/count-tokens:rawPredict"),
            r#"{"model":"gpt-4","messages":[]}"#,
            "model gpt-4 is not allowed",
        ),
        ("/v1/models".to_owned(), BODY, "only model calls are answered"),
    ] {
        let answer = call(&broker, &target, "", body);
        assert_eq!(answer.status, 403, "{target}");
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["error"]["code"], 403);
        assert_eq!(body["error"]["status"], "PERMISSION_DENIED");
        let message = body["error"]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(vertex.calls().len(), 0);
    // What the policy allows by name passes.
    let fetch = r#"{"messages":[],"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}"#;
    assert_eq!(
        call(&broker, &format!("{MODELS}/claude-x:rawPredict"), "", fetch).status,
        200
    );
}

#[test]
fn a_publisher_that_is_not_listed_is_refused() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--publishers=anthropic"]);
    let answer = call(
        &broker,
        &format!("{GEMINI}/gemini-x:generateContent"),
        "",
        r#"{"contents":[]}"#,
    );
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("proxy.publishers allows anthropic"),
        "{}",
        answer.body
    );
    assert_eq!(vertex.calls().len(), 0);
}
