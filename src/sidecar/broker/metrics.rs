//! What the broker counts, served on a port from which no token can be reached.
//!
//! Every label is an enum or a pattern from the flags, so no input can make the number of series grow.

pub mod calls;

use super::token::TokenError;
use axum::body::Body;
use calls::Calls;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::fmt;
use vertex_injector_net::metrics::counted;

/// All families of the broker.
#[derive(Debug)]
pub struct Counters {
    registry: Registry,
    /// What the proxy counts.
    pub calls: Calls,
    handouts: Family<HandoutLabels, Counter>,
    fetches: Family<FetchLabels, Counter>,
}

/// How the metadata server answered a request for an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Handout {
    /// With a token.
    Token,
    /// With what stands for a token, because the proxy adds it.
    Placeholder,
    /// With 403: Google refused for good.
    Refused,
    /// With 503: upstream is down.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandoutLabels {
    result: Handout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Fetch {
    Token,
    Refused,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    result: Fetch,
}

impl Counters {
    /// All families, empty.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("vertex_injector_broker");
        Self {
            handouts: counted(
                &mut registry,
                "token_requests",
                "Requests for an access token that the metadata server answered, by result",
            ),
            fetches: counted(
                &mut registry,
                "token_fetches",
                "Attempts to fetch an access token from Google",
            ),
            calls: Calls::new(&mut registry),
            registry,
        }
    }

    /// Counts an answer of the metadata server.
    pub fn handed_out(&self, result: Handout) {
        self.handouts.get_or_create(&HandoutLabels { result }).inc();
    }

    /// Counts an attempt to fetch a token.
    pub fn fetched<T>(&self, result: &Result<T, TokenError>) {
        let result = match result {
            Ok(_) => Fetch::Token,
            Err(error) if error.refused => Fetch::Refused,
            Err(_) => Fetch::Failed,
        };
        self.fetches.get_or_create(&FetchLabels { result }).inc();
    }

    /// The OpenMetrics text.
    ///
    /// # Errors
    /// When a family cannot be written, which is a bug.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    /// Answers a request of the metrics port: `/metrics` and `/livez`.
    pub fn answer(&self, request: &Parts) -> Response<Body> {
        match (&request.method, request.uri.path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => match self.encode() {
                Ok(text) => plain(StatusCode::OK, vertex_injector_net::metrics::OPENMETRICS, text),
                Err(_) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT,
                    "the metrics cannot be written\n".into(),
                ),
            },
            (&Method::GET | &Method::HEAD, "/livez") => plain(StatusCode::OK, TEXT, "ok\n".into()),
            _ => plain(
                StatusCode::NOT_FOUND,
                TEXT,
                "only GET /metrics and GET /livez are answered\n".into(),
            ),
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
