//! The heads of requests and answers: what a request may not carry, and which headers go through.
//!
//! Both ways only what is listed passes, so credentials, overrides, forwarding and hop-by-hop headers need no list of their own.

use super::refusal::{Reason, Refusal};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, ORIGIN, RETRY_AFTER};
use http::header::{HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use http::request::Parts;
use http::{Method, StatusCode};
use vertex_injector_net::listen::TwoLengths;
use vertex_injector_net::local;

/// Names by which a client may know the proxy.
const OWN_HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// Headers that make some servers take a request for one of another method.
const OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// What of a request goes to Vertex AI, beside `x-vertex-ai-llm-*`.
const REQUEST: [HeaderName; 5] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("x-goog-api-client"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
];

/// What of an answer goes to the agent. `content-encoding` is never asked for, but without it an encoded body would be unreadable.
const ANSWER: [HeaderName; 6] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    RETRY_AFTER,
    HeaderName::from_static("request-id"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
];

/// Families of headers that pass both ways.
const FAMILY: &str = "x-vertex-ai-llm-";

/// Whether a request only asks if the proxy listens, as [`crate::broker::probe`] does: it calls nothing, and is no call's record.
pub fn is_probe(request: &Parts) -> bool {
    let headers = &request.headers;
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    request.method == Method::GET && request.uri == "/" && local::asks_for(headers, &OWN_HOSTS) && !has_body
}

/// Checks everything of a request's head except its target.
///
/// # Errors
/// Says what is not answered.
pub fn check(request: &Parts) -> Result<(), Refusal> {
    let headers = &request.headers;
    if request.extensions.get::<TwoLengths>().is_some() {
        return Err(denied(
            Reason::Framing,
            "a request has Content-Length or Transfer-Encoding, not both",
        ));
    }
    if !is_plainly_framed(headers) {
        return Err(denied(
            Reason::Framing,
            "no other Transfer-Encoding than chunked is supported",
        ));
    }
    if request.uri.scheme().is_some() || request.uri.authority().is_some() {
        return Err(denied(
            Reason::Target,
            "this is no forward proxy: the request target is a path",
        ));
    }
    // A page that a browser loads can let its own name resolve to 127.0.0.1, but it can choose neither of these headers.
    if !local::asks_for(headers, &OWN_HOSTS) {
        return Err(denied(Reason::Host, "this host name is not the proxy's: use 127.0.0.1"));
    }
    if headers.contains_key(ORIGIN) {
        return Err(denied(Reason::Origin, "requests of web pages are not answered"));
    }
    if local::upgrades(headers) {
        return Err(denied(Reason::Upgrade, "no other protocol than HTTP/1.1 is spoken"));
    }
    // hyper says 100 Continue when the body is asked for: not before the head has been judged.
    if !headers
        .get_all(EXPECT)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        let message = "nothing else can be expected than 100-continue";
        return Err(Refusal::new(Reason::Expect, StatusCode::EXPECTATION_FAILED, message));
    }
    if OVERRIDES.iter().any(|name| headers.contains_key(name)) {
        return Err(denied(Reason::MethodOverride, "the method cannot be overridden"));
    }
    if request.method != Method::POST {
        return Err(denied(
            Reason::Method,
            "this is the proxy of model calls to Vertex AI: only POST is answered; what lists or changes something, as gcloud does, \
             needs access: Metadata",
        ));
    }
    Ok(())
}

/// Checks that the body is said to be JSON, in no other charset than UTF-8, and not encoded: else Google might read something else
/// than what was inspected.
///
/// # Errors
/// Says what a body has to be.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |message| {
        Err(Refusal::new(
            Reason::MediaType,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            message,
        ))
    };
    let encoded = headers.get_all(CONTENT_ENCODING).iter();
    if encoded
        .filter_map(|value| value.to_str().ok())
        .any(|value| !value.eq_ignore_ascii_case("identity"))
    {
        return refused("the body may not be compressed: Content-Encoding is not supported");
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next().map(is_json), types.next()) {
        (None | Some(true), None) => Ok(()),
        _ => refused("the body has to be JSON: Content-Type: application/json, in UTF-8"),
    }
}

/// Whether a client takes every 403 for trouble with its own credentials: Claude Code tells people to log in, or to contact their
/// administrator, and puts what was answered behind that.
pub fn blames_credentials(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    agent.is_some_and(|agent| agent.starts_with(b"claude-cli/"))
}

/// The headers that a call is sent on with, without the token.
pub fn request(headers: &HeaderMap) -> HeaderMap {
    let mut sent = passed(headers, &REQUEST);
    // What it has been checked to be.
    sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sent
}

/// The headers of an answer that the agent gets.
pub fn answer(headers: &HeaderMap) -> HeaderMap {
    passed(headers, &ANSWER)
}

fn passed(headers: &HeaderMap, listed: &[HeaderName]) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(8);
    for (name, value) in headers {
        if listed.contains(name) || name.as_str().starts_with(FAMILY) {
            passed.append(name, value.clone());
        }
    }
    passed
}

fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    encodings.next().is_none_or(chunked) && encodings.next().is_none()
}

/// `application/json`, perhaps with `charset=utf-8`.
fn is_json(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        parameter.is_empty()
            || parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.trim_matches('"');
                name.eq_ignore_ascii_case("charset")
                    && (value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8"))
            })
    })
}

fn denied(reason: Reason, message: &str) -> Refusal {
    Refusal::denied(reason, message)
}
