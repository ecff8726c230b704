//! Calls that the proxy lets through: what Vertex AI gets of them, what the agent gets of the answers, and what is counted.

use super::vertex::{CANARY, GEMINI, MODELS, Vertex, call, post};
use harness::request::ask;
use serde_json::json;
use vertex_injector_sidecar::broker::proxy::target::Target;

#[test]
fn bodies_pass_byte_for_byte() {
    let vertex = Vertex::always(200, "content-type: application/json\r\n", r#"{"ok":true}"#);
    let broker = vertex.broker(&[]);
    let big = format!(
        r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(3 * 1024 * 1024)
    );
    let claude = format!("{MODELS}/claude-x:rawPredict");
    let gemini = format!("{GEMINI}/gemini-2.5-pro:generateContent");
    for (target, body) in [
        (
            &claude,
            r#"{"anthropic_version":"vertex-2023-10-16","messages":[{"role":"user","content":"hi"}],"max_tokens":1}"#,
        ),
        (&claude, "\t{ \"messages\" :\r\n[ ] , \"temperature\" : 1.0e0 }\n"),
        (
            &claude,
            r#"{"messages":[{"role":"user","content":"\u00e9\ud83d\ude00 é😀 \/ \"fileUri\": \"gs://a\""}]}"#,
        ),
        (&claude, &big),
        (
            &gemini,
            r#"{"contents":[{"role":"user","parts":[{"text":"fileData"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}]}"#,
        ),
    ] {
        let answer = call(&broker, target, "", body);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"ok":true}"#),
            "{target}"
        );
        let calls = vertex.calls();
        let seen = calls.last().expect("a call");
        assert_eq!(&seen.target, target);
        assert!(seen.body == body.as_bytes(), "{target}: the body changed");
    }
    // In chunks, it is the same body.
    let chunked = format!(
        "POST {claude} HTTP/1.1\r\nHost: localhost:8471\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{{\"message\r\n6;x=1\r\ns\":[]}}\r\n0\r\nX-Trailer: 1\r\n\r\n"
    );
    assert_eq!(broker.ask("proxy", &chunked).status, 200);
    assert_eq!(vertex.calls().last().unwrap().body, br#"{"messages":[]}"#);
}

#[test]
fn targets_are_sent_on_as_they_were_meant() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--regions=us-east5,global,eu"]);
    let at = |region: &str| format!("/v1/projects/my-project/locations/{region}/publishers/google/models");
    let body = "{}";
    for (sent, arrives) in [
        (
            format!("{MODELS}/claude-x@20250101:streamRawPredict"),
            format!("{MODELS}/claude-x@20250101:streamRawPredict"),
        ),
        (
            format!("{MODELS}/claude-x%4020250101:rawPredict"),
            format!("{MODELS}/claude-x@20250101:rawPredict"),
        ),
        (
            format!("{MODELS}/claude-x:rawPredict?beta=true"),
            format!("{MODELS}/claude-x:rawPredict?beta=true"),
        ),
        (
            format!("{GEMINI}/gemini-x:streamGenerateContent?alt=sse"),
            format!("{GEMINI}/gemini-x:streamGenerateContent?alt=sse"),
        ),
        (
            format!("{}/gemini-x:countTokens", at("global")),
            format!("{}/gemini-x:countTokens", at("global")),
        ),
        (
            format!("{}/gemini-x:generateContent", at("eu")),
            format!("{}/gemini-x:generateContent", at("eu")),
        ),
        // Credentials and whatever else a query holds stay here.
        (
            format!(
                "{GEMINI}/gemini-x:streamGenerateContent?key=AIza1&alt=sse&access_token=t&oauth_token=t&$fields=a&prettyPrint=1"
            ),
            format!("{GEMINI}/gemini-x:streamGenerateContent?alt=sse"),
        ),
        (
            format!("{GEMINI}/gemini-x:generateContent?alt=media&alt=proto&uploadType=media"),
            format!("{GEMINI}/gemini-x:generateContent"),
        ),
        // A fragment is no part of a request.
        (
            format!("{GEMINI}/gemini-x:generateContent#?alt=sse"),
            format!("{GEMINI}/gemini-x:generateContent"),
        ),
    ] {
        assert_eq!(call(&broker, &sent, "", body).status, 200, "{sent}");
        assert_eq!(vertex.calls().last().unwrap().target, arrives);
    }
}

#[test]
fn only_harmless_headers_reach_vertex_ai_and_the_token_is_ours() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let headers = "Authorization: Bearer stolen\r\nX-Api-Key: stolen\r\nX-Goog-Api-Key: stolen\r\nCookie: stolen=1\r\n\
                   Proxy-Authorization: Basic c3RvbGVu\r\nX-Goog-User-Project: stolen\r\nX-Goog-IAM-Authorization-Token: stolen\r\n\
                   X-Forwarded-For: stolen\r\nX-Forwarded-Host: stolen\r\nForwarded: for=stolen\r\nVia: 1.1 stolen\r\n\
                   X-Goog-Request-Params: stolen\r\nX-Goog-FieldMask: stolen\r\nX-Server-Timeout: stolen\r\n\
                   X-Original-URL: /stolen\r\nX-Rewrite-URL: /stolen\r\nX-Host: stolen\r\nReferer: stolen\r\nTE: trailers\r\n\
                   Connection: keep-alive, X-Goog-Api-Client\r\nKeep-Alive: stolen\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\n\
                   User-Agent: agent/1\r\nAccept: text/event-stream\r\nX-Goog-Api-Client: gl-node/22\r\n\
                   Anthropic-Version: 2023-06-01\r\nAnthropic-Beta: a-1\r\nanthropic-beta: b-2\r\nX-Vertex-AI-LLM-Request-Type: shared\r\n";
    assert_eq!(
        call(&broker, &format!("{MODELS}/claude-x:rawPredict"), headers, "{}").status,
        200
    );
    let calls = vertex.calls();
    let seen = &calls[0];
    assert!(!seen.head.contains("stolen"), "{}", seen.head);
    for (name, value) in [
        ("authorization", format!("Bearer {CANARY}")),
        ("host", vertex.address.to_string()),
        ("content-type", "application/json".to_owned()),
        ("content-length", "2".to_owned()),
        ("user-agent", "agent/1".to_owned()),
        ("accept", "text/event-stream".to_owned()),
        ("x-goog-api-client", "gl-node/22".to_owned()),
        ("anthropic-version", "2023-06-01".to_owned()),
        ("x-vertex-ai-llm-request-type", "shared".to_owned()),
    ] {
        assert_eq!(seen.header(name), Some(value.as_str()), "{}", seen.head);
    }
    let names = header_names(&seen.head);
    let known = [
        "accept",
        "anthropic-beta",
        "anthropic-beta",
        "anthropic-version",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-goog-api-client",
        "x-vertex-ai-llm-request-type",
    ];
    assert_eq!(names, known);
}

#[test]
fn only_harmless_headers_reach_the_agent() {
    let headers = "content-type: text/event-stream; charset=utf-8\r\nretry-after: 7\r\nrequest-id: req_1\r\nretry-after-ms: 7000\r\n\
                   x-should-retry: true\r\nx-vertex-ai-llm-request-type: shared\r\nset-cookie: a=b\r\nserver: scaffolding\r\n\
                   access-control-allow-origin: *\r\nlocation: https://evil.example\r\nwww-authenticate: Bearer\r\n\
                   alt-svc: h3=\":443\"\r\nlink: <https://evil.example>\r\nvary: Origin\r\nx-goog-anything: 1\r\n";
    let vertex = Vertex::always(200, headers, "data: 1\n\n");
    let broker = vertex.broker(&[]);
    let answer = call(&broker, &format!("{MODELS}/claude-x:rawPredict"), "", "{}");
    assert_eq!((answer.status, answer.body.as_str()), (200, "data: 1\n\n"));
    let names = header_names(&answer.head);
    let known = [
        "content-length",
        "content-type",
        "date",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "x-vertex-ai-llm-request-type",
    ];
    assert_eq!(names, known);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
}

#[test]
fn a_call_is_one_line_in_the_log_and_counted_without_its_content() {
    let usage = r#"{"content":[{"text":"canary-answer","usage":{"input_tokens":999}}],"usage":{"input_tokens":11,"cache_read_input_tokens":5,"output_tokens":7}}"#;
    let vertex = Vertex::always(200, "content-type: application/json\r\n", usage);
    let mut broker = vertex.broker(&[]);
    let body = r#"{"messages":[{"role":"user","content":"canary-question"}]}"#;
    let target = format!("{MODELS}/claude-opus-4@20250514:rawPredict?key=canary-query");
    assert_eq!(call(&broker, &target, "X-Api-Key: canary-header\r\n", body).status, 200);
    let line = broker.wait_for("model call");
    for (name, value) in [
        ("publisher", json!("anthropic")),
        ("method", json!("rawPredict")),
        ("model", json!("claude-opus-4@20250514")),
        ("region", json!("us-east5")),
        ("status", json!(200)),
        ("outcome", json!("Answered")),
        ("request_bytes", json!(body.len())),
        ("response_bytes", json!(usage.len())),
        ("input_tokens", json!(11)),
        ("cache_read_tokens", json!(5)),
        ("output_tokens", json!(7)),
    ] {
        assert_eq!(line[name], value, "{line}");
    }
    assert!(line["duration_ms"].as_f64() >= line["first_byte_ms"].as_f64(), "{line}");
    call(&broker, &format!("{MODELS}/gpt-4:rawPredict"), "", body);
    let metrics = broker.ask("metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    for line in [
        r#"proxy_requests_total{publisher="anthropic",method="RawPredict",status="2xx",outcome="Answered"} 1"#,
        r#"proxy_requests_total{publisher="anthropic",method="RawPredict",status="4xx",outcome="Denied"} 1"#,
        r#"proxy_denials_total{reason="Model",feature=""} 1"#,
        r#"proxy_tokens_total{publisher="anthropic",model="claude-*",kind="Input"} 11"#,
        r#"proxy_tokens_total{publisher="anthropic",model="claude-*",kind="Output"} 7"#,
        r#"proxy_first_byte_seconds_count{publisher="anthropic"} 1"#,
        r#"proxy_duration_seconds_count{publisher="anthropic"} 1"#,
        "proxy_open_requests 0",
    ] {
        assert!(
            metrics.contains(&format!("vertex_injector_broker_{line}")),
            "{line}: {metrics}"
        );
    }
    let shown = broker.log() + &metrics;
    assert!(!shown.contains("canary-"), "{shown}");
}

#[test]
fn counting_tokens_needs_an_allowed_model_in_the_body() {
    let vertex = Vertex::always(200, "", r#"{"input_tokens":3}"#);
    let mut broker = vertex.broker(&[]);
    let count = format!("{MODELS}/count-tokens:rawPredict");
    assert_eq!(
        call(&broker, &count, "", r#"{"messages":[],"model":"claude-x@20250101"}"#).status,
        200
    );
    assert_eq!(broker.wait_for("model call")["model"], "claude-x@20250101");
    let gemini = format!("{GEMINI}/gemini-x:countTokens");
    for model in [
        "gemini-x",
        "models/gemini-x",
        "publishers/google/models/gemini-x",
        "google/gemini-x",
    ] {
        let body = json!({"model": model, "contents": []}).to_string();
        assert_eq!(call(&broker, &gemini, "", &body).status, 200, "{model}");
        let body = json!({"generateContentRequest": {"model": model, "contents": []}}).to_string();
        assert_eq!(call(&broker, &gemini, "", &body).status, 200, "{model}");
    }
    let own = "projects/my-project/locations/us-east5/publishers/google/models/gemini-x";
    assert_eq!(
        call(&broker, &gemini, "", json!({"model": own}).to_string()).status,
        200
    );
}

#[test]
fn one_connection_carries_many_calls_and_refusals() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let good = post(&format!("{MODELS}/claude-x:rawPredict"), "", "{}");
    let bad = post(&format!("{MODELS}/gpt-4:rawPredict"), "", "x".repeat(200_000));
    let mut stream = super::vertex::connect(&broker, b"");
    for (bytes, words) in [
        (&good, "200 OK"),
        (&bad, "403 Forbidden"),
        (&good, "200 OK"),
        (&bad, "403 Forbidden"),
    ] {
        std::io::Write::write_all(&mut stream, bytes).expect("the connection lives");
        let text = super::vertex::read_until(&mut stream, "}");
        assert!(text.starts_with(&format!("HTTP/1.1 {words}")), "{text}");
    }
    assert_eq!(vertex.calls().len(), 2);
}

#[test]
fn the_metadata_server_beside_the_proxy_hands_out_what_google_refuses() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let account = "/computeMetadata/v1/instance/service-accounts/default";
    let token = broker.metadata(&format!("{account}/token"));
    assert_eq!(token.status, 200);
    assert!(
        token.body.contains("\"access_token\":\"vertex-injector-placeholder\""),
        "{}",
        token.body
    );
    assert_eq!(broker.metadata(&format!("{account}/identity?audience=x")).status, 404);
    assert_eq!(
        broker.metadata("/computeMetadata/v1/project/project-id").body,
        "my-project"
    );
    // With the placeholder as its token, an agent's call passes and gets the real one.
    let headers = "Authorization: Bearer vertex-injector-placeholder\r\n";
    assert_eq!(
        call(&broker, &format!("{MODELS}/claude-x:rawPredict"), headers, "{}").status,
        200
    );
    assert_eq!(
        vertex.calls()[0].header("authorization"),
        Some(format!("Bearer {CANARY}").as_str())
    );
    let metrics = ask(broker.address("metrics"), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    assert!(
        metrics.contains(r#"token_requests_total{result="Placeholder"} 1"#),
        "{metrics}"
    );
}

/// The names of a head's fields, sorted.
fn header_names(head: &str) -> Vec<&str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<&str> = fields.map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

#[test]
fn calls_are_counted_against_the_quota_project_of_the_credential_file() {
    let vertex = Vertex::always(200, "", "{}");
    let directory = super::exchange::Directory::new("quota");
    let file = |quota: serde_json::Value| {
        let mut file = super::credentials::authorized_user();
        file["token_uri"] = json!(format!("http://{}/v1/token", vertex.address));
        file["quota_project_id"] = quota;
        file.to_string()
    };
    let start = |name: &str, quota: serde_json::Value| {
        let path = directory.file(name, &file(quota));
        let endpoint = format!("--vertex-endpoint=http://{}", vertex.address);
        let arguments = [
            "--mode=proxy",
            "--project=my-project",
            "--metadata-port=0",
            "--proxy-port=0",
            "--regions=us-east5",
            &endpoint,
            "--credentials",
            path.to_str().expect("UTF-8"),
        ];
        super::process::Broker::start(&arguments, &[])
    };
    let broker = start("paying.json", json!("paying-project"));
    assert_eq!(broker.startup["quota_project"], "paying-project");
    let target = format!("{MODELS}/claude-x:rawPredict");
    assert_eq!(
        call(&broker, &target, "X-Goog-User-Project: stolen\r\n", "{}").status,
        200
    );
    assert_eq!(vertex.calls()[0].header("x-goog-user-project"), Some("paying-project"));
    let broker = start("usual.json", json!(null));
    assert_eq!(
        call(&broker, &target, "X-Goog-User-Project: stolen\r\n", "{}").status,
        200
    );
    assert_eq!(vertex.calls()[1].header("x-goog-user-project"), None);
    let bad = super::program::text(
        &super::program::run(
            &[
                "broker",
                "--mode=metadata",
                "--project=p",
                "--credentials",
                directory.file("bad.json", &file(json!("a/b"))).to_str().unwrap(),
            ],
            &[],
        )
        .stderr,
    );
    assert!(bad.contains("field quota_project_id"), "{bad}");
}

#[test]
fn a_part_of_a_path_with_anything_but_its_letters_makes_no_target() {
    let is_target = |project: &str, model: &str| {
        let path = format!("/v1/projects/{project}/locations/us-east5/publishers/google/models/{model}:countTokens");
        Target::parse(&path).is_some()
    };
    let (long, longer) = ("a".repeat(128), "a".repeat(129));
    for project in ["my-project", "example.com:my-project", "1", &*long] {
        assert!(is_target(project, "gemini-x"), "{project}");
    }
    for project in ["", "-a", ".a", "A", "a_b", "a%2e", "a@b", "a b", &*longer] {
        assert!(!is_target(project, "gemini-x"), "{project}");
    }
    for model in ["gemini-x", "Gemini_2.5@001", "g%40001", &*long] {
        assert!(is_target("p", model), "{model}");
    }
    for model in ["", "-x", "_x", "@x", "a b", "a%2e", "a;b", "\u{e9}", &*longer] {
        assert!(!is_target("p", model), "{model}");
    }
}
