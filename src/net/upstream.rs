//! Calls to Google's token services: bounded in time and size, no redirects, plain HTTP only on loopback.

use super::egress::{Egress, Route};
use super::gather::Gathering;
use crate::secret::Secret;
use crate::trust::Trust;
use aws_lc_rs::rand;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Uri, Version, request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;
use tower::Service;
use vertex_injector_core::endpoint::Endpoint;
use zeroize::Zeroizing;

/// What one call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of an answer.
    pub answer: usize,
    /// Longest time, connection and answer together.
    pub deadline: Duration,
}

/// What a call to Google's token services may take.
const GOOGLE: Limits = Limits {
    answer: 256 * 1024,
    deadline: Duration::from_secs(15),
};

/// Longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection is kept for the next call of the same exchange.
const IDLE: Duration = Duration::from_secs(30);

/// The transport to Google: TLS with the system's certificates and those that `egress` adds, on the way that it gives.
///
/// # Errors
/// When there are no trusted certificates at all.
pub fn google(egress: &Egress) -> std::io::Result<Patient<Gathering<HttpsConnector<Route>>>> {
    let mut http = connector();
    http.enforce_http(false);
    Ok(Patient(Gathering(
        HttpsConnectorBuilder::new()
            .with_tls_config(Trust::of(egress.ca_files())?.config()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(egress.route(http)),
    )))
}

/// The transport to hosts of others, for bodies of any size: as [`google`], but HTTP/1.1 over TLS only, where a connection buffers
/// little and carries one exchange at a time.
///
/// # Errors
/// As [`google`].
pub fn https1(egress: &Egress) -> std::io::Result<Patient<HttpsConnector<Route>>> {
    let mut http = connector();
    http.enforce_http(false);
    Ok(Patient(
        HttpsConnectorBuilder::new()
            .with_tls_config(Trust::of(egress.ca_files())?.config()?)
            .https_only()
            .enable_http1()
            .wrap_connector(egress.route(http)),
    ))
}

/// A transport whose connections are made within 5 seconds, handshakes and names included, or not at all.
#[derive(Debug, Clone)]
pub struct Patient<T>(T);

impl<T> Service<Uri> for Patient<T>
where
    T: Service<Uri>,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::Future: Send + 'static,
{
    type Response = T::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<T::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = timeout(CONNECT, self.0.call(to));
        Box::pin(async move { connecting.await?.map_err(Into::into) })
    }
}

/// The transport for plain http alone, which needs no certificates.
pub fn plain() -> Patient<HttpConnector> {
    Patient(connector())
}

fn connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http
}

type Sent = BoxFuture<'static, Result<Response<Incoming>, Error>>;

/// The client for token services.
#[derive(Clone)]
pub struct Upstream {
    limits: Limits,
    send: Arc<dyn Fn(Request<Full<Bytes>>) -> Sent + Send + Sync>,
}

/// An answer, whole.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// Whether it said where it ends. If not, nobody can tell a part from the whole.
    pub has_end: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No connection.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// The answer ended before its end.
    #[error("the answer of {0} broke off")]
    BrokenOff(String),
    /// It took too long.
    #[error("{0} did not answer within {seconds} s", seconds = .1.as_secs())]
    Slow(String, Duration),
    /// The answer was longer than anything sensible.
    #[error("{0} answered with more than {1} bytes")]
    TooLong(String, usize),
    /// The bearer token cannot be sent.
    #[error("the token for {0} has characters that no header can carry")]
    Unsendable(String),
}

impl Upstream {
    /// A client over `transport`, [`google`] in earnest.
    pub fn new(transport: impl Connect + Clone + Send + Sync + 'static) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(transport);
        Self {
            limits: GOOGLE,
            send: Arc::new(move |request| Box::pin(client.request(request))),
        }
    }

    /// The same client with other limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Posts a form.
    ///
    /// # Errors
    /// When there is no whole answer in time; any status is an answer.
    pub async fn post_form(&self, to: &Endpoint, fields: &[(&str, &str)]) -> Result<Answer, Unanswered> {
        let body = Zeroizing::new(form(fields));
        let request = Request::builder()
            .method(Method::POST)
            .uri(to.uri().clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(to, request, Bytes::copy_from_slice(body.as_bytes())).await
    }

    /// Posts JSON with a bearer token.
    ///
    /// # Errors
    /// As [`Self::post_form`].
    pub async fn post_json(
        &self,
        to: &Endpoint,
        bearer: &Secret,
        body: &serde_json::Value,
    ) -> Result<Answer, Unanswered> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(to.uri().clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(value) = authorization(bearer) {
            request = request.header(AUTHORIZATION, value);
        }
        self.send(to, request, Bytes::from(body.to_string())).await
    }

    /// Gets a URL with a bearer token.
    ///
    /// # Errors
    /// As [`Self::post_form`], and when the token is no header's text: nothing is sent then.
    pub async fn get(&self, url: &Endpoint, bearer: &Secret) -> Result<Answer, Unanswered> {
        let value = authorization(bearer).ok_or_else(|| Unanswered::Unsendable(url.host().to_string()))?;
        let request = Request::builder().uri(url.uri().clone()).header(AUTHORIZATION, value);
        self.send(url, request, Bytes::new()).await
    }

    /// Gets a URL with headers of somebody's choice, which are kept out of logs.
    ///
    /// # Errors
    /// As [`Self::post_form`], and when a value is no header's text: nothing is sent then.
    pub async fn get_with(&self, url: &Endpoint, headers: &[(HeaderName, Secret)]) -> Result<Answer, Unanswered> {
        let mut request = Request::builder().uri(url.uri().clone());
        for (name, value) in headers {
            let unsendable = |_| Unanswered::Unsendable(url.host().to_string());
            let mut value = HeaderValue::from_str(value.expose()).map_err(unsendable)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        self.send(url, request, Bytes::new()).await
    }

    /// Gets `path`, which begins with a slash, below a metadata server.
    ///
    /// # Errors
    /// As [`Self::post_form`].
    pub async fn get_metadata(&self, below: &Endpoint, path: &str) -> Result<Answer, Unanswered> {
        let request = Request::builder()
            .uri(format!("{below}{path}"))
            .header("metadata-flavor", "Google");
        self.send(below, request, Bytes::new()).await
    }

    async fn send(&self, to: &Endpoint, request: request::Builder, body: Bytes) -> Result<Answer, Unanswered> {
        let host = || to.host().to_string();
        let says_what = request
            .headers_ref()
            .is_some_and(|headers| headers.contains_key(ACCEPT));
        let request = if says_what {
            request
        } else {
            request.header(ACCEPT, "application/json")
        };
        let request = request
            .body(Full::new(body))
            .map_err(|_| Unanswered::Unreachable(host()))?;
        let exchange = async {
            let response = (self.send)(request).await.map_err(|error| {
                if error.is_connect() {
                    Unanswered::Unreachable(host())
                } else {
                    Unanswered::BrokenOff(host())
                }
            })?;
            let (status, headers) = (response.status(), response.headers());
            let has_end = response.version() > Version::HTTP_11
                || headers.contains_key(CONTENT_LENGTH)
                || headers.contains_key(TRANSFER_ENCODING);
            let body = Limited::new(response.into_body(), self.limits.answer)
                .collect()
                .await
                .map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        Unanswered::TooLong(host(), self.limits.answer)
                    } else {
                        Unanswered::BrokenOff(host())
                    }
                })?;
            Ok(Answer {
                status,
                body: body.to_bytes(),
                has_end,
            })
        };
        let deadline = self.limits.deadline;
        timeout(deadline, exchange)
            .await
            .map_err(|_| Unanswered::Slow(host(), deadline))?
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

/// The header of a bearer token, kept out of logs. `None` when the token is no header's text.
pub fn authorization(bearer: &Secret) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {}", bearer.expose()));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A number from 0 to 1, by which pauses between calls differ; 1 when there is no randomness.
pub fn jitter() -> f64 {
    let mut byte = [u8::MAX];
    let _ = rand::fill(&mut byte);
    f64::from(byte[0]) / f64::from(u8::MAX)
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}
