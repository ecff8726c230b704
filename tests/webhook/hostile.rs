//! Who reaches the port: callers without a certificate, large reviews, and bodies that do not come.

use crate::client::agent_review;
use crate::server::{Files, Running};
use hyper::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn with_a_client_ca_only_its_clients_are_answered() {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    let files = Files::new();
    files.write("clients.crt", &certificate.pem());
    let path = files.path("clients.crt").display().to_string();
    let webhook = Running::with(files, &["--client-ca-file", &path]).await;

    let stranger = webhook.client().connect().await;
    let refused = match stranger {
        Err(_) => true,
        // In TLS 1.3 the refusal comes with the first answer.
        Ok(mut connection) => {
            let request = hyper::Request::post("/mutate").header("host", "x");
            connection
                .request(request.body(axum::body::Body::empty()).unwrap())
                .await
                .is_err()
        }
    };
    assert!(refused, "a client without a certificate");

    let client_key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, key);
    let signed = { CertificateParams::new(vec!["apiserver".to_owned()]).unwrap() }
        .signed_by(&client_key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::try_from(client_key.serialize_der()).unwrap();
    let api_server = webhook.client().presenting(signed.der().clone(), key);
    assert!(api_server.injects().await);
}

#[tokio::test]
async fn a_file_that_names_no_client_ca_is_refused_at_the_start() {
    let files = Files::new();
    files.write("clients.crt", "none");
    let path = files.path("clients.crt").display().to_string();
    let problem = files.refused(&["--client-ca-file", &path]).await;
    assert!(
        problem.contains("--client-ca-file") && problem.contains("BEGIN CERTIFICATE"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_large_review_is_answered_and_large_ones_keep_no_small_one_waiting() {
    let webhook = Running::start().await;
    let mut large = agent_review();
    large["request"]["object"]["spec"]["containers"][0]["env"][0]["value"] = json!("x".repeat(3 << 20));
    let client = webhook.client();
    let large = large.to_string();
    let many = futures::future::join_all((0..8).map(|_| client.send(large.clone())));
    let small = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let start = Instant::now();
            assert!(client.injects().await);
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(many, small);
    for answer in answers {
        assert!(answer.patch().contains("GREETING"));
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn large_bodies_that_do_not_come_give_way_to_one_that_does() {
    let webhook = Running::start().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = webhook.client().handshake().await.unwrap();
        let request =
            "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n{";
        stream.write_all(request.as_bytes()).await.unwrap();
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Small ones need no room.
    let start = Instant::now();
    assert!(webhook.client().injects().await);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_head_over_sixteen_kibibytes_is_refused() {
    let webhook = Running::start().await;
    let mut connection = webhook.client().connect().await.unwrap();
    let request = hyper::Request::post("/mutate")
        .header("host", "x")
        .header("x-filler", "x".repeat(20_000));
    let answer = connection
        .request(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert!(answer.is_err() || answer.unwrap().status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_policy_with_more_entries_than_any_is_refused() {
    let webhook = Running::start().await;
    let mut review = agent_review();
    review["request"]["kind"] =
        json!({"group": "vertex-injector.dev", "version": "v1alpha1", "kind": "InjectionPolicy"});
    review["request"]["object"] = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "agents"}, "spec": {"env": vec![json!({}); 50_000]},
    });
    let mut connection = webhook.client().connect().await.unwrap();
    let answer = connection.send_to("/validate", review.to_string()).await;
    assert!(
        answer.body.contains("entries together, and 50000 is the most"),
        "{:.300}",
        answer.body
    );
}
