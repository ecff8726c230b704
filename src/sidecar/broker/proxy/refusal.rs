//! Answers of the proxy's own, in the shape of Google's errors (AIP-193, over HTTP), which every client shows, or in that of the
//! provider where clients know what to do about it.

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER, SERVER};
use http::{HeaderValue, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelValue;
use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::Feature;

/// `Server` of the proxy's own answers, by which the probe knows it.
pub const SERVER_NAME: &str = "vertex-injector";

/// Why the proxy did not let a request through, or had nothing to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Reason {
    /// The target is no model call.
    Target,
    /// The policy does not allow calls of this kind.
    Call,
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
    /// The body has a member or a type that nobody has judged.
    UnknownField,
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
    /// As whose answer it comes.
    pub form: Form,
}

/// The shape of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Google's, with our name before the message.
    Ours,
    /// That of Google's API when it does not know a member.
    GoogleField {
        /// Where the member stands, if not at the top.
        place: Option<String>,
        /// What Google says of it.
        words: String,
    },
    /// That of Anthropic's API.
    Anthropic,
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
            form: Form::Ours,
        }
    }

    /// The body is not as the API has it.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Reason::Json, StatusCode::BAD_REQUEST, message)
    }

    /// An object has a key twice, but for spelling.
    pub fn same_key(place: &str) -> Self {
        Self::malformed(format!(
            "the body has an object with the same key in two spellings, at {place}"
        ))
    }

    /// A member that names a model has no name.
    pub fn nameless_model() -> Self {
        Self::denied(Reason::Model, "a model's name has to be a string")
    }

    /// The body has something that nobody has judged; the message begins as the provider's would.
    pub fn unknown(message: String, form: Form) -> Self {
        Self {
            form,
            ..Self::new(Reason::UnknownField, StatusCode::BAD_REQUEST, message)
        }
    }

    /// Something that passes.
    pub fn later(reason: Reason, message: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(reason, StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// The same for a client that takes every 403 for trouble with its credentials, and says so instead of what is said here.
    /// Google itself answers 400 to what is not as it has to be before.
    #[must_use]
    pub fn without_forbidden(mut self) -> Self {
        if self.status == StatusCode::FORBIDDEN && self.reason != Reason::TokenRefused {
            self.status = StatusCode::BAD_REQUEST;
        }
        self
    }

    /// Whether the request was at fault, not what is behind us.
    pub fn is_denial(&self) -> bool {
        !self.status.is_server_error() && self.reason != Reason::TokenRefused
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body().to_string()));
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

    /// The name of `google.rpc.Code` for the status.
    fn status_name(&self) -> &'static str {
        match self.status {
            StatusCode::FORBIDDEN => "PERMISSION_DENIED",
            StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => "DEADLINE_EXCEEDED",
            StatusCode::EXPECTATION_FAILED => "FAILED_PRECONDITION",
            StatusCode::BAD_REQUEST if !matches!(self.reason, Reason::Json | Reason::UnknownField) => {
                "FAILED_PRECONDITION"
            }
            status if status.is_server_error() => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        }
    }

    fn body(&self) -> Value {
        let (code, status) = (self.status.as_u16(), self.status_name());
        match &self.form {
            Form::Ours => {
                let message = format!("vertex-injector: {}", self.message);
                json!({"error": {"code": code, "message": message, "status": status}})
            }
            Form::GoogleField { place, words } => {
                let mut violation = json!({"description": words});
                if let (Some(place), Some(violation)) = (place, violation.as_object_mut()) {
                    violation.insert("field".to_owned(), json!(place));
                }
                let details =
                    json!([{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]);
                json!({"error": {"code": code, "message": self.message, "status": status, "details": details}})
            }
            Form::Anthropic => {
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": self.message}})
            }
        }
    }
}
