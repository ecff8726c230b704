//! A replica of the webhook, in watch mode with self-made certificates.

use crate::world::{SYSTEM, World, eventually};
use axum::body::{Body, to_bytes};
use clap::Parser;
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use vertex_injector_webhook::{Addresses, Args, Clock, Webhook};

/// Stopped when it is dropped.
pub(crate) struct Replica {
    pub addresses: Addresses,
    _stop: oneshot::Sender<()>,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: Args,
}

impl Replica {
    /// Starts it without waiting for anything.
    pub(crate) async fn start(world: &World) -> Self {
        Self::with(world.cluster.kubeconfig(), &[]).await
    }

    pub(crate) async fn with(kubeconfig: &Path, more: &[&str]) -> Self {
        let kubeconfig = kubeconfig.to_str().unwrap();
        Self::of(Flags::parse_from([&Self::flags(kubeconfig), more].concat()).args).await
    }

    fn flags(kubeconfig: &str) -> [&str; 9] {
        [
            "webhook",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--drain-seconds=0",
            "--tls-san=127.0.0.1",
            "--namespace",
            SYSTEM,
            "--kubeconfig",
            kubeconfig,
        ]
    }

    /// The same, by a clock of its own.
    pub(crate) async fn with_clock(world: &World, more: &[&str], clock: Clock) -> Self {
        let kubeconfig = world.cluster.kubeconfig().to_str().unwrap();
        let mut args = Flags::parse_from([&Self::flags(kubeconfig), more].concat()).args;
        args.clock = clock;
        Self::of(args).await
    }

    async fn of(args: Args) -> Self {
        let webhook = Webhook::bind(args).await.unwrap();
        let addresses = webhook.addresses();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(webhook.run(async {
            // Dropping the sender is how a test ends, too.
            let _ = stopped.await;
        }));
        Self { addresses, _stop: stop }
    }

    /// Starts it, points a webhook configuration at it, and waits until it is ready.
    pub(crate) async fn serving(world: &World, more: &[&str]) -> Self {
        let replica = Self::with(world.cluster.kubeconfig(), more).await;
        world.configure(&[replica.addresses.https]).await;
        replica.until_ready().await;
        replica
    }

    pub(crate) async fn until_ready(&self) {
        eventually("ready", async || self.readyz().await.0 == StatusCode::OK).await;
    }

    pub(crate) async fn readyz(&self) -> (StatusCode, String) {
        self.get("/readyz").await
    }

    /// The value of a metric, by its name and labels as they are written; 0 before it is first counted.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.addresses.admin).await.unwrap();
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        ask(stream, request).await
    }

    /// Whether a client that trusts `authority` accepts the certificate.
    pub(crate) async fn is_trusted_by(&self, authority: &str) -> bool {
        self.handshake(authority).await.is_ok()
    }

    /// Asks for the review of a pod, past the API server.
    pub(crate) async fn review(&self, authority: &str, pod: Value) -> Value {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": pod["metadata"]["namespace"],
                "object": pod,
            },
        });
        let request = Request::post("/mutate").header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(review.to_string())).unwrap();
        let (status, body) = ask(self.handshake(authority).await.unwrap(), request).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["response"].take()
    }

    /// The same, if the handshake succeeds.
    pub(crate) async fn try_review(&self, authority: &str, pod: Value) -> io::Result<()> {
        drop(self.handshake(authority).await?);
        let response = self.review(authority, pod).await;
        assert_eq!(response["allowed"], true, "{response}");
        Ok(())
    }

    async fn handshake(&self, authority: &str) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.addresses.https).await?;
        TlsConnector::from(Arc::new(tls))
            .connect(ServerName::try_from("127.0.0.1").unwrap(), stream)
            .await
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut request: Request<Body>,
) -> (StatusCode, String) {
    request.headers_mut().insert(header::HOST, "localhost".parse().unwrap());
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = to_bytes(Body::new(body), 1 << 20).await.unwrap();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}
