//! Credentials from an endpoint that accepts the pod's projected token.

use harness::scripted::{Google as Endpoint, Reply};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use tokio::time::Instant;
use vertex_injector_core::allowed::{Allowed, PlainHttp};
use vertex_injector_core::endpoint;
use vertex_injector_sidecar::exec::source::http::HttpSource;
use vertex_injector_sidecar::exec::source::{Credential, FetchError, Source};

struct Pod {
    directory: TempDir,
}

impl Pod {
    fn new() -> Self {
        let pod = Self {
            directory: tempdir().unwrap(),
        };
        fs::write(pod.token_file(), "canary-projected-1\n").unwrap();
        pod
    }

    fn token_file(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    fn source(&self, endpoint: &Endpoint) -> Source {
        let allowed = Allowed::new(vec!["tokens.example.com".parse().unwrap()], PlainHttp::default());
        let url = endpoint::Endpoint::listed(&allowed, "https://tokens.example.com/v1/github?scope=repo").unwrap();
        Source::Http(HttpSource::over(url, self.token_file(), endpoint.upstream()))
    }
}

async fn answered(reply: Reply) -> Result<Credential, FetchError> {
    Pod::new().source(&Endpoint::always(reply)).fetch().await
}

#[tokio::test]
async fn the_projected_token_is_read_at_each_fetch_and_sent_as_bearer() {
    let pod = Pod::new();
    let endpoint = Endpoint::always(Reply::Json(200, json!({"token": "t", "user": "u"})));
    let source = pod.source(&endpoint);
    assert_eq!(source.fetch().await.unwrap().fields.names(), "token, user");
    fs::write(pod.token_file(), "canary-projected-2").unwrap();
    source.fetch().await.unwrap();
    let seen = endpoint.seen();
    assert_eq!(seen[0].line, "GET /v1/github?scope=repo HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), Some("Bearer canary-projected-1"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer canary-projected-2"));
}

#[tokio::test]
async fn nothing_is_asked_without_the_projected_token() {
    let pod = Pod::new();
    let endpoint = Endpoint::always(Reply::Json(200, json!({"token": "t"})));
    let source = pod.source(&endpoint);
    for (content, words) in [
        (Some("\n"), "is empty"),
        (Some("canary\ncanary"), "no header can carry"),
        (None, "does not exist"),
    ] {
        match content {
            Some(content) => fs::write(pod.token_file(), content).unwrap(),
            None => fs::remove_file(pod.token_file()).unwrap(),
        }
        let error = source.fetch().await.expect_err("no credential");
        assert!(error.detail.contains(words), "{error}");
        assert!(!error.refused && !error.detail.contains("canary"), "{error}");
    }
    assert_eq!(endpoint.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_credential_is_told_in_three_ways() {
    let in_an_hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    for end in [
        json!({"expires_in": 3600}),
        json!({"expires_in": "3600"}),
        json!({"expires_at": in_an_hour.to_string()}),
        json!({"expires_at": in_an_hour.as_second()}),
    ] {
        let mut body = json!({"token": "t"});
        body.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        let asked = Instant::now();
        let credential = answered(Reply::Json(200, body))
            .await
            .unwrap_or_else(|error| panic!("{end}: {error}"));
        let life = credential.expires.expect("an end") - asked;
        assert!((3598..=3600).contains(&life.as_secs()), "{end}: {life:?}");
    }
    assert!(
        answered(Reply::Json(200, json!({"token": "t"})))
            .await
            .unwrap()
            .expires
            .is_none()
    );
    let endless = answered(Reply::Json(200, json!({"token": "t", "expires_in": u64::MAX})))
        .await
        .unwrap();
    assert!(endless.expires.is_some());
}

#[tokio::test]
async fn an_end_that_cannot_be_understood_or_has_passed_is_no_credential() {
    for (end, value, words, refused) in [
        ("expires_in", json!("canary"), "expires_in that is no number", true),
        ("expires_in", json!(-1), "expires_in that is no number", true),
        ("expires_in", json!(0), "has ended already", false),
        ("expires_at", json!("canary"), "expires_at that is neither", true),
        ("expires_at", json!("2020-01-01T00:00:00Z"), "has ended already", false),
        ("expires_at", json!(i64::MIN), "has ended already", false),
    ] {
        let error = answered(Reply::Json(200, json!({"token": "canary", end: value})))
            .await
            .expect_err("no credential");
        assert!(error.detail.contains(words), "{error}");
        assert_eq!(error.refused, refused, "{error}");
        assert!(!error.detail.contains("canary"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_leaks_or_is_waited_for_forever() {
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}",
        "canary".repeat(333_334)
    );
    let echo = Value::from("canary-projected-1 canary");
    for (reply, words, refused) in [
        (Reply::Json(500, echo.clone()), "status 500, 27 bytes", false),
        (Reply::Json(429, echo.clone()), "status 429", false),
        (Reply::Json(403, echo), "status 403", true),
        (Reply::Json(200, json!(["canary"])), "is not a JSON object", true),
        (Reply::Json(200, json!("canary")), "is not a JSON object", true),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncanary"),
            "is not JSON",
            true,
        ),
        (
            raw("HTTP/1.1 302 Found\r\nlocation: https://evil.svc/canary\r\ncontent-length: 0\r\n\r\n"),
            "redirects are not followed",
            true,
        ),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"token\":\"canary"),
            "broke off",
            false,
        ),
        // All that a credential needs, and yet it is none.
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"token\":\"canary\"}"),
            "broke off",
            false,
        ),
        (
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n12\r\n{\"token\":\"canary\"}\r\n"),
            "broke off",
            false,
        ),
        (
            raw("HTTP/1.1 206 Partial Content\r\ncontent-length: 18\r\n\r\n{\"token\":\"canary\"}"),
            "status 206",
            false,
        ),
        (Reply::Json(202, json!({"token": "canary"})), "status 202", false),
        (
            Reply::Json(200, json!({"token": "canary", "error": "expired canary"})),
            "tells an error beside its fields",
            true,
        ),
        (raw(&long), "more than 1048576 bytes", false),
        (Reply::Hang, "did not answer within 10 s", false),
        (
            Reply::Late(Duration::from_secs(11), json!({"token": "canary"})),
            "did not answer within 10 s",
            false,
        ),
    ] {
        let start = Instant::now();
        let error = answered(reply).await.expect_err("no credential");
        assert!(error.detail.contains(words), "{error}");
        assert_eq!(error.refused, refused, "{error}");
        assert!(error.detail.contains("tokens.example.com"), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert!(start.elapsed() <= Duration::from_secs(10));
    }
}
