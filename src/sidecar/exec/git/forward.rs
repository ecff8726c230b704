//! The exchange with the host. Both ways only what is listed passes.

use super::refusal::Refusal;
use axum::body::Body;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, LOCATION, PRAGMA, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use vertex_injector_core::git::rules::Rule;
use vertex_injector_core::git::target::{Service, Step, Target};
use vertex_injector_net::egress::{Egress, Route};
use vertex_injector_net::flow::{Counted, Direction, Movement};
use vertex_injector_net::upstream::{Patient, https1};

/// How long nothing may move. A server that prepares a pack says every five seconds that it still does.
pub const IDLE: Duration = Duration::from_mins(2);

/// How long a connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(30);

/// Most connections that are kept per host.
const MAX_KEPT: usize = 4;

const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

/// What of a request goes to the host as it is. Its length and its media type are our own to say.
const REQUEST: [HeaderName; 3] = [ACCEPT_ENCODING, ACCEPT_LANGUAGE, USER_AGENT];

/// The clients of hosts.
#[derive(Debug, Clone)]
pub struct Hosts(Client<Patient<HttpsConnector<Route>>, Body>);

impl Hosts {
    /// A client that trusts the system's certificates, and those that `egress` adds.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(egress: &Egress) -> std::io::Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(MAX_KEPT)
            .build(https1(egress)?);
        Ok(Self(client))
    }

    /// Sends a request on and waits for the head of its answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(
        &self,
        target: &Target,
        headers: &HeaderMap,
        body: Incoming,
        authorization: HeaderValue,
        movement: &Movement,
    ) -> Result<Response<Incoming>, Refusal> {
        let host = &target.host;
        let uri: Uri = format!("https://{host}{}", target.path_and_query())
            .parse()
            .map_err(|_| {
                Refusal::new(
                    "uri",
                    StatusCode::BAD_REQUEST,
                    "the repository's name is no part of a URL",
                )
            })?;
        let body = match target.step {
            Step::Advertisement => Body::empty(),
            Step::Exchange => Body::new(Counted::new(body, movement.clone(), Direction::Up)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = match target.step {
            Step::Advertisement => Method::GET,
            Step::Exchange => Method::POST,
        };
        *request.uri_mut() = uri;
        *request.headers_mut() = sent(target, headers);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        tokio::select! {
            answer = self.0.request(request) => answer.map_err(|error| {
                let (reason, words) = if error.is_connect() {
                    ("unreachable", "cannot be reached, or is not trusted")
                } else {
                    ("broken off", "broke off")
                };
                Refusal::new(reason, StatusCode::BAD_GATEWAY, format!("{host} {words}"))
            }),
            () = movement.clone().stalled(IDLE) => {
                let message = format!("nothing came from {host} for {} seconds", IDLE.as_secs());
                Err(Refusal::new("silent", StatusCode::GATEWAY_TIMEOUT, message))
            }
        }
    }
}

/// Checks what a request says about its body.
///
/// # Errors
/// Says what it has to be.
pub fn check_media_type(target: &Target, headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("media type", StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    let only = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next())
    };
    if target.step == Step::Advertisement {
        return Ok(());
    }
    let expected = format!("application/x-{}-request", target.service.name());
    if !matches!(only(&CONTENT_TYPE), (Some(value), None) if *value == *expected) {
        return refuse(format!("the body has to be of the type {expected}"));
    }
    match only(&CONTENT_ENCODING) {
        (None, None) => Ok(()),
        (Some(value), None) if *value == *"gzip" => Ok(()),
        _ => refuse("the body may be compressed with gzip only".to_owned()),
    }
}

/// The headers that go to the host, without the credential.
fn sent(target: &Target, headers: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::with_capacity(10);
    for name in REQUEST {
        if let Some(value) = headers.get(&name) {
            sent.insert(name, value.clone());
        }
    }
    // Without one it is version 0, which every client understands.
    if let Some(version) = headers.get(GIT_PROTOCOL).and_then(version) {
        sent.insert(GIT_PROTOCOL, HeaderValue::from_static(version));
    }
    match target.step {
        Step::Advertisement => {
            sent.insert(ACCEPT, HeaderValue::from_static("*/*"));
            sent.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        }
        Step::Exchange => {
            let (request, result) = match target.service {
                Service::Fetch => (
                    "application/x-git-upload-pack-request",
                    "application/x-git-upload-pack-result",
                ),
                Service::Push => (
                    "application/x-git-receive-pack-request",
                    "application/x-git-receive-pack-result",
                ),
            };
            sent.insert(CONTENT_TYPE, HeaderValue::from_static(request));
            sent.insert(ACCEPT, HeaderValue::from_static(result));
            if headers.contains_key(CONTENT_ENCODING) {
                sent.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
    }
    sent
}

fn version(value: &HeaderValue) -> Option<&'static str> {
    ["version=1", "version=2"].into_iter().find(|known| value == known)
}

/// What an answer's head becomes, if it is git's.
///
/// # Errors
/// When the host did not do what was asked. Nothing of its answer is shown: it may repeat the credential.
pub fn received(target: &Target, rules: &[Rule], answer: &Response<Incoming>) -> Result<HeaderMap, Refusal> {
    let status = answer.status();
    let (host, name, service) = (&target.host, target.name(), target.service);
    let refuse = |reason, status, message: String| Err(Refusal::new(reason, status, message));
    match status.as_u16() {
        200 => {}
        301 | 302 | 303 | 307 | 308 => {
            let to = match moved_to(target, rules, answer.headers()) {
                Some(to) => format!("; use {to}"),
                None => "; use its present name, if it is allowed".to_owned(),
            };
            return refuse("moved", StatusCode::BAD_GATEWAY, format!("{name} has moved{to}"));
        }
        401 => {
            let message = format!("{host} does not accept the credential that is kept here; it may have expired");
            return refuse("credential", StatusCode::FORBIDDEN, message);
        }
        403 => {
            let message = format!("{host} denies the credential that is kept here the {service} of {name}");
            return refuse("denied", StatusCode::FORBIDDEN, message);
        }
        404 | 410 => {
            let message = format!("{host} has no {name}, or does not show it to the credential that is kept here");
            return refuse("absent", StatusCode::NOT_FOUND, message);
        }
        429 | 503 => {
            let message = format!("{host} has too much to do ({}); try again later", status.as_u16());
            let refusal = Refusal::new("busy", status, message);
            return Err(refusal.later(seconds(answer.headers())));
        }
        other => {
            return refuse(
                "failed",
                StatusCode::BAD_GATEWAY,
                format!("{host} answered with status {other}"),
            );
        }
    }
    let kind = match target.step {
        Step::Advertisement => "advertisement",
        Step::Exchange => "result",
    };
    let expected = format!("application/x-{}-{kind}", service.name());
    let mut headers = HeaderMap::with_capacity(4);
    match (answer.headers().get(CONTENT_TYPE), HeaderValue::try_from(&expected)) {
        (Some(found), Ok(expected)) if *found == expected => headers.insert(CONTENT_TYPE, expected),
        _ => {
            let message = format!("{host} does not speak git's smart HTTP at {name}");
            return refuse("not git", StatusCode::BAD_GATEWAY, message);
        }
    };
    if let Some(encoding) = answer.headers().get(CONTENT_ENCODING) {
        let known = ["gzip", "deflate", "br", "zstd"]
            .into_iter()
            .find(|known| encoding == known);
        let Some(known) = known else {
            return refuse(
                "encoding",
                StatusCode::BAD_GATEWAY,
                format!("{host} encodes its answer in an unknown way"),
            );
        };
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(known));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(headers)
}

/// The present name of a repository that has moved, if it is on the same host and allowed, so that naming it tells nothing.
fn moved_to(target: &Target, rules: &[Rule], headers: &HeaderMap) -> Option<String> {
    let to: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    if to.scheme_str() != Some("https") || to.authority()?.as_str() != target.host {
        return None;
    }
    let path = format!("/{}{}", target.host, to.path_and_query()?);
    let to = Target::parse(&Method::GET, &path.parse().ok()?).ok()?;
    (to.repository != target.repository && rules.iter().any(|rule| rule.allows(&to))).then(|| to.name())
}

fn seconds(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}
