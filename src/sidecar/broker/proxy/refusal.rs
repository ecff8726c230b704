//! Answers of the proxy's own, in the shape of Google's errors (AIP-193, over HTTP), which every client shows.

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER, SERVER};
use http::{HeaderValue, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelValue;
use serde_json::json;
use vertex_injector_core::contract::proxy::Feature;

/// `Server` of the proxy's own answers, by which the probe knows it.
pub const SERVER_NAME: &str = "vertex-injector";

/// Why the proxy did not let a request through, or had nothing to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Reason {
    /// The target is no model call.
    Target,
    /// Another method than POST.
    Method,
    /// A header or parameter would change the method.
    MethodOverride,
    /// The host is not the proxy's.
    Host,
    /// A browser's page asks.
    Origin,
    /// Another protocol is asked for.
    Upgrade,
    /// `Expect`.
    Expect,
    /// A length and chunks at once.
    Framing,
    /// The publisher is not allowed.
    Publisher,
    /// The project is another.
    Project,
    /// The region is not allowed.
    Region,
    /// The model is not allowed.
    Model,
    /// The body is not said to be JSON in UTF-8, or it is encoded.
    MediaType,
    /// The body is longer than any that is read.
    TooLarge,
    /// The body did not come in time, or broke off.
    Incomplete,
    /// The body is not strict JSON.
    Json,
    /// The body asks for something that the policy does not allow.
    Feature,
    /// Too many bodies at a time.
    Busy,
    /// No token at the moment.
    NoToken,
    /// Google refuses to give a token.
    TokenRefused,
    /// Google refuses the token.
    TokenRejected,
    /// Vertex AI cannot be reached.
    Unreachable,
    /// Vertex AI's answer broke off before its head was whole.
    BrokenOff,
    /// Vertex AI did not answer in time.
    Silent,
    /// Vertex AI answered with what is not passed on, such as a redirect.
    Unexpected,
}

/// An answer of the proxy's own.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What was asked for, when [`Reason::Feature`].
    pub feature: Option<Feature>,
    /// The status.
    pub status: StatusCode,
    /// For the person behind the agent: what is wrong, and what would be right.
    pub message: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// The request is not allowed: clients show the message and do not try again.
    pub fn denied(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(reason, StatusCode::FORBIDDEN, message)
    }

    /// Any other refusal.
    pub fn new(reason: Reason, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            reason,
            feature: None,
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Something that passes.
    pub fn later(reason: Reason, message: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(reason, StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// Whether the request was at fault, not what is behind us.
    pub fn is_denial(&self) -> bool {
        !self.status.is_server_error() && self.reason != Reason::TokenRefused
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        let body = json!({"error": {
            "code": self.status.as_u16(),
            "message": format!("vertex-injector: {}", self.message),
            "status": status_name(self.status),
        }});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=UTF-8"),
        );
        headers.insert(SERVER, HeaderValue::from_static(SERVER_NAME));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The names of `google.rpc.Code` for what we answer.
fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => "DEADLINE_EXCEEDED",
        StatusCode::EXPECTATION_FAILED => "FAILED_PRECONDITION",
        status if status.is_server_error() => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
