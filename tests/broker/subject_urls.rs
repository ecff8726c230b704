//! Subject tokens from a URL, as CI platforms hand them out.

use super::credentials::{from_url, parse};
use harness::scripted::{Google, Reply, Seen, token};
use serde_json::{Value, json};
use vertex_injector_sidecar::broker::credentials::{Configured, Credentials};
use vertex_injector_sidecar::broker::token::{AccessToken, Hop, TokenError, fetch};

const ASKED: &str = "GET /7/idtoken/8?api-version=2.0&audience=https%3A%2F%2Fiam.example HTTP/1.1";

/// A platform with this answer, and a Google that takes whatever it hands out.
fn platform(answer: Reply) -> Google {
    Google::new(move |seen: &Seen| {
        if seen.line.starts_with("GET ") {
            answer.clone()
        } else {
            token("access", 3599)
        }
    })
}

async fn fetched(google: &Google, file: &Value) -> Result<AccessToken, TokenError> {
    fetch(&parse(file), &google.upstream()).await
}

#[tokio::test]
async fn the_url_is_asked_with_its_query_and_headers_and_the_field_of_its_answer_is_exchanged() {
    let google = platform(Reply::Json(200, json!({"count": 1, "value": " subject \n"})));
    let access = fetched(&google, &from_url()).await.expect("a token");
    assert_eq!(access.secret.expose(), "access");
    let [asked, exchanged] = google.seen().try_into().expect("two requests");
    assert_eq!(asked.line, ASKED);
    assert_eq!(asked.header("authorization"), Some("Bearer request-token"));
    assert_eq!(
        asked.header("host"),
        Some("run-actions-1.actions.githubusercontent.com")
    );
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!(exchanged.field("subject_token").as_deref(), Some("subject"));
    assert_eq!(
        exchanged.header("authorization"),
        None,
        "the platform's token stays with the platform"
    );

    // Anew each time: such tokens live for minutes.
    fetched(&google, &from_url()).await.expect("another");
    assert_eq!(google.seen().iter().filter(|seen| seen.line == ASKED).count(), 2);
}

#[tokio::test]
async fn the_answer_may_be_text_and_the_headers_none_or_any() {
    let mut file = from_url();
    file["credential_source"]["format"] = json!(null);
    file["credential_source"]["headers"] = json!({"Accept": "text/plain", "X-Job": "7"});
    let google = platform(Reply::Raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsubject\n".to_vec(),
    ));
    fetched(&google, &file).await.expect("a token");
    let [asked, exchanged] = google.seen().try_into().expect("two requests");
    assert_eq!(
        (asked.header("accept"), asked.header("x-job")),
        (Some("text/plain"), Some("7"))
    );
    assert_eq!(exchanged.field("subject_token").as_deref(), Some("subject"));

    file["credential_source"]["headers"] = json!(null);
    fetched(&google, &file).await.expect("a token");
}

#[tokio::test]
async fn what_is_no_subject_token_is_never_exchanged_and_nothing_secret_is_told() {
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let long = format!("{{\"value\":\"{}\"}}", "x".repeat(70 * 1024));
    for (answer, refused, problem) in [
        (
            Reply::Json(401, json!({"message": "Bearer request-token"})),
            true,
            "status 401, 34 bytes",
        ),
        (
            Reply::Json(403, json!({"error": "request-token"})),
            true,
            "status 403: [redacted]",
        ),
        (
            Reply::Json(403, json!({"error": "Bearer request-token"})),
            true,
            "status 403: [redacted]",
        ),
        (Reply::Json(503, json!({})), false, "status 503, 2 bytes"),
        (Reply::Json(429, json!({})), false, "status 429, 2 bytes"),
        (
            Reply::Json(202, json!({"value": "subject"})),
            false,
            "status 202, 19 bytes",
        ),
        // With an error beside it, a token is none.
        (
            Reply::Json(200, json!({"value": "subject", "error": "no"})),
            false,
            "status 200: no",
        ),
        (Reply::Json(200, json!({"value": ""})), false, "the answer is empty"),
        (
            Reply::Json(200, json!({"value": 7})),
            false,
            "the answer lacks the field that subject_token_field_name names",
        ),
        (
            Reply::Json(200, json!({"token": "subject"})),
            false,
            "the answer lacks the field that subject_token_field_name names",
        ),
        (
            Reply::Json(200, json!(["value"])),
            false,
            "the answer lacks the field that subject_token_field_name names",
        ),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsubject"),
            false,
            "the answer is not JSON",
        ),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\u{fffd}"),
            false,
            "the answer is not text",
        ),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"value\":\"subject\"}"),
            false,
            "broke off",
        ),
        (
            raw("HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n"),
            false,
            "status 302, 0 bytes",
        ),
        (
            raw(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}",
                long.len()
            )),
            false,
            "the answer is longer than any token",
        ),
    ] {
        let google = platform(answer);
        let error = fetched(&google, &from_url()).await.expect_err("no token");
        assert_eq!((error.hop, error.refused), (Hop::TokenUrl, refused), "{error}");
        assert!(error.detail.ends_with(problem), "{error}: not {problem}");
        assert!(!error.to_string().contains("request-token"), "{error}");
        assert_eq!(google.seen().len(), 1, "{error}: it was exchanged");
    }
    // Text that only ends with its connection may be a part.
    let mut file = from_url();
    file["credential_source"]["format"] = json!({"type": "text"});
    let google = platform(raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsubj"));
    let error = fetched(&google, &file).await.expect_err("no token");
    assert!(error.detail.ends_with("does not say where it ends"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_url_that_never_answers_is_left_after_fifteen_seconds() {
    let google = platform(Reply::Hang);
    let begun = tokio::time::Instant::now();
    let error = fetched(&google, &from_url()).await.expect_err("no token");
    assert!(error.detail.ends_with("did not answer within 15 s"), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[test]
fn the_url_is_https_or_on_loopback_and_nothing_of_it_is_shown() {
    let with = |url: &str| {
        let mut file = from_url();
        file["credential_source"]["url"] = url.into();
        Credentials::parse(file.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    for url in [
        "http://127.0.0.1:8080/token?audience=a",
        "http://localhost/token",
        "https://ci.example",
    ] {
        with(url).expect(url);
    }
    for url in [
        "http://ci.example/token",
        "http://ci.team.svc/canary",
        "https://canary@ci.example/",
        "ftp://ci.example",
    ] {
        let error = with(url).expect_err(url);
        assert!(
            error.starts_with("field credential_source.url of the credential file "),
            "{error}"
        );
        assert!(!error.contains("canary"), "{error}");
    }
    let shown = format!("{:?}", parse(&from_url()));
    assert!(!shown.contains("request-token"), "{shown}");
}

#[test]
fn a_variable_of_the_environment_may_not_hold_such_headers() {
    use vertex_injector_core::contract::broker::Credential;
    let error = Configured::read(&Credential::Json(from_url().to_string())).expect_err("a secret");
    assert!(
        format!("{error:#}").contains("credential_source.headers hold secrets"),
        "{error:#}"
    );
    let mut file = from_url();
    file["credential_source"]["headers"] = json!({});
    Configured::read(&Credential::Json(file.to_string())).expect("no secret");
}
