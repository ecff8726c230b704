//! A fake Google: one module for each service, told apart by the `Host` header as Google does.

pub(crate) mod jwks;

pub(crate) mod oauth;
pub(crate) mod vertex;

mod credential;
mod form;
mod iam_credentials;
mod id_tokens;
mod reply;
mod service;
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

use self::id_tokens::IdTokens;
use self::jwks::KeySource;
use self::oauth::Known;
use self::reply::{Answer, Refusal};
use self::service::Service;
use self::tokens::{Tokens, fingerprint};
use self::vertex::Vertex;
use crate::journal::{Journal, Outcome, Record, shown};

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom the fake trusts: what an administrator would have configured at Google.
#[derive(Debug)]
pub(crate) struct Trust {
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
    /// The lifetime of a federated token.
    pub federated_lifetime_seconds: u32,
}

/// All services of one run, and what they share.
#[derive(Debug)]
pub(crate) struct Google {
    trust: Trust,
    keys: KeySource,
    known: Known,
    id_tokens: IdTokens,
    vertex: Vertex,
    tokens: Tokens,
    journal: Journal,
}

/// A request that was received whole.
#[derive(Debug)]
pub(crate) struct Received {
    parts: Parts,
    body: Bytes,
}

impl Google {
    /// Google as `trust`, `known` and `vertex` configure it, with the cluster's keys from `keys`.
    pub(crate) fn new(trust: Trust, keys: KeySource, known: Known, vertex: Vertex, journal: Journal) -> Self {
        Self {
            trust,
            keys,
            known,
            id_tokens: IdTokens::default(),
            vertex,
            tokens: Tokens::default(),
            journal,
        }
    }

    /// Answers a request. Its line is in the journal before the client sees the answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let host = host(&parts);
        let service = Service::of(&host);
        let mut record = Record {
            service: service
                .as_ref()
                .map_or_else(|| shown(&host), |service| service.name().to_owned()),
            operation: "unknown".to_owned(),
            protocol: format!("{:?}", parts.version),
            method: parts.method.to_string(),
            path: shown(parts.uri.path()),
            user_agent: header(&parts.headers, USER_AGENT.as_str()),
            api_client: header(&parts.headers, "x-goog-api-client"),
            headers: names(&parts.headers),
            ..Record::default()
        };
        let outcome = match service {
            None => Err(Refusal::not_found()),
            Some(service) => match receive(parts, body, service.largest_body()).await {
                Ok(received) => self.dispatch(&service, &received, &mut record).await,
                Err(refusal) => Err(refusal),
            },
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
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn dispatch(&self, service: &Service, request: &Received, record: &mut Record) -> Result<Answer, Refusal> {
        record.bearer_sha256 = request.authorization("Bearer").map(fingerprint);
        match service {
            Service::Sts => sts::answer(self, request, record).await.map(Answer::Json),
            Service::IamCredentials => iam_credentials::answer(self, request, record).map(Answer::Json),
            Service::OAuth => oauth::answer(self, request, record).map(Answer::Json),
            Service::Credential => credential::answer(self, request, record).await.map(Answer::Json),
            Service::Vertex(location) => self.vertex.answer(&self.tokens, location, request, record),
        }
    }
}

/// Answers a model call from anybody, without a journal: for benchmarks and demonstrations.
pub(crate) async fn answer_anybody(vertex: &Vertex, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = receive(parts, body, service::LARGEST_PROMPT)
        .await
        .and_then(|received| vertex.answer_anybody(&received));
    match outcome {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
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

    /// Refuses a body that is not said to be JSON.
    fn require_json(&self) -> Result<(), Refusal> {
        if self.media_type().as_deref() == Some("application/json") {
            return Ok(());
        }
        let given = header(&self.parts.headers, CONTENT_TYPE.as_str());
        Err(Refusal::invalid_argument(format!(
            "The content type is {}; expected application/json.",
            given.as_deref().unwrap_or("missing")
        )))
    }

    /// The credentials of the `Authorization` header when it has this scheme.
    fn authorization(&self, scheme: &str) -> Option<&str> {
        let value = self.parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (given, credentials) = value.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then_some(credentials)
    }
}

async fn receive(parts: Parts, body: Body, largest: usize) -> Result<Received, Refusal> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, largest)).await {
        Ok(Ok(body)) => Ok(Received { parts, body }),
        Ok(Err(_)) => Err(Refusal::invalid_argument(format!(
            "Request payload cannot be read or exceeds the limit of {largest} bytes."
        ))),
        Err(_) => Err(Refusal::invalid_argument(format!(
            "Request payload did not arrive within {} s.",
            PATIENCE.as_secs()
        ))),
    }
}

/// The host that is asked: of the URI in HTTP/2, else of the header.
fn host(parts: &Parts) -> String {
    if let Some(host) = parts.uri.host() {
        return host.to_owned();
    }
    let value = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    value.split_once(':').map_or(value, |(name, _port)| name).to_owned()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(shown)
}

fn names(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<String> = headers.keys().map(|name| shown(name.as_str())).collect();
    names.sort_unstable();
    names
}
