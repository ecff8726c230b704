//! A client like the API server's: TLS with one trusted authority, HTTP/1.1, connections that are kept.

use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who trusts one authority.
pub(crate) struct Client {
    address: SocketAddr,
    roots: RootCertStore,
    tls: ClientConfig,
}

/// An open connection.
pub(crate) struct Connection(SendRequest<Body>);

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Client {
    /// Trusts the certificate in `authority` (PEM) and nothing else.
    pub(crate) fn new(address: SocketAddr, authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Self { address, roots, tls }
    }

    /// Offers these protocols in the handshake.
    pub(crate) fn offering(mut self, protocols: &[&[u8]]) -> Self {
        self.tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    /// Shows this certificate.
    pub(crate) fn presenting(mut self, certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::clone(self.tls.crypto_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots.clone());
        self.tls = builder.with_client_auth_cert(vec![certificate], key).unwrap();
        self
    }

    pub(crate) async fn handshake(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.tls.clone()))
            .connect(name, stream)
            .await
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let (sender, connection) = handshake(TokioIo::new(self.handshake().await?))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    /// Asks for a review on a connection of its own.
    pub(crate) async fn review(&self, review: &Value) -> Answer {
        self.connect().await.unwrap().review(review).await
    }

    /// Whether the pod of [`agent_review`] is injected.
    pub(crate) async fn injects(&self) -> bool {
        self.connect().await.unwrap().injects().await
    }

    /// Sends a body as a review on a connection of its own.
    pub(crate) async fn send(&self, body: impl Into<Body>) -> Answer {
        self.connect().await.unwrap().send(body).await
    }
}

impl Connection {
    pub(crate) async fn review(&mut self, review: &Value) -> Answer {
        self.send(review.to_string()).await
    }

    pub(crate) async fn injects(&mut self) -> bool {
        self.review(&agent_review()).await.patch().contains("GREETING")
    }

    pub(crate) async fn send(&mut self, body: impl Into<Body>) -> Answer {
        self.send_to("/mutate", body).await
    }

    /// Sends a body as a review of pods or of policies.
    pub(crate) async fn send_to(&mut self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{path}?timeout=5s"));
        let request = request
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        self.request(request.body(body.into()).unwrap()).await.unwrap()
    }

    pub(crate) async fn request(&mut self, request: Request<Body>) -> hyper::Result<Answer> {
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        let body = to_bytes(Body::new(body), 1 << 20).await.unwrap();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        })
    }

    /// Whether the server has closed it.
    pub(crate) async fn closed(&mut self) -> bool {
        self.0.ready().await.is_err()
    }
}

impl Answer {
    /// The patch of a review that was allowed.
    pub(crate) fn patch(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let answer: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(answer["response"]["allowed"], true, "{}", self.body);
        let patch = BASE64_STANDARD
            .decode(answer["response"]["patch"].as_str().unwrap_or_default())
            .unwrap();
        String::from_utf8(patch).unwrap()
    }

    /// The sentence of an answer that is no review.
    pub(crate) fn error(&self) -> String {
        let answer: Value = serde_json::from_str(&self.body).unwrap();
        answer["error"].as_str().unwrap().to_owned()
    }
}

/// A GET of the plain HTTP port: status and text.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, "localhost")
        .body(Body::empty())
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = to_bytes(Body::new(body), 1 << 20).await.unwrap();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

/// The review of a pod that the policy of [`crate::server`] selects.
pub(crate) fn agent_review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "team",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "agent-1", "labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "agent", "image": "agent", "env": [{"name": "SECRET", "value": "s3cr3t"}]}]},
            },
        },
    })
}
