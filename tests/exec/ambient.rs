//! The exchange of the Ambient Code platform on the wire, against a scripted control plane.

use super::bootstrap::{SESSION, bootstrap, environment, keys};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harness::scripted::{Google as Platform, Reply, Seen};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use vertex_injector_sidecar::exec::source::ambient::Ambient;
use vertex_injector_sidecar::exec::source::{Credential, FetchError, Source};

fn source(platform: &Platform) -> Source {
    let bootstrap = bootstrap(&environment()).unwrap_or_else(|problem| panic!("{problem}"));
    Source::Ambient(Ambient::over(bootstrap, platform.upstream()))
}

async fn fetch(platform: &Platform) -> Result<Credential, FetchError> {
    source(platform).fetch().await
}

fn path(seen: &Seen) -> &str {
    seen.line.split(' ').nth(1).expect("a path")
}

/// A platform that works.
fn working(seen: &Seen) -> Reply {
    match path(seen) {
        "/token" => Reply::Json(200, json!({"token": "canary-api-token"})),
        "/api/ambient/v1/credentials/cred_1-A/token" => Reply::Json(
            200,
            json!({"credential_id": "cred_1-A", "provider": "github", "token": "canary-token"}),
        ),
        "/api/ambient/v1/credentials/cred_1-A" => Reply::Json(
            200,
            json!({"id": "cred_1-A", "provider": "metadata's", "token": "metadata's", "url": "https://git.example",
                   "email": null, "labels": {"a": "b"}, "port": 443}),
        ),
        other => panic!("nobody asks for {other}"),
    }
}

/// Decrypts with another implementation than ours.
fn decrypt(bearer: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let (key, text) = (directory.path().join("key"), directory.path().join("text"));
    fs::write(&key, &keys().1).expect("write");
    fs::write(&text, BASE64_STANDARD.decode(bearer).expect("standard base64")).expect("write");
    let output = Command::new("openssl")
        .args(["pkeyutl", "-decrypt", "-keyform", "DER", "-inkey"])
        .arg(&key)
        .arg("-in")
        .arg(&text)
        .args(["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"])
        .args(["-pkeyopt", "rsa_mgf1_md:sha256"])
        .output()
        .expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn three_requests_make_a_credential_whose_token_fields_win() {
    let platform = Platform::new(working);
    let credential = fetch(&platform).await.expect("a credential");
    let value = |name: &str| credential.fields.get(name).map(|secret| secret.expose().to_owned());
    assert_eq!(value("token").as_deref(), Some("canary-token"));
    assert_eq!(value("provider").as_deref(), Some("github"));
    assert_eq!(value("url").as_deref(), Some("https://git.example"));
    assert_eq!(value("email"), None);
    assert_eq!(value("labels").as_deref(), Some(r#"{"a":"b"}"#));
    assert_eq!(value("port").as_deref(), Some("443"));
    assert!(credential.expires.is_none() && !credential.incomplete);

    let seen = platform.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /token HTTP/1.1",
            "GET /api/ambient/v1/credentials/cred_1-A/token HTTP/1.1",
            "GET /api/ambient/v1/credentials/cred_1-A HTTP/1.1",
        ]
    );
    let bearer = |seen: &Seen| {
        assert_eq!(seen.body, "");
        let header = seen.header("authorization").expect("a header");
        header.strip_prefix("Bearer ").expect("a bearer").to_owned()
    };
    assert_eq!(decrypt(&bearer(&seen[0])), SESSION);
    assert_eq!(bearer(&seen[1]), "canary-api-token");
    assert_eq!(bearer(&seen[2]), "canary-api-token");
}

#[tokio::test(start_paused = true)]
async fn the_control_plane_is_tried_three_times_with_one_ciphertext() {
    let platform = Platform::always(Reply::Json(500, json!("canary")));
    let start = Instant::now();
    let error = fetch(&platform).await.expect_err("no credential");
    assert_eq!(start.elapsed().as_secs(), 3, "pauses of 1 s and 2 s");
    assert!(!error.refused);
    let seen = platform.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| one.head == seen[0].head), "the same ciphertext");

    fetch(&platform).await.expect_err("no credential");
    let again = platform.seen();
    assert_ne!(again[3].head, again[0].head, "another fetch encrypts anew");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_succeeds_is_enough() {
    let failures = Arc::new(Mutex::new(1));
    let platform = Platform::new(move |seen| {
        let mut failures = failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Reply::Raw(Vec::new());
        }
        working(seen)
    });
    assert!(fetch(&platform).await.is_ok());
    assert_eq!(platform.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_between_attempts_can_be_cancelled() {
    let platform = Platform::always(Reply::Json(503, json!({})));
    let source = source(&platform);
    let cut = tokio::time::timeout(Duration::from_millis(500), source.fetch()).await;
    assert!(cut.is_err(), "it was waiting");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(platform.seen().len(), 1, "nothing goes on behind our back");
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_says_what_to_check() {
    for status in [401, 403, 405] {
        let platform = Platform::always(Reply::Json(status, json!("canary")));
        let error = fetch(&platform).await.expect_err("refused");
        assert!(error.refused);
        assert_eq!(platform.seen().len(), 1, "{status}");
        assert!(
            error.detail.contains(&format!("127.0.0.1: status {status}, 8 bytes")),
            "{error}"
        );
        assert!(error.advice.contains("AMBIENT_CP_TOKEN_PUBLIC_KEY"), "{}", error.advice);
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_had_is_done_without_and_remembered() {
    for reply in [
        Reply::Json(404, json!({})),
        Reply::Json(500, json!("canary")),
        Reply::Json(200, json!(["no object"])),
        Reply::Raw(Vec::new()),
    ] {
        let platform = Platform::new(move |seen| match path(seen) {
            "/api/ambient/v1/credentials/cred_1-A" => reply.clone(),
            _ => working(seen),
        });
        let credential = fetch(&platform).await.expect("a credential");
        assert_eq!(credential.fields.names(), "credential_id, provider, token");
        assert!(credential.incomplete);
    }
}

/// What can go wrong with one answer; each repeats the secrets that it was sent.
fn troubles(seen: &Seen) -> Vec<(&'static str, Reply)> {
    let echo = format!("canary {} canary-token", seen.head);
    let raw = |text: String| Reply::Raw(text.into_bytes());
    vec![
        ("500 that repeats everything", Reply::Json(500, json!(echo.clone()))),
        ("401 that repeats everything", Reply::Json(401, json!(echo.clone()))),
        (
            "200 that is no JSON",
            raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{echo}",
                echo.len()
            )),
        ),
        (
            "200 with half of an object",
            raw("HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"token\":\"canary".to_owned()),
        ),
        ("200 without a field", Reply::Json(200, json!({}))),
        ("200 with a list", Reply::Json(200, json!(["canary"]))),
        (
            "a redirect",
            raw("HTTP/1.1 302 Found\r\nlocation: http://evil.svc/canary\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ),
        ("no HTTP", raw("canary\r\n\r\n".to_owned())),
        (
            "an answer that breaks off",
            raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"token\":\"canary".to_owned()),
        ),
        (
            "an answer of more than 1 MiB",
            raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 1048600\r\n\r\n{{\"token\":\"canary{}\"}}",
                "x".repeat(1_048_582)
            )),
        ),
        ("nothing at all", Reply::Hang),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_answer_leaks_what_it_repeats_and_none_is_waited_for_forever() {
    for broken in ["/token", "/api/ambient/v1/credentials/cred_1-A/token"] {
        let count = troubles(&Seen {
            line: String::new(),
            head: String::new(),
            body: String::new(),
        })
        .len();
        for number in 0..count {
            let platform = Platform::new(move |seen| {
                if path(seen) == broken {
                    troubles(seen).remove(number).1
                } else {
                    working(seen)
                }
            });
            let start = Instant::now();
            let error = match fetch(&platform).await {
                Err(error) => error,
                Ok(credential) => {
                    // Any object is an answer of the API; what it lacks is found when it is used.
                    assert_eq!(broken, "/api/ambient/v1/credentials/cred_1-A/token");
                    assert_eq!(credential.fields.get("token").unwrap().expose(), "metadata's");
                    continue;
                }
            };
            assert!(start.elapsed() <= Duration::from_secs(33), "{:?}", start.elapsed());
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{shown}");
            assert!(!shown.contains("Bearer"), "{shown}");
            let bearers = platform.seen();
            for seen in bearers {
                let bearer = seen.header("authorization").expect("a bearer");
                let (_, end) = bearer.split_at(bearer.len() - 12);
                assert!(!shown.contains(end), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let platform = Platform::always(Reply::Raw(
        b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/token\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let error = fetch(&platform).await.expect_err("refused");
    assert!(
        error
            .detail
            .ends_with("status 307, 0 bytes; redirects are not followed"),
        "{error}"
    );
    assert_eq!(platform.seen().len(), 1);
}
