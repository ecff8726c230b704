//! A fake Google: one module for each service, told apart by the `Host` header as Google does.

pub mod jwks;

mod iam_credentials;
mod reply;
mod sts;
mod subject_token;
mod tokens;

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use self::jwks::KeySource;
use self::reply::Refusal;
use self::tokens::Tokens;
use crate::journal::{Journal, Outcome, Record, shown};

/// The largest request body, in bytes. Subject tokens are below 8 KiB.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom the fake trusts: what an administrator would have configured at Google.
#[derive(Debug)]
pub struct Trust {
    /// The provider's issuer.
    pub issuer: String,
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub provider: String,
    /// The provider's allowed audiences.
    pub allowed_audiences: Vec<String>,
    /// The accounts that the provider's identities may impersonate.
    pub service_accounts: Vec<String>,
    /// The longest lifetime of an impersonated token.
    pub max_lifetime_seconds: u32,
}

/// All services of one run, and what they share.
#[derive(Debug)]
pub struct Google {
    trust: Trust,
    keys: KeySource,
    tokens: Tokens,
    journal: Journal,
}

/// A request that was received whole.
#[derive(Debug)]
struct Received {
    parts: Parts,
    body: Bytes,
}

impl Google {
    /// Google as `trust` configures it, with the cluster's keys from `keys`.
    pub fn new(trust: Trust, keys: KeySource, journal: Journal) -> Self {
        Self {
            trust,
            keys,
            tokens: Tokens::default(),
            journal,
        }
    }

    /// Answers a request. Its line is in the journal before the client sees the answer.
    pub async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let mut record = Record {
            service: host(&parts).to_owned(),
            operation: "unknown".to_owned(),
            method: parts.method.to_string(),
            path: shown(parts.uri.path()),
            user_agent: header(&parts.headers, USER_AGENT.as_str()),
            api_client: header(&parts.headers, "x-goog-api-client"),
            ..Record::default()
        };
        let outcome = match receive(parts, body).await {
            Ok(received) => self.dispatch(&received, &mut record).await,
            Err(refusal) => Err(refusal),
        };
        let (status, error, description) = match &outcome {
            Ok(_) => (StatusCode::OK, None, None),
            Err(refusal) => (refusal.http_status(), Some(refusal.code()), Some(refusal.message())),
        };
        let written = self.journal.add(
            &record,
            &Outcome {
                status: status.as_u16(),
                error,
                error_description: description,
            },
        );
        if let Err(error) = written {
            // An answer that no test can see in the journal would be a lie.
            eprintln!("vertex-injector-fakes: {error:#}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        match outcome {
            Ok(body) => axum::Json(body).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn dispatch(&self, request: &Received, record: &mut Record) -> Result<serde_json::Value, Refusal> {
        match host(&request.parts) {
            "sts.googleapis.com" => {
                "sts".clone_into(&mut record.service);
                sts::answer(self, request, record).await
            }
            "iamcredentials.googleapis.com" => {
                "iamcredentials".clone_into(&mut record.service);
                iam_credentials::answer(self, request, record)
            }
            _ => Err(Refusal::not_found()),
        }
    }
}

impl Received {
    /// The media type, in lower case, when its only parameter is a UTF-8 charset.
    fn media_type(&self) -> Option<String> {
        let value = self.parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let value = value.to_ascii_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next()?.to_owned();
        parts
            .all(|parameter| parameter == "charset=utf-8")
            .then_some(media_type)
    }

    /// The credentials of the `Authorization` header when it has this scheme.
    fn authorization(&self, scheme: &str) -> Option<&str> {
        let value = self.parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (given, credentials) = value.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then_some(credentials)
    }
}

async fn receive(parts: Parts, body: Body) -> Result<Received, Refusal> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(body)) => Ok(Received { parts, body }),
        Ok(Err(_)) => Err(Refusal::invalid_argument(format!(
            "Request payload cannot be read or exceeds the limit of {LARGEST_BODY} bytes."
        ))),
        Err(_) => Err(Refusal::invalid_argument(format!(
            "Request payload did not arrive within {} s.",
            PATIENCE.as_secs()
        ))),
    }
}

fn host(parts: &Parts) -> &str {
    let value = parts
        .headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split_once(':').map_or(value, |(name, _port)| name)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(shown)
}
