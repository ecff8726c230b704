//! The endpoints of the secret-free `external_account` file that clients get which demand a file (RFC 8693, AIP-4117).
//!
//! Its subject token is a number that this process made up, so that only who asked here can exchange it here. What it is
//! exchanged for is what the metadata server hands out: in mode proxy a placeholder.

use super::metadata::{Metadata, own_host};
use aws_lc_rs::rand;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use vertex_injector_core::names::{LOOPBACK_EXCHANGE, LOOPBACK_ROOT, LOOPBACK_SUBJECT};

/// Most bytes of an exchange's form; clients send about 400.
const MAX_FORM: usize = 16 * 1024;

/// Longest that a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the metadata server has the token.
const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// What the metadata server answers without asking anybody, to those whom it answers at all.
const GUARDED: &str = "/computeMetadata/v1/project/project-id";

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The metadata server with these endpoints beside it.
#[derive(Debug)]
pub struct Loopback {
    metadata: Arc<Metadata>,
    subject: String,
}

impl Loopback {
    /// Takes the metadata server over.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(metadata: Arc<Metadata>) -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
        let mut subject = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(subject, "{byte:02x}")?;
        }
        Ok(Self { metadata, subject })
    }

    /// Answers one request, of these endpoints or of the metadata server.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path().strip_prefix(LOOPBACK_ROOT) {
            Some(LOOPBACK_SUBJECT) => self.subject(request.into_parts().0).await,
            Some(LOOPBACK_EXCHANGE) => self.exchange(request).await,
            _ => self.metadata.answer(&request.into_parts().0).await,
        }
    }

    /// The subject token, for who may ask the metadata server for something.
    async fn subject(&self, mut request: Parts) -> Response<Body> {
        request.uri = Uri::from_static(GUARDED);
        let permitted = self.metadata.answer(&request).await;
        if permitted.status() != StatusCode::OK {
            return permitted;
        }
        respond(StatusCode::OK, "application/text", self.subject.clone())
    }

    async fn exchange(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return error(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "only POST is answered",
            );
        }
        // Clients cannot send Metadata-Flavor here. A browser names the page's origin in every POST.
        let forwarded = ["x-forwarded-for", "forwarded"]
            .iter()
            .any(|name| head.headers.contains_key(*name));
        if forwarded || head.headers.contains_key(ORIGIN) || !own_host(&head) {
            return error(
                StatusCode::FORBIDDEN,
                "access_denied",
                "only programs of this pod are answered, by 127.0.0.1 or localhost",
            );
        }
        let form = match timeout(PATIENCE, Limited::new(body, MAX_FORM).collect()).await {
            Ok(Ok(form)) => form.to_bytes(),
            _ => {
                return error(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    "the form is too long or broken off",
                );
            }
        };
        let (mut grant, mut subject) = (None, None);
        for (name, value) in form_urlencoded::parse(&form) {
            match &*name {
                "grant_type" => grant = Some(value),
                "subject_token" => subject = Some(value),
                _ => {}
            }
        }
        if grant.as_deref() != Some(EXCHANGE) {
            return error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "grant_type must be that of a token exchange",
            );
        }
        if subject.as_deref() != Some(&self.subject) {
            return error(
                StatusCode::BAD_REQUEST,
                "invalid_grant",
                "the subject token is not of this broker; ask for it again",
            );
        }
        self.token().await
    }

    /// The metadata server's token in the form of an exchange.
    async fn token(&self) -> Response<Body> {
        let request = Request::builder()
            .uri(TOKEN)
            .header(HOST, "127.0.0.1")
            .header("metadata-flavor", "Google")
            .body(());
        let Ok(request) = request else {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no request");
        };
        let (head, body) = self.metadata.answer(&request.into_parts().0).await.into_parts();
        let body = Limited::new(body, MAX_FORM).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if head.status != StatusCode::OK {
            let code = if head.status == StatusCode::FORBIDDEN {
                "access_denied"
            } else {
                "temporarily_unavailable"
            };
            let mut response = error(head.status, code, &String::from_utf8_lossy(&body));
            if let Some(seconds) = head.headers.get(RETRY_AFTER) {
                response.headers_mut().insert(RETRY_AFTER, seconds.clone());
            }
            return response;
        }
        let Ok(mut token) = serde_json::from_slice::<Map<String, Value>>(&body) else {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no token");
        };
        token.insert("issued_token_type".to_owned(), ACCESS_TOKEN.into());
        respond(StatusCode::OK, "application/json", Value::Object(token).to_string())
    }
}

/// An error as RFC 6749 section 5.2 has it.
fn error(status: StatusCode, code: &str, description: &str) -> Response<Body> {
    let body = json!({"error": code, "error_description": description});
    respond(status, "application/json", body.to_string())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
