//! Certificate files that change while the server runs.

use crate::client::Client;
use crate::log::Log;
use crate::server::{Running, certificate, eventually};

#[tokio::test]
async fn a_swapped_certificate_is_served_without_a_restart() {
    let webhook = Running::start().await;
    let mut before = webhook.client().connect().await.unwrap();
    let expiry = webhook
        .metric("vertex_injector_certificate_expiry_timestamp_seconds")
        .await;
    assert!(expiry > 4_000_000_000, "{expiry}");
    let (certificate, key) = certificate();
    webhook.files.write("tls.crt", &certificate);
    webhook.files.write("tls.key", &key.serialize_pem());
    let client = Client::new(webhook.addresses.https, &certificate);
    eventually("the new certificate", async || client.handshake().await.is_ok()).await;
    assert!(client.injects().await);
    // Who was connected stays so.
    assert!(before.injects().await);
}

#[tokio::test]
async fn a_broken_pair_leaves_the_earlier_certificate_and_is_reported() {
    let log = Log::start();
    let webhook = Running::start().await;
    let (certificate, _) = certificate();
    webhook.files.write("tls.crt", &certificate);
    let failures = "vertex_injector_certificate_reload_failures_total";
    eventually("a failure", async || webhook.metric(failures).await == 1).await;
    assert!(webhook.client().injects().await);
    let sentence = "the changed TLS files cannot be used; still serving the earlier certificate";
    let events = log.events(sentence);
    let error = events[0]["error"].as_str().unwrap();
    assert!(error.contains("tls.key does not belong to"), "{error}");
    assert!(error.contains("tls.crt"), "{error}");
    // Said once, however often the files are looked at.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(webhook.metric(failures).await, 1);
    assert_eq!(log.events(sentence).len(), 1);
}
