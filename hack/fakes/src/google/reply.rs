//! How Google answers, and how it says no: OAuth's shape at the token services, its API shape elsewhere, and Anthropic's for
//! what Anthropic's own servers refuse.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::journal::shown;

/// An answer to a request that was accepted.
#[derive(Debug)]
pub(crate) enum Answer {
    /// JSON, whole.
    Json(Value),
    /// Server-sent events.
    Events {
        /// The media type, which differs between publishers.
        content_type: &'static str,
        /// The events, as they come.
        body: Body,
    },
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(value) => axum::Json(value).into_response(),
            Self::Events { content_type, body } => ([(CONTENT_TYPE, content_type)], body).into_response(),
        }
    }
}

/// A refusal with everything that the client is told. Never holds a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `{"error": CODE, "error_description": TEXT}` (RFC 6749, section 5.2).
    OAuth {
        /// The HTTP status: 401 for an unknown client, 400 otherwise.
        http: StatusCode,
        /// `invalid_grant` and its like.
        code: &'static str,
        /// What is wrong.
        description: String,
    },
    /// `{"error": {"code", "message", "status"}}`.
    Api {
        /// The HTTP status.
        http: StatusCode,
        /// `PERMISSION_DENIED` and its like.
        status: &'static str,
        /// What is wrong.
        message: String,
    },
    /// `{"type": "error", "error": {"type", "message"}}`.
    Anthropic {
        /// The HTTP status.
        http: StatusCode,
        /// `invalid_request_error` and its like.
        kind: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl Refusal {
    /// The subject token is not acceptable.
    pub(crate) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::oauth(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// The request is not well formed.
    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::oauth(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The client's own credentials are missing or unknown.
    pub(crate) fn invalid_client(description: impl Into<String>) -> Self {
        Self::oauth(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    /// Any other OAuth error.
    pub(crate) fn oauth(http: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        Self::OAuth {
            http,
            code,
            description: description.into(),
        }
    }

    /// The request to an API is not well formed.
    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::Api {
            http: StatusCode::BAD_REQUEST,
            status: "INVALID_ARGUMENT",
            message: message.into(),
        }
    }

    /// No usable token came with the request.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::Api {
            http: StatusCode::UNAUTHORIZED,
            status: "UNAUTHENTICATED",
            message: message.into(),
        }
    }

    /// The token's owner may not do this.
    pub(crate) fn permission_denied(message: impl Into<String>) -> Self {
        Self::Api {
            http: StatusCode::FORBIDDEN,
            status: "PERMISSION_DENIED",
            message: message.into(),
        }
    }

    /// No model has this resource name.
    pub(crate) fn model_not_found(resource: &str) -> Self {
        Self::Api {
            http: StatusCode::NOT_FOUND,
            status: "NOT_FOUND",
            message: format!(
                "Publisher Model `{}` was not found or your project does not have access to it. Please ensure you are using a valid model version.",
                shown(resource)
            ),
        }
    }

    /// Anthropic's own servers refuse the body.
    pub(crate) fn anthropic(http: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self::Anthropic {
            http,
            kind,
            message: message.into(),
        }
    }

    /// Nothing is played at this host, method and path.
    pub(crate) fn not_found() -> Self {
        Self::Api {
            http: StatusCode::NOT_FOUND,
            status: "NOT_FOUND",
            message: "Method not found.".to_owned(),
        }
    }

    /// The status of the response.
    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            Self::OAuth { http, .. } | Self::Api { http, .. } | Self::Anthropic { http, .. } => *http,
        }
    }

    /// The error's code, for the journal.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::OAuth { code, .. } => code,
            Self::Api { status, .. } => status,
            Self::Anthropic { kind, .. } => kind,
        }
    }

    /// The error's text, for the journal.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::OAuth { description, .. } => description,
            Self::Api { message, .. } | Self::Anthropic { message, .. } => message,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = match &self {
            Self::OAuth { code, description, .. } => json!({"error": code, "error_description": description}),
            Self::Api { http, status, message } => {
                json!({"error": {"code": http.as_u16(), "message": message, "status": status}})
            }
            Self::Anthropic { kind, message, .. } => {
                json!({"type": "error", "error": {"type": kind, "message": message}})
            }
        };
        (self.http_status(), axum::Json(body)).into_response()
    }
}
