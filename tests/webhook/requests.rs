//! What is answered, and what is refused with which words.

use crate::client::{Client, agent_review};
use crate::log::Log;
use crate::server::Running;
use axum::body::Body;
use hyper::{Method, Request, StatusCode, header};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_review_is_answered_with_the_patch_of_the_policy() {
    let webhook = Running::start().await;
    let answer = webhook.client().review(&agent_review()).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let length = answer.body.len().to_string();
    assert_eq!(answer.headers[header::CONTENT_LENGTH], length.as_str());
    assert!(answer.patch().contains("GREETING"), "{}", answer.patch());
    assert!(answer.body.contains("705ab4f5-6393-11e8-b7cc-42010a800002"));
}

#[tokio::test]
async fn a_connection_serves_one_review_after_the_other() {
    let webhook = Running::start().await;
    let mut connection = webhook.client().connect().await.unwrap();
    for _ in 0..3 {
        assert!(connection.injects().await);
    }
    assert_eq!(webhook.metric("vertex_injector_open_connections").await, 1);
}

#[tokio::test]
async fn only_http_1_1_is_agreed_upon() {
    let webhook = Running::start().await;
    let both = webhook
        .client()
        .offering(&[b"h2", b"http/1.1"])
        .handshake()
        .await
        .unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = webhook.client().offering(&[b"h2"]).handshake().await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn a_client_that_never_speaks_is_closed_after_five_seconds() {
    let webhook = Running::start().await;
    let start = Instant::now();
    let mut silent = TcpStream::connect(webhook.addresses.https).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "still open after ten seconds");
    assert!(
        start.elapsed() >= Duration::from_secs(4),
        "closed after {:?}",
        start.elapsed()
    );
    assert_eq!(webhook.metric("vertex_injector_tls_handshake_failures_total").await, 1);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let webhook = Running::start().await;
    let mut stream = webhook.client().handshake().await.unwrap();
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(15), stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_body_over_eight_mebibytes_is_too_large() {
    let webhook = Running::start().await;
    let answer = webhook.client().send(vec![b' '; (8 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.error(), "the body is larger than 8 MiB");
}

#[tokio::test]
async fn four_mebibytes_of_garbage_are_told_from_a_review() {
    let webhook = Running::start().await;
    let answer = webhook.client().send(vec![b'x'; 4 << 20]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error().contains("not an AdmissionReview"), "{}", answer.error());
    assert!(
        answer.body.len() < 1000,
        "the answer is {} bytes long",
        answer.body.len()
    );
}

#[tokio::test]
async fn what_is_no_review_is_refused_with_the_reason() {
    let webhook = Running::start().await;
    let client = webhook.client();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut review = agent_review();
        *review.pointer_mut(pointer).unwrap() = value;
        review.to_string()
    };
    for (body, said) in [
        ("hello".to_owned(), "not an AdmissionReview"),
        (String::new(), "not an AdmissionReview"),
        ("[]".to_owned(), "not an AdmissionReview"),
        (
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "admission.k8s.io/v1",
        ),
        (with("/kind", json!("Pod")), "kind"),
        (with("/request", json!(null)), "no request"),
        (with("/request/uid", json!("")), "no uid"),
        (with("/request/uid", json!({"s3cr3t": 1})), "uid"),
    ] {
        let answer = client.send(body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer.error().contains(said),
            "{body} was refused with {:?}",
            answer.error()
        );
        assert!(!answer.body.contains("s3cr3t"), "{}", answer.body);
    }
    assert_eq!(
        webhook
            .metric(r#"vertex_injector_bad_requests_total{cause="not_a_review"}"#)
            .await,
        8
    );
}

#[tokio::test]
async fn other_methods_paths_and_content_types_are_refused() {
    let webhook = Running::start().await;
    let ask = async |method: Method, path: &str, content_type: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost");
        let request = request
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from("{}"))
            .unwrap();
        webhook
            .client()
            .connect()
            .await
            .unwrap()
            .request(request)
            .await
            .unwrap()
    };
    let answer = ask(Method::GET, "/mutate", "application/json").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers[header::ALLOW], "POST");
    assert_eq!(answer.error(), "only POST is allowed here");
    let answer = ask(Method::GET, "/validate", "application/json").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    let answer = ask(Method::POST, "/convert", "application/json").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    for path in ["/mutate", "/validate"] {
        assert!(answer.error().contains(path), "{}", answer.error());
    }
    let answer = ask(Method::POST, "/mutate", "application/yaml").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.error(), "the content type must be application/json");
    let answer = ask(Method::POST, "/mutate", "Application/JSON; charset=utf-8").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "the content type was refused");
}

#[tokio::test]
async fn a_review_leaves_one_log_event_and_one_count_and_no_value_of_the_pod() {
    let log = Log::start();
    let webhook = Running::start().await;
    let mut dry_run = agent_review();
    dry_run["request"]["dryRun"] = json!(true);
    webhook.client().review(&dry_run).await;
    let events = log.events("answered a review");
    assert_eq!(events.len(), 1);
    let event = &events[0];
    let ops = event["ops"].as_u64().unwrap();
    assert!(ops > 0, "{event}");
    assert_eq!(
        (
            &event["namespace"],
            &event["pod"],
            &event["outcome"],
            &event["reason"],
            &event["dry_run"]
        ),
        (
            &json!("team"),
            &json!("agent-1"),
            &json!("injected"),
            &json!("Injected"),
            &json!(true)
        ),
    );
    assert_eq!(event["policy"], "team/agents@0");
    assert!(event["duration_us"].as_u64().unwrap() < 5_000_000);
    assert!(!log.text().contains("s3cr3t"), "{}", log.text());
    assert_eq!(
        webhook
            .metric(r#"vertex_injector_reviews_total{outcome="injected",reason="Injected"}"#)
            .await,
        1
    );
    assert_eq!(webhook.metric("vertex_injector_review_duration_seconds_count").await, 1);
    assert_eq!(webhook.metric(r#"vertex_injector_policies{state="ready"}"#).await, 1);
}

#[tokio::test]
async fn a_review_of_a_policy_is_answered_on_the_same_port_within_the_same_bounds() {
    let log = Log::start();
    let webhook = Running::start().await;
    let mut connection = webhook.client().connect().await.unwrap();
    let mut review = policy_review();
    let answer = connection.send_to("/validate", review.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let response: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(response["response"]["allowed"], false, "{response}");
    let message = response["response"]["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("spec.env[0].name: \"ANTHROPIC_BASE_URL\" may not be set by a policy"),
        "{message}"
    );
    assert!(
        message.contains("; spec.env[1].value: \"MY_TOKEN\" looks like a secret"),
        "{message}"
    );

    review["request"]["object"]["spec"] = json!({});
    let answer = connection.send_to("/validate", review.to_string()).await;
    assert!(answer.body.contains("\"allowed\":true"), "{}", answer.body);

    let events = log.events("answered a review of a policy");
    assert_eq!(events.len(), 2);
    assert_eq!(
        (
            &events[0]["namespace"],
            &events[0]["policy"],
            &events[0]["outcome"],
            &events[0]["errors"]
        ),
        (&json!("team"), &json!("agents"), &json!("refused"), &json!(2)),
    );
    assert!(!log.text().contains("s3cr3t"), "{}", log.text());
    for outcome in ["accepted", "refused"] {
        let metric = format!("vertex_injector_policy_reviews_total{{outcome=\"{outcome}\"}}");
        assert_eq!(webhook.metric(&metric).await, 1);
    }
    let answer = connection.send_to("/validate", vec![b' '; (8 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// The review of a policy with two mistakes.
fn policy_review() -> serde_json::Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "vertex-injector.dev", "version": "v1alpha1", "kind": "InjectionPolicy"},
            "operation": "UPDATE",
            "name": "agents",
            "namespace": "team",
            "object": {
                "apiVersion": "vertex-injector.dev/v1alpha1",
                "kind": "InjectionPolicy",
                "metadata": {"name": "agents", "namespace": "team"},
                "spec": {"env": [{"name": "ANTHROPIC_BASE_URL", "value": "x"}, {"name": "MY_TOKEN", "value": "s3cr3t"}]},
            },
        },
    })
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_gets_nothing() {
    let webhook = Running::start().await;
    let (other, _) = crate::server::certificate();
    let error = Client::new(webhook.addresses.https, &other)
        .handshake()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
