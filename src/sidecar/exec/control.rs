//! The control listener: health, a refresh on request, and, only if it was asked for, the credential for git.

use super::fields::Current;
use super::refresh::{Asking, NotNow, Outcome};
use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use vertex_injector_core::contract::git::GitCredentials;
use vertex_injector_net::local::foreign;
use vertex_injector_net::refresh::BETWEEN;
use vertex_injector_net::secret::Secret;
use zeroize::Zeroizing;

/// How long who asks for a refresh is kept waiting for its outcome: three attempts of ten seconds, and what is around them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the listener can see and ask for.
pub struct Control {
    credential: Current,
    running: watch::Receiver<bool>,
    asking: Asking,
    git: Option<GitCredentials>,
}

impl Control {
    /// Shows the credential and whether the child runs, and asks for refreshes. Without `git` there is no
    /// `/git-credentials`.
    pub fn new(
        credential: Current,
        running: watch::Receiver<bool>,
        asking: Asking,
        git: Option<GitCredentials>,
    ) -> Self {
        Self {
            credential,
            running,
            asking,
            git,
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        if let Some(reason) = foreign(request) {
            return text(StatusCode::FORBIDDEN, reason);
        }
        let (path, method) = (request.uri.path(), &request.method);
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match path {
            "/healthz" if reads => text(StatusCode::OK, "ok"),
            "/readyz" if reads => self.ready(),
            "/git-credentials" if self.git.is_some() && reads => self.git_credentials(request.uri.query()),
            "/refresh" if *method == Method::POST => self.refresh().await,
            "/healthz" | "/readyz" => allow("GET, HEAD"),
            "/git-credentials" if self.git.is_some() => allow("GET, HEAD"),
            "/refresh" => allow("POST"),
            _ => text(StatusCode::NOT_FOUND, "not found"),
        }
    }

    fn ready(&self) -> Response<Body> {
        if self.credential.borrow().is_none() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "there is no credential");
        }
        if !*self.running.borrow() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the server is not running");
        }
        text(StatusCode::OK, "ok")
    }

    async fn refresh(&self) -> Response<Body> {
        let outcome = match self.asking.ask() {
            Ok(outcome) => outcome,
            Err(NotNow::TooOften(wait)) => return later(StatusCode::TOO_MANY_REQUESTS, "asked too often; wait", wait),
            Err(NotNow::UnderWay) => return later(StatusCode::TOO_MANY_REQUESTS, "a refresh is under way", BETWEEN),
        };
        match timeout(PATIENCE, outcome).await {
            Ok(Ok(Outcome::Changed)) => text(StatusCode::OK, "refreshed"),
            Ok(Ok(Outcome::Unchanged)) => text(StatusCode::OK, "unchanged"),
            _ => later(
                StatusCode::SERVICE_UNAVAILABLE,
                "no other credential at the moment; the log of this container says why",
                BETWEEN,
            ),
        }
    }

    /// What a git credential helper prints.
    fn git_credentials(&self, query: Option<&str>) -> Response<Body> {
        let Some(git) = &self.git else {
            return text(StatusCode::NOT_FOUND, "not found");
        };
        let (mut host, mut secure) = (None, true);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "host" => host = Some(value),
                "protocol" => secure = value == "https",
                _ => {}
            }
        }
        let listed = |host: &str| git.hosts.iter().any(|own| own.to_string().eq_ignore_ascii_case(host));
        if !host.is_some_and(|host| listed(&host)) || !secure {
            return text(
                StatusCode::FORBIDDEN,
                "say ?host=HOST with a host that --git-credentials lists; only https has a credential",
            );
        }
        let Some(fields) = self.credential.borrow().clone() else {
            return later(
                StatusCode::SERVICE_UNAVAILABLE,
                "there is no credential",
                Duration::from_secs(5),
            );
        };
        let token = fields.chosen(&git.field).ok().map(Secret::expose);
        // A line's end would be read as another answer of the protocol.
        let Some(token) = token.filter(|token| !token.contains(['\n', '\r', '\0'])) else {
            return text(StatusCode::NOT_FOUND, "the credential has no token for git");
        };
        let body = Zeroizing::new(format!("username={}\npassword={token}\n", git.user));
        text(StatusCode::OK, &body)
    }
}

fn allow(methods: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn later(status: StatusCode, message: &str, wait: Duration) -> Response<Body> {
    let mut response = text(status, message);
    // Rounded up: who waits exactly so long must not be too early.
    let seconds = wait.as_millis().div_ceil(1000);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    let end = if body.ends_with('\n') { "" } else { "\n" };
    let mut response = Response::new(Body::from(format!("{body}{end}")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
