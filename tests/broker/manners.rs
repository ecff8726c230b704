//! HTTP as clients speak it: what they offer may be ignored, and what they expect is given.

use super::vertex::{CANARY, GEMINI, MODELS, Vertex, call, connect, post, read_until};
use std::io::{Read, Write};
use std::time::Duration;

fn claude() -> String {
    format!("{MODELS}/claude-x:rawPredict")
}

#[test]
fn an_offer_to_speak_http2_is_ignored_and_the_call_answered() {
    let vertex = Vertex::always(200, "", r#"{"ok":true}"#);
    let broker = vertex.broker(&[]);
    for offer in [
        // The JDK's client, then curl.
        "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: H2C\r\n",
        "Upgrade: h2c\r\n",
    ] {
        let answer = call(&broker, &claude(), offer, "{}");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"ok":true}"#),
            "{offer}"
        );
        assert_eq!(answer.header("upgrade"), None, "{offer}");
    }
    for seen in vertex.calls() {
        let head = seen.head.to_ascii_lowercase();
        assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    }
    // The connection goes on as it began.
    let mut stream = connect(
        &broker,
        &post(&claude(), "Upgrade: h2c\r\nConnection: Upgrade\r\n", "{}"),
    );
    read_until(&mut stream, r#"{"ok":true}"#);
    stream.write_all(&post(&claude(), "", "{}")).unwrap();
    read_until(&mut stream, r#"{"ok":true}"#);
    let offered = "GET /computeMetadata/v1/project/project-id HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\
                   Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n\r\n";
    assert_eq!(broker.ask("metadata", offered).body, "my-project");
}

#[test]
fn who_expects_to_be_told_to_go_on_is_told_before_the_body_comes() {
    let vertex = Vertex::always(200, "", r#"{"ok":true}"#);
    let broker = vertex.broker(&[]);
    for expect in ["100-continue", "100-Continue"] {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "x".repeat(3_000_000)
        );
        let request = post(&claude(), &format!("Expect: {expect}\r\n"), &body);
        let (head, body) = request.split_at(request.len() - body.len());
        let mut stream = connect(&broker, head);
        read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body).unwrap();
        let answer = read_until(&mut stream, r#"{"ok":true}"#);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert_eq!(vertex.calls().last().unwrap().body, body);
    }
    // Who does not wait is not told, or told in vain.
    let answer = harness::request::ask(
        broker.address("proxy"),
        &post(&claude(), "Expect: 100-continue\r\n", "{}"),
    );
    assert!(matches!(answer.status, 100 | 200), "{answer:?}");
    let head = &vertex.calls()[0].head.to_ascii_lowercase();
    assert!(!head.contains("expect"), "{head}");
}

#[test]
fn who_expects_to_go_on_and_may_not_is_refused_before_the_body_comes() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let head = |headers: &str| {
        format!(
            "POST {MODELS}/gpt-4:rawPredict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}\r\n"
        )
    };
    let headers = "Expect: 100-continue\r\nContent-Length: 8000000\r\n";
    let mut stream = connect(&broker, head(headers).as_bytes());
    let answer = read_until(&mut stream, "}}");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    // Who sends all of it without waiting comes to read the answer, too.
    let mut stream = connect(&broker, head(headers).as_bytes());
    harness::process::pause(Duration::from_millis(50));
    let _ = stream.write_all(&vec![b' '; 8_000_000]);
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("no reset");
    assert!(text.starts_with("HTTP/1.1 403"), "{text}");
    assert_eq!(vertex.calls().len(), 0);
}

#[test]
fn claude_is_called_by_either_version_of_the_api() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    for version in ["v1", "v1beta1"] {
        let models = MODELS.replace("/v1/", &format!("/{version}/"));
        for call_of in [
            "claude-x:rawPredict",
            "claude-x:streamRawPredict",
            "claude-x@20250101:rawPredict",
        ] {
            let target = format!("{models}/{call_of}");
            assert_eq!(call(&broker, &target, "", "{}").status, 200, "{target}");
            assert_eq!(vertex.calls().last().unwrap().target, target);
        }
        let count = format!("{models}/count-tokens:rawPredict");
        assert_eq!(
            call(&broker, &count, "", r#"{"model":"claude-x"}"#).status,
            200,
            "{count}"
        );
        assert_eq!(call(&broker, &count, "", r#"{"model":"gpt-4"}"#).status, 403, "{count}");
    }
}

#[test]
fn a_project_goes_by_its_number_where_the_broker_is_told_it() {
    let vertex = Vertex::always(200, "", "{}");
    let numbered = |path: &str, number: &str| path.replace("/my-project/", &format!("/{number}/"));
    let calls = [claude(), format!("{GEMINI}/gemini-x:generateContent")];
    let told = vertex.broker(&["--project-number=42"]);
    for target in &calls {
        assert_eq!(call(&told, &numbered(target, "42"), "", "{}").status, 200, "{target}");
        assert_eq!(
            vertex.calls().last().unwrap().header("authorization"),
            Some(format!("Bearer {CANARY}").as_str())
        );
        for other in ["43", "042", "4", "42.0", "my-project:42"] {
            assert_eq!(call(&told, &numbered(target, other), "", "{}").status, 403, "{other}");
        }
    }
    let model = r#"{"model":"projects/42/locations/us-east5/publishers/google/models/gemini-x"}"#;
    let count = format!("{GEMINI}/gemini-x:countTokens");
    assert_eq!(call(&told, &count, "", model).status, 200);
    // The number of a workload identity provider's project says nothing: the pool may be another project's.
    let untold = vertex.broker(&[]);
    assert_eq!(call(&untold, &numbered(&calls[0], "42"), "", "{}").status, 403);
    assert_eq!(call(&untold, &numbered(&calls[0], "123456789"), "", "{}").status, 403);
}
