//! What comes with an error, or in part, is no credential: not from files, and not from any service that gives tokens.

use super::credentials::{authorized_user, external_account, impersonating, parse, rsa, service_account};
use super::exchange::{Directory, reading};
use super::process::program;
use harness::scripted::{Google, Reply, Seen, token};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_sidecar::broker::credentials::Credentials;
use vertex_injector_sidecar::broker::token::{IdTokens, fetch};

/// A whole answer, and everything that is almost one: each has all of the token in it.
fn parts(whole: &Value) -> Vec<Reply> {
    let text = whole.to_string();
    let raw = |head: &str, body: &str| Reply::Raw(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes());
    let mut with_error = whole.clone();
    with_error["error"] = json!({"code": 500, "message": "half"});
    let mut with_code = whole.clone();
    with_code["error"] = json!("server_error");
    vec![
        raw(&format!("200 OK\r\ncontent-length: {}", text.len() + 1), &text),
        raw(
            "200 OK\r\ntransfer-encoding: chunked",
            &format!("{:x}\r\n{text}\r\n", text.len()),
        ),
        raw(&format!("206 Partial Content\r\ncontent-length: {}", text.len()), &text),
        raw(
            &format!("200 OK\r\ncontent-length: {}", text.len() - 1),
            text.strip_suffix('}').expect("an object"),
        ),
        Reply::Json(202, whole.clone()),
        Reply::Json(200, with_error),
        Reply::Json(200, with_code),
        Reply::Json(500, whole.clone()),
    ]
}

/// Answers one hop by this, the others well.
fn google(hop: &'static str, reply: Reply) -> Google {
    Google::new(move |seen: &Seen| {
        if seen.line.contains(hop) {
            return reply.clone();
        }
        token("federated", 3599)
    })
}

fn oauth() -> Value {
    json!({"access_token": "canary", "expires_in": 3599, "token_type": "Bearer"})
}

fn impersonated() -> Value {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1800);
    json!({"accessToken": "canary", "expireTime": end.to_string()})
}

fn node() -> Credentials {
    Credentials::Metadata(Endpoint::node_metadata("127.0.0.1:1").expect("an endpoint"))
}

#[tokio::test]
async fn no_service_gives_an_access_token_with_half_an_answer() {
    let directory = Directory::new("whole");
    let subject = directory.file("token", "subject");
    let key = rsa();
    let credentials = [
        (parse(&reading(external_account(), &subject)), "/v1/token", oauth()),
        (
            parse(&reading(impersonating(), &subject)),
            ":generateAccessToken",
            impersonated(),
        ),
        (parse(&service_account(&key)), "/token", oauth()),
        (parse(&authorized_user()), "/token", oauth()),
        (node(), "/token", oauth()),
    ];
    for (credentials, hop, whole) in credentials {
        let good = google(hop, Reply::Json(200, whole.clone()));
        let token = fetch(&credentials, &good.upstream())
            .await
            .expect("a whole answer is one");
        assert_eq!(token.secret.expose(), "canary");
        for reply in parts(&whole) {
            let failed = fetch(&credentials, &google(hop, reply.clone()).upstream()).await;
            let error = failed.expect_err(&format!("{} {reply:?}", credentials.kind()));
            assert!(!error.detail.contains("canary"), "{error}");
        }
    }
}

#[tokio::test]
async fn no_service_gives_an_id_token_with_half_an_answer() {
    let directory = Directory::new("whole-id");
    let subject = directory.file("token", "subject");
    let key = rsa();
    let jwt = "e30.e30.c2ln";
    for (file, hop, whole) in [
        (
            reading(impersonating(), &subject),
            ":generateIdToken",
            json!({"token": jwt}),
        ),
        (service_account(&key), "/token", json!({"id_token": jwt})),
    ] {
        let get = |reply: Reply| {
            let tokens = IdTokens::new(
                Arc::new(parse(&file)),
                google(hop, reply).upstream(),
                vec!["a".to_owned()],
            );
            async move { tokens.get("a").await }
        };
        assert!(get(Reply::Json(200, whole.clone())).await.is_ok());
        for reply in parts(&whole) {
            assert!(get(reply.clone()).await.is_err(), "{hop} {reply:?}");
        }
    }
    let get = |head: &str| {
        let reply = Reply::Raw(format!("HTTP/1.1 {head}\r\n\r\n{jwt}").into_bytes());
        let tokens = IdTokens::new(
            Arc::new(node()),
            google("/identity", reply).upstream(),
            vec!["a".to_owned()],
        );
        async move { tokens.get("a").await }
    };
    assert!(get("200 OK\r\ncontent-length: 12").await.is_ok());
    for head in [
        "200 OK\r\ncontent-length: 13",
        "206 Partial Content\r\ncontent-length: 12",
        // Nobody knows whether more would have come.
        "200 OK",
    ] {
        assert!(get(head).await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_subject_tokens_file_that_fails_after_some_bytes_is_not_sent() {
    let directory = Directory::new("whole-subject");
    let path = directory.file("token", "");
    let google = Google::always(token("canary", 3599));
    let plain = reading(external_account(), &path);
    let mut of_json = plain.clone();
    of_json["credential_source"]["format"] = json!({"type": "json", "subject_token_field_name": "id"});
    for (file, content) in [
        (&plain, b"subject\xff".as_slice()),
        (&plain, b""),
        (&plain, b"\n"),
        (&of_json, br#"{"id": "subject""#),
        (&of_json, br#"{"id": "subject"} {"#),
        (&of_json, b"{\"id\": \"subject\"}\xff"),
        (&of_json, br#"{"id": ["subject"]}"#),
    ] {
        fs::write(&path, content).expect("write");
        let failed = fetch(&parse(file), &google.upstream()).await;
        assert!(failed.is_err(), "{:?}", String::from_utf8_lossy(content));
    }
    fs::remove_file(&path).expect("remove");
    fs::create_dir(&path).expect("a directory");
    assert!(fetch(&parse(&plain), &google.upstream()).await.is_err());
    assert_eq!(google.seen().len(), 0);
}

#[test]
fn half_a_credential_file_is_none_wherever_it_comes_from() {
    let whole = authorized_user().to_string();
    let directory = Directory::new("whole-file");
    for content in [
        whole.strip_suffix('}').expect("an object"),
        whole.split_at(whole.len() / 2).0,
        "",
        &format!("{whole}{{"),
    ] {
        let path = directory.file("credentials.json", content);
        for from in [path.to_str().expect("UTF-8"), "-"] {
            let mut broker = program()
                .args([
                    "broker",
                    "--mode=metadata",
                    "--project=p",
                    "--metadata-port=0",
                    "--credentials",
                    from,
                ])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("start");
            let _ = broker.stdin.take().expect("a pipe").write_all(content.as_bytes());
            let output = broker.wait_with_output().expect("its end");
            assert_eq!(
                output.status.code(),
                Some(2),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
