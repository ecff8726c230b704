//! What the agent sees when Vertex AI, or what gives us tokens, does not do its part.

use super::process::Broker;
use super::vertex::{CANARY, MODELS, Vertex, call, whole};
use harness::scripted::{Google, Reply, token};
use http::{HeaderMap, StatusCode, Uri};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_sidecar::broker::proxy::refusal::{Reason, Refusal};
use vertex_injector_sidecar::broker::proxy::target::{Query, Target};
use vertex_injector_sidecar::broker::proxy::vertex::Vertex as Client;

fn target() -> String {
    format!("{MODELS}/claude-x:rawPredict")
}

#[test]
fn errors_of_vertex_ai_pass_with_their_message_and_their_advice_when_to_try_again() {
    for status in [400, 403, 404, 408, 409, 413, 429, 500, 503, 529] {
        let body = json!({"error": {"code": status, "message": "Quota exceeded", "status": "X"}}).to_string();
        let headers = "content-type: application/json; charset=UTF-8\r\nretry-after: 17\r\nset-cookie: a=b\r\n";
        let vertex = Vertex::always(status, headers, &body);
        let answer = call(&vertex.broker(&[]), &target(), "", "{}");
        assert_eq!((answer.status, &answer.body), (status, &body));
        assert_eq!(answer.header("retry-after"), Some("17"));
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn redirects_are_neither_followed_nor_passed_on() {
    for status in [301, 302, 303, 307, 308, 304, 300, 407] {
        let other = Vertex::always(200, "", "{}");
        let location = format!(
            "location: http://{}/elsewhere\r\nproxy-authenticate: Basic\r\n",
            other.address
        );
        let vertex = Vertex::always(status, &location, "");
        let answer = call(&vertex.broker(&[]), &target(), "", "{}");
        assert_eq!(answer.status, 502, "{status}: {}", answer.body);
        assert_eq!(answer.header("location"), None);
        assert!(
            answer
                .body
                .contains(&format!("answered {status}, which is not passed on")),
            "{}",
            answer.body
        );
        assert_eq!(other.calls().len(), 0);
    }
}

#[test]
fn a_rejected_token_is_our_trouble_not_the_agents() {
    let vertex = Vertex::always(401, "www-authenticate: Bearer\r\n", r#"{"error":{"code":401}}"#);
    let mut broker = vertex.broker(&[]);
    let answer = call(&broker, &target(), "", "{}");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("www-authenticate"), None);
    broker.wait_for("Google rejected an access token before its end, fetching another");
    assert_eq!(broker.wait_for("model call")["reason"], "TokenRejected");
}

#[test]
fn what_repeats_the_token_is_passed_on_without_it() {
    let vertex = Vertex::new(|stream, seen| {
        let token = seen.header("authorization").expect("a token");
        let body = json!({"error": {"code": 400, "message": format!("bad header {token}!")}}).to_string();
        let headers = format!("content-type: application/json\r\nrequest-id: {token}\r\n");
        stream.write_all(&whole(400, &headers, &body)).unwrap();
    });
    let answer = call(&vertex.broker(&[]), &target(), "", "{}");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("bad header Bearer [redacted]!"), "{}", answer.body);
    assert!(!format!("{answer:?}").contains(CANARY));
}

#[test]
fn oversized_and_unreadable_errors_become_short_ones() {
    let oversized = "x".repeat(100 * 1024);
    for (headers, body) in [("", oversized.as_str()), ("content-encoding: gzip\r\n", "zipped")] {
        let vertex = Vertex::always(500, headers, body);
        let answer = call(&vertex.broker(&[]), &target(), "", "{}");
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("content-encoding"), None);
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(
            json["error"]["message"],
            "vertex-injector: Vertex AI answered 500 without a readable message"
        );
    }
    let head = format!("x-large: {}\r\n", "x".repeat(1024 * 1024));
    let vertex = Vertex::always(200, &head, "{}");
    assert_eq!(call(&vertex.broker(&[]), &target(), "", "{}").status, 502);
}

#[test]
fn an_answer_that_breaks_off_at_once_is_a_bad_gateway() {
    for bytes in [
        "",
        "HTTP/1.1 200 O",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    ] {
        let vertex = Vertex::new(move |stream, _| {
            let _ = stream.write_all(bytes.as_bytes());
        });
        let answer = call(&vertex.broker(&[]), &target(), "", "{}");
        assert_eq!(answer.status, 502, "{bytes:?}: {}", answer.body);
    }
}

fn broker_with_tokens_of(google: &Google, endpoint: &str) -> Broker {
    let user = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("http://{}/v1/token", google.listen()),
        "credential_source": {"file": "/proc/self/status"},
    });
    Broker::start(
        &[
            "--mode=proxy",
            "--project=my-project",
            "--regions=us-east5",
            "--metadata-port=0",
            "--proxy-port=0",
            "--vertex-endpoint",
            endpoint,
        ],
        &[("VERTEX_INJECTOR_CREDENTIALS_JSON", &user.to_string())],
    )
}

#[test]
fn without_a_token_calls_wait_or_fail_as_google_says() {
    let vertex = Vertex::always(200, "", "{}");
    let endpoint = format!("http://{}", vertex.address);
    let down = Google::always(Reply::Json(503, json!({})));
    let answer = call(&broker_with_tokens_of(&down, &endpoint), &target(), "", "{}");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some(), "{}", answer.head);
    let refusal = json!({"error": "invalid_target", "error_description": "The audience is wrong."});
    let refusing = Google::always(Reply::Json(400, refusal));
    let answer = call(&broker_with_tokens_of(&refusing, &endpoint), &target(), "", "{}");
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("The audience is wrong."), "{}", answer.body);
    assert_eq!(vertex.calls().len(), 0);
}

#[test]
fn a_vertex_ai_that_cannot_be_reached_is_unavailable() {
    let google = Google::always(token(CANARY, 3599));
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let answer = call(
        &broker_with_tokens_of(&google, &format!("http://{free}")),
        &target(),
        "",
        "{}",
    );
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.body.contains("Vertex AI cannot be reached"), "{}", answer.body);
}

/// The scripted Google speaks HTTP/1.1, as what is plain does.
fn plain() -> Endpoint {
    Endpoint::parse("http://127.0.0.1").expect("an endpoint")
}

/// One call over a transport in memory, where time is paused.
async fn in_memory(google: &Google) -> Result<StatusCode, Refusal> {
    let client = Client::new(Some(plain()), &google.transport());
    let path = target();
    let target = Target::parse(&path).expect("a target");
    let body = Bytes::from_static(b"{}");
    let (answer, _place) = client.call(&target, Query::default(), HeaderMap::new(), body).await?;
    Ok(answer.status())
}

#[tokio::test(start_paused = true)]
async fn a_model_may_think_for_nine_minutes_but_not_for_ever() {
    let start = Instant::now();
    let late = Google::always(Reply::Late(Duration::from_mins(9), json!({})));
    assert_eq!(in_memory(&late).await.expect("an answer"), StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_mins(9));
    let start = Instant::now();
    let refusal = in_memory(&Google::always(Reply::Hang)).await.expect_err("no answer");
    assert_eq!(
        (refusal.reason, refusal.status),
        (Reason::Silent, StatusCode::GATEWAY_TIMEOUT)
    );
    assert_eq!(start.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_the_host_of_their_location() {
    for (region, host) in [
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ] {
        let asked: Arc<Mutex<Vec<Uri>>> = Arc::default();
        let recorded = Arc::clone(&asked);
        let client = Client::new(
            None,
            &tower::service_fn(move |uri: Uri| {
                recorded.lock().unwrap().push(uri);
                std::future::ready(Err::<TokioIo<TcpStream>, _>(std::io::Error::other("no network")))
            }),
        );
        let path = format!("/v1/projects/p/locations/{region}/publishers/anthropic/models/claude-x:rawPredict");
        let target = Target::parse(&path).expect("a target");
        let body = Bytes::from_static(b"{}");
        let answer = client.call(&target, Query::default(), HeaderMap::new(), body).await;
        assert_eq!(answer.expect_err("no network").reason, Reason::Unreachable);
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].scheme_str(), asked[0].host()), (Some("https"), Some(host)));
    }
}
