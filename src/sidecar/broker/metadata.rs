//! An emulation of the GCE metadata server on loopback: the superset that Google's clients for Node, Python, Go, Java and
//! .NET and gcloud ask for.
//!
//! Paths are matched exactly as they arrive; every answer carries `Metadata-Flavor: Google`; text has no newline at its end.
//! Requests that a browser or a forwarding proxy could have made are refused. Nothing that it tells changes while it runs, but for
//! tokens: who waits for a change waits as long as it wants to.

mod tree;

use super::metrics::{Counters, Handout};
use super::token::{IdTokens, NoIdToken, Supply, TokenError, Tokens};
use axum::body::Body;
use http::header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, SERVER, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tree::{Found, Node};
use vertex_injector_core::endpoint::NODE_METADATA;
use vertex_injector_net::local;
use zeroize::Zeroizing;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
/// What clients sent before there was [`FLAVOR`], and some still do.
const OLD_FLAVOR: HeaderName = HeaderName::from_static("x-google-metadata-request");

/// How many calls may wait for a change at a time.
const WAITING: usize = 32;

const NO_USE: &str = "vertex-injector: with access: Proxy the agent gets no access token, so gcloud cannot call Google; models are \
                      called through the proxy, and with access: Metadata gcloud works";
const NO_TOKEN: &str = "no token at the moment; try again";

/// Longest that a call waits for a change, whatever it asks for: then it is told what there is, and may ask again.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// The other spelling of `universe-domain`, which some clients ask for.
const UNIVERSE_DOMAIN: (&str, &str) = (
    "/computeMetadata/v1/universe/universe_domain",
    "/computeMetadata/v1/universe/universe-domain",
);

/// Names by which a client may know the metadata server.
const OWN_HOSTS: [&str; 7] = [
    "127.0.0.1",
    "localhost",
    "metadata.google.internal",
    "metadata.google.internal.",
    "metadata",
    "metadata.",
    NODE_METADATA,
];

/// What the server is to tell.
#[derive(Debug)]
pub struct Told {
    /// Project ID.
    pub project: String,
    /// Project number, when known.
    pub project_number: Option<u64>,
    /// The account's name. For a federated identity without service account it does not end in
    /// `gserviceaccount.com`, so that google-auth does not look its allowed locations up with the token.
    pub email: String,
}

/// The server.
#[derive(Debug)]
pub struct Metadata {
    tree: Node,
    tokens: Tokens,
    id_tokens: IdTokens,
    counters: Arc<Counters>,
    waiting: Semaphore,
}

impl Metadata {
    /// A server that tells this, and hands out these.
    pub fn new(told: &Told, tokens: Tokens, id_tokens: IdTokens, counters: Arc<Counters>) -> Self {
        Self {
            tree: told.tree(),
            tokens,
            id_tokens,
            counters,
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Answers one request. Only its head is read.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        if let Some(refusal) = refuse(request) {
            return refusal;
        }
        let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
        let (other, own) = UNIVERSE_DOMAIN;
        let found = self.tree.find(if path == other { own } else { path });
        match (found, Query::of(query)) {
            (None, _) => not_found(),
            (Some(Found::Slashless), _) => moved(path, query),
            (Some(Found::Node(_)), Err(wrong)) => error(StatusCode::BAD_REQUEST, wrong),
            (Some(Found::Node(Node::Token)), Ok(_)) if self.is_of_no_use_to(request) => {
                error(StatusCode::FORBIDDEN, NO_USE)
            }
            (Some(Found::Node(node)), Ok(query)) => self.tell(node, &query).await,
        }
    }

    /// Whether this client would only learn from Google that a placeholder is no token, and say that the person has to log in:
    /// gcloud, but for what it does with its account alone.
    fn is_of_no_use_to(&self, request: &Parts) -> bool {
        let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let calls = |agent: &str| agent.starts_with("google-cloud-sdk ") && !agent.contains(" command/gcloud.auth.");
        matches!(self.tokens, Tokens::Placeholder) && agent.is_some_and(calls)
    }

    /// What there is at a node, at once or when it has changed.
    async fn tell(&self, node: &Node, query: &Query) -> Response<Body> {
        let told = self.read(node, query).await;
        let Some(wait) = &query.wait else { return told };
        let is_old = wait.last_etag.as_ref().is_some_and(|last| {
            let current = told.headers().get(ETAG);
            current.is_none_or(|current| current.as_bytes() != last.as_bytes())
        });
        if is_old || !told.status().is_success() {
            return told;
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return later("too many calls wait for a change at a time; try again", 10);
        };
        // Tokens change, but nobody waits for that: whoever wants one asks for it.
        sleep(wait.longest).await;
        self.read(node, query).await
    }

    async fn read(&self, node: &Node, query: &Query) -> Response<Body> {
        let json = query.alt == Some(Alt::Json);
        match node {
            Node::Token => self.token().await,
            Node::Identity => self.identity(query).await,
            Node::Directory(_) if query.recursive && query.alt == Some(Alt::Text) => {
                let mut lines = Vec::new();
                node.lines("", &mut lines);
                text(lines.join("\n"))
            }
            Node::Directory(_) if query.recursive => json_value(&node.json().unwrap_or_default()),
            Node::Directory(_) if json => json_value(&Value::from(node.names())),
            Node::Directory(_) => text(node.names().join("\n")),
            Node::Text(_) | Node::Number(_) | Node::List(_) if json => json_value(&node.json().unwrap_or_default()),
            Node::Text(told) => text(told.clone()),
            Node::Number(number) => text(number.to_string()),
            Node::List(lines) => text(lines.join("\n")),
        }
    }

    async fn token(&self) -> Response<Body> {
        let supply = self.tokens.get().await;
        self.counters.handed_out(match (&supply, &self.tokens) {
            (Supply::Token(_), Tokens::Real(_)) => Handout::Token,
            (Supply::Token(_), Tokens::Placeholder) => Handout::Placeholder,
            (Supply::Refused(_), _) => Handout::Refused,
            (Supply::Later(_), _) => Handout::Unavailable,
        });
        match supply {
            Supply::Token(token) => {
                let seconds = token.remaining().as_secs();
                // The source has checked that the token needs no escaping.
                let body = Zeroizing::new(format!(
                    r#"{{"access_token":"{}","expires_in":{seconds},"token_type":"Bearer"}}"#,
                    token.secret.expose()
                ));
                respond(StatusCode::OK, "application/json", body.as_str().to_owned())
            }
            Supply::Refused(refusal) => refused(&refusal),
            Supply::Later(seconds) => later(NO_TOKEN, seconds),
        }
    }

    async fn identity(&self, query: &Query) -> Response<Body> {
        let Some(audience) = &query.audience else {
            return error(StatusCode::BAD_REQUEST, "non-empty audience parameter required");
        };
        match self.id_tokens.get(audience).await {
            Ok(token) => respond(StatusCode::OK, "application/text", token.expose().to_owned()),
            // 404, not 403: gcloud asks for one of its own audience and takes 403 for fatal.
            Err(NoIdToken::Unsupported) => not_found(),
            Err(NoIdToken::Failed(refusal)) if refusal.refused => refused(&refusal),
            Err(NoIdToken::Failed(_)) => later(NO_TOKEN, 5),
        }
    }
}

impl Told {
    fn tree(&self) -> Node {
        let attributes = || ("attributes", Node::directory::<&str>([]));
        let account = || {
            Node::directory([
                ("aliases", Node::List(vec!["default".to_owned()])),
                ("email", Node::Text(self.email.clone())),
                ("identity", Node::Identity),
                ("scopes", Node::List(vec![SCOPE.to_owned()])),
                ("token", Node::Token),
            ])
        };
        let accounts = Node::directory([("default", account()), (self.email.as_str(), account())]);
        let mut project = vec![attributes()];
        project.extend(
            self.project_number
                .map(|number| ("numeric-project-id", Node::Number(number))),
        );
        project.push(("project-id", Node::Text(self.project.clone())));
        let universe = [("universe-domain", Node::Text("googleapis.com".to_owned()))];
        let root = Node::directory([
            (
                "instance",
                Node::directory([attributes(), ("service-accounts", accounts)]),
            ),
            ("project", Node::directory(project)),
            ("universe", Node::directory(universe)),
        ]);
        Node::directory([("computeMetadata", Node::directory([("v1", root)]))])
    }
}

/// What no request may do.
fn refuse(request: &Parts) -> Option<Response<Body>> {
    if request.headers.contains_key("x-forwarded-for") || request.headers.contains_key("forwarded") {
        return Some(error(
            StatusCode::FORBIDDEN,
            "requests that were forwarded are not answered",
        ));
    }
    // A page that a browser loads can let its own name resolve to 127.0.0.1, but it cannot choose the Host header.
    if !own_host(request) {
        return Some(error(
            StatusCode::FORBIDDEN,
            "this host name is not the metadata server's",
        ));
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Some(error(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered"));
    }
    let headers = &request.headers;
    let flavor = headers.get(FLAVOR).is_some_and(|value| value == "Google");
    let old = headers.get(OLD_FLAVOR).map(HeaderValue::as_bytes);
    let flavor = flavor || old.is_some_and(|value| value.eq_ignore_ascii_case(b"True"));
    if !flavor && request.uri != "/" {
        return Some(error(StatusCode::FORBIDDEN, "missing header Metadata-Flavor: Google"));
    }
    None
}

/// Whether a request is for the metadata server by one of its own names.
pub(super) fn own_host(request: &Parts) -> bool {
    local::asks_for(&request.headers, &OWN_HOSTS)
}

/// The parameters that matter.
#[derive(Debug, Default)]
struct Query {
    recursive: bool,
    alt: Option<Alt>,
    audience: Option<String>,
    wait: Option<Wait>,
}

/// In which form values are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alt {
    Json,
    Text,
}

/// That the answer is wanted when something has changed.
#[derive(Debug)]
struct Wait {
    longest: Duration,
    /// What the client knows. Without it, it waits from now on.
    last_etag: Option<String>,
}

impl Query {
    /// Reads what is known and leaves the rest.
    fn of(text: &str) -> Result<Self, &'static str> {
        let (mut query, mut waits, mut longest, mut last_etag) = (Self::default(), false, LONGEST_WAIT, None);
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "recursive" => query.recursive = value.eq_ignore_ascii_case("true"),
                "alt" => {
                    query.alt = match &*value {
                        "json" => Some(Alt::Json),
                        "text" => Some(Alt::Text),
                        _ => return Err("alt is json or text"),
                    }
                }
                "audience" if !value.is_empty() => query.audience = Some(value.into_owned()),
                "wait_for_change" => waits = value.eq_ignore_ascii_case("true"),
                "timeout_sec" => {
                    let seconds = value.parse().map_err(|_| "timeout_sec is a number of seconds")?;
                    longest = Duration::from_secs(seconds).min(LONGEST_WAIT);
                }
                "last_etag" if !value.is_empty() => last_etag = Some(value.into_owned()),
                _ => {}
            }
        }
        query.wait = waits.then_some(Wait { longest, last_etag });
        Ok(query)
    }
}

/// Google's own words, which the token's source has capped and redacted.
fn refused(refusal: &TokenError) -> Response<Body> {
    error(StatusCode::FORBIDDEN, &refusal.to_string())
}

fn later(message: &str, seconds: u64) -> Response<Body> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn text(body: String) -> Response<Body> {
    respond(StatusCode::OK, "application/text", body)
}

fn json_value(value: &Value) -> Response<Body> {
    respond(StatusCode::OK, "application/json", value.to_string())
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    respond(status, "text/plain; charset=UTF-8", message.to_owned())
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "not found")
}

/// To the directory itself, with what is asked of it.
fn moved(path: &str, query: &str) -> Response<Body> {
    let mark = if query.is_empty() { "" } else { "?" };
    let mut response = error(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(to) = HeaderValue::from_str(&format!("{path}/{mark}{query}")) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let etag = (status == StatusCode::OK).then(|| etag(&body));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(FLAVOR, HeaderValue::from_static("Google"));
    headers.insert(SERVER, HeaderValue::from_static("Metadata Server for VM"));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        headers.insert(ETAG, etag);
    }
    response
}

/// By which a client knows whether it has seen this: 16 hexadecimal digits without quotes, as Google's server writes them.
fn etag(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
