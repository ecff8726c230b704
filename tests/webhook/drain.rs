//! The end of a replica loses no review.

use crate::client::{agent_review, get};
use crate::server::{Files, Running, eventually};
use hyper::{StatusCode, header};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_replica_that_leaves_says_so_and_still_serves() {
    let mut webhook = Running::with(Files::new(), &["--drain-seconds=2"]).await;
    assert_eq!(webhook.readyz().await, (StatusCode::OK, "ready\n".to_owned()));
    let mut open = webhook.client().connect().await.unwrap();
    assert!(
        open.review(&agent_review())
            .await
            .headers
            .get(header::CONNECTION)
            .is_none()
    );
    webhook.stop();
    eventually("not ready", async || {
        webhook.readyz().await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert!(webhook.readyz().await.1.contains("server: draining"));
    assert_eq!(get(webhook.addresses.admin, "/livez").await.0, StatusCode::OK);
    // On the connection that was open before, and on a new one; both are asked to go elsewhere.
    for mut connection in [open, webhook.client().connect().await.unwrap()] {
        let answer = connection.review(&agent_review()).await;
        assert!(answer.patch().contains("GREETING"));
        assert_eq!(answer.headers[header::CONNECTION], "close");
        assert!(connection.closed().await);
    }
    webhook.ended().await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_then_no_connection_is_taken() {
    let mut webhook = Running::start().await;
    let mut stream = webhook.client().handshake().await.unwrap();
    let mut idle = webhook.client().connect().await.unwrap();
    idle.review(&agent_review()).await;
    let body = agent_review().to_string();
    let (first, second) = body.split_at(20);
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n{first}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server must have seen the head before it is asked to stop.
    tokio::time::sleep(Duration::from_millis(200)).await;
    webhook.stop();
    let address = webhook.addresses.https;
    eventually("refused", async || TcpStream::connect(address).await.is_err()).await;
    assert!(idle.closed().await, "the idle connection is still open");
    stream.write_all(second.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A TLS end without a goodbye would be an error here.
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    webhook.ended().await;
}

#[tokio::test]
async fn a_request_that_never_finishes_does_not_keep_the_server() {
    let mut webhook = Running::start().await;
    let mut stream = webhook.client().handshake().await.unwrap();
    stream.write_all(b"POST /mutate HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    webhook.stop();
    webhook.ended().await;
}
