//! Calls, direct or proxied, and what they take.

use super::processes::{Broker, Fake, Relay};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What an agent with some tools and some history sends: 20 KB.
fn body() -> Bytes {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let tool = |i: usize| {
        serde_json::json!({
            "name": format!("tool_{i}"),
            "description": "Does something with a path and a number",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}, "number": {"type": "integer"}}, "required": ["path"]},
        })
    };
    let message = |i: usize| match i % 2 {
        0 => serde_json::json!({"role": "user", "content": [{"type": "text", "text": text}]}),
        _ => {
            serde_json::json!({"role": "assistant", "content": [{"type": "text", "text": text}, {"type": "tool_use", "id": "t", "name": "tool_1", "input": {"path": "/a", "number": 1}}]})
        }
    };
    let body = serde_json::json!({
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 1024,
        "stream": true,
        "tools": (0..15).map(tool).collect::<Vec<_>>(),
        "messages": (0..17).map(message).collect::<Vec<_>>(),
    });
    Bytes::from(body.to_string())
}

/// One way to the model. Connections hold 100 streams, so there are some of them, as an agent has.
#[derive(Clone)]
pub(crate) struct Side {
    clients: Vec<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
    uri: Uri,
    body: Bytes,
}

impl Side {
    /// Straight to the fake, over TLS.
    pub(crate) fn direct(fake: &Fake) -> Self {
        Self::tls(fake, fake.address)
    }

    /// To the fake through what only copies bytes.
    pub(crate) fn relayed(fake: &Fake, relay: &Relay) -> Self {
        Self::tls(fake, relay.address)
    }

    fn tls(fake: &Fake, address: SocketAddr) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(fake.directory.join("ca.crt")).expect("the fake's authority");
        roots.add(authority).expect("a certificate");
        Self::new(roots, &format!("https://localhost:{}", address.port()))
    }

    /// Through what speaks plain HTTP/1.1 on loopback.
    pub(crate) fn forwarded(address: SocketAddr) -> Self {
        Self::new(rustls::RootCertStore::empty(), &format!("http://{address}"))
    }

    /// Through the broker, which speaks plain HTTP/1.1 on loopback.
    pub(crate) fn proxied(broker: &Broker) -> Self {
        Self::forwarded(broker.proxy)
    }

    fn new(roots: rustls::RootCertStore, base: &str) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = |tls: rustls::ClientConfig| {
            let mut http = HttpConnector::new();
            http.enforce_http(false);
            http.set_nodelay(true);
            let transport = HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(http);
            Client::builder(TokioExecutor::new()).build(transport)
        };
        let path = "/v1/projects/benchmark/locations/us-east5/publishers/anthropic/models/claude-x:streamRawPredict";
        Self {
            clients: (0..11).map(|_| client(tls.clone())).collect(),
            uri: format!("{base}{path}").parse().expect("a URL"),
            body: body(),
        }
    }

    /// One call on the connection of this number: when the first piece came, and how many bytes there were.
    async fn call(&self, number: usize) -> (Duration, u64) {
        let request = Request::post(self.uri.clone())
            .header("content-type", "application/json")
            .header("authorization", "Bearer benchmark")
            .body(Full::new(self.body.clone()))
            .expect("a request");
        let began = Instant::now();
        let client = &self.clients[number % self.clients.len()];
        let mut answer = client.request(request).await.expect("an answer");
        if answer.status() != 200 {
            let status = answer.status();
            let text = answer.collect().await.expect("a whole answer").to_bytes();
            panic!("{status}: {}", String::from_utf8_lossy(&text));
        }
        let (mut first, mut bytes) = (None, 0);
        while let Some(frame) = answer.frame().await {
            let frame = frame.expect("a whole answer");
            first.get_or_insert_with(|| began.elapsed());
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        (first.expect("a body"), bytes)
    }
}

/// Times until the first piece on each side, sorted: one call on each, and again.
pub(crate) async fn first_bytes<const N: usize>(sides: [&Side; N], calls: usize) -> [Vec<Duration>; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..calls {
        for (side, times) in sides.iter().zip(&mut times) {
            times.push(side.call(0).await.0);
        }
    }
    for times in &mut times {
        times.sort_unstable();
    }
    times
}

/// Bytes per second that so many clients get, each with one call after the other.
pub(crate) async fn throughput(side: &Side, clients: usize, time: Duration) -> f64 {
    let total = Arc::new(AtomicU64::new(0));
    let (began, mut running) = (Instant::now(), JoinSet::new());
    for number in 0..clients {
        let (side, total) = (side.clone(), Arc::clone(&total));
        running.spawn(async move {
            while began.elapsed() < time {
                total.fetch_add(side.call(number).await.1, Ordering::Relaxed);
            }
        });
    }
    running.join_all().await;
    total.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// How long so many streams take that begin at once.
pub(crate) async fn storm(side: &Side, streams: usize) -> Duration {
    let (began, mut running) = (Instant::now(), JoinSet::new());
    for number in 0..streams {
        let side = side.clone();
        running.spawn(async move { side.call(number).await });
    }
    running.join_all().await;
    began.elapsed()
}

/// The middle of sorted times.
pub(crate) fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}

/// The time that so many of a hundred stay below, of sorted times.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
