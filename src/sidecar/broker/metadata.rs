//! An emulation of the GCE metadata server on loopback: the superset that Google's clients for Node, Python, Go, Java and
//! .NET and gcloud ask for.
//!
//! Paths are matched exactly as they arrive; every answer carries `Metadata-Flavor: Google`; text has no newline at its end.
//! Requests that a browser or a forwarding proxy could have made are refused.

use super::metrics::{Counters, Handout};
use super::token::{IdTokens, NoIdToken, Supply, TokenError, Tokens};
use axum::body::Body;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use vertex_injector_core::endpoint::NODE_METADATA;
use vertex_injector_net::local;
use zeroize::Zeroizing;

const ROOT: &str = "/computeMetadata/v1";
const ACCOUNTS: &str = "/instance/service-accounts/";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

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

/// What the server tells.
#[derive(Debug)]
pub struct Metadata {
    /// Project ID.
    pub project: String,
    /// Project number, when known.
    pub project_number: Option<String>,
    /// The account's name. For a federated identity without service account it does not end in
    /// `gserviceaccount.com`, so that google-auth does not look its allowed locations up with the token.
    pub email: String,
    /// Where access tokens come from.
    pub tokens: Tokens,
    /// Where ID tokens come from.
    pub id_tokens: IdTokens,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl Metadata {
    /// Answers one request. Only its head is read.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        if let Some(refusal) = refuse(request) {
            return refusal;
        }
        let path = request.uri.path();
        let query = Query::of(request.uri.query().unwrap_or_default());
        let Some(rest) = path.strip_prefix(ROOT) else {
            return if path == "/" {
                text("computeMetadata/")
            } else {
                not_found()
            };
        };
        match rest {
            "" | "/instance" | "/project" | "/instance/service-accounts" | "/instance/attributes" | "/universe" => {
                moved(&format!("{path}/"))
            }
            "/" if query.recursive => json_value(&json!({"instance": self.instance(), "project": self.project()})),
            "/" => text("instance/\nproject/\nuniverse/"),
            "/instance/" if query.recursive => json_value(&self.instance()),
            "/instance/" => text("attributes/\nservice-accounts/"),
            "/instance/attributes/" if query.recursive => json_value(&json!({})),
            "/instance/attributes/" => text(""),
            "/project/" if query.recursive => json_value(&self.project()),
            "/project/" => text("numeric-project-id\nproject-id"),
            "/project/project-id" => leaf(&self.project, &query),
            "/project/numeric-project-id" => match &self.project_number {
                Some(number) => leaf(number, &query),
                None => not_found(),
            },
            "/universe/" => text("universe-domain"),
            "/universe/universe-domain" | "/universe/universe_domain" => leaf("googleapis.com", &query),
            ACCOUNTS if query.recursive => json_value(&self.accounts()),
            ACCOUNTS => text(&format!("default/\n{}/", self.email)),
            _ => match rest.strip_prefix(ACCOUNTS) {
                Some(rest) => self.account(path, rest, &query).await,
                None => not_found(),
            },
        }
    }

    async fn account(&self, path: &str, rest: &str, query: &Query) -> Response<Body> {
        let (account, what) = match rest.split_once('/') {
            Some((account, what)) => (account, Some(what)),
            None => (rest, None),
        };
        // Some clients encode the at sign, and nothing else of an address needs encoding.
        if account != "default" && account.replace("%40", "@") != self.email {
            return not_found();
        }
        match what {
            None => moved(&format!("{path}/")),
            Some("") if query.recursive => json_value(&self.described()),
            Some("") => text("aliases\nemail\nidentity\nscopes\ntoken"),
            Some("aliases") => leaf("default", query),
            Some("email") => leaf(&self.email, query),
            Some("scopes") => leaf(SCOPE, query),
            Some("token") => self.token().await,
            Some("identity") => self.identity(query).await,
            Some(_) => not_found(),
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
            Supply::Later(seconds) => later(seconds),
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
            Err(NoIdToken::Failed(_)) => later(5),
        }
    }

    fn described(&self) -> Value {
        json!({"aliases": ["default"], "email": self.email, "scopes": [SCOPE]})
    }

    fn accounts(&self) -> Value {
        let mut accounts = Map::new();
        accounts.insert("default".to_owned(), self.described());
        accounts.insert(self.email.clone(), self.described());
        Value::Object(accounts)
    }

    fn project(&self) -> Value {
        let mut project = Map::new();
        if let Some(number) = self
            .project_number
            .as_ref()
            .and_then(|number| number.parse::<u64>().ok())
        {
            project.insert("numericProjectId".to_owned(), number.into());
        }
        project.insert("projectId".to_owned(), self.project.as_str().into());
        Value::Object(project)
    }

    fn instance(&self) -> Value {
        json!({"attributes": {}, "serviceAccounts": self.accounts()})
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
    let flavor = request.headers.get(FLAVOR).is_some_and(|value| value == "Google");
    if !flavor && request.uri.path() != "/" {
        return Some(error(StatusCode::FORBIDDEN, "missing header Metadata-Flavor: Google"));
    }
    None
}

/// Whether a request is for the metadata server by one of its own names.
pub(super) fn own_host(request: &Parts) -> bool {
    local::asks_for(&request.headers, &OWN_HOSTS)
}

/// The parameters that matter.
struct Query {
    recursive: bool,
    json: bool,
    audience: Option<String>,
}

impl Query {
    fn of(text: &str) -> Self {
        let mut query = Self {
            recursive: false,
            json: false,
            audience: None,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "recursive" => query.recursive = value.eq_ignore_ascii_case("true"),
                "alt" => query.json = value == "json",
                "audience" if !value.is_empty() => query.audience = Some(value.into_owned()),
                _ => {}
            }
        }
        query
    }
}

/// Google's own words, which the token's source has capped and redacted.
fn refused(refusal: &TokenError) -> Response<Body> {
    error(StatusCode::FORBIDDEN, &refusal.to_string())
}

fn later(seconds: u64) -> Response<Body> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "no token at the moment; try again");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn leaf(value: &str, query: &Query) -> Response<Body> {
    if query.json {
        json_value(&Value::from(value))
    } else {
        text(value)
    }
}

fn text(body: &str) -> Response<Body> {
    respond(StatusCode::OK, "application/text", body.to_owned())
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

fn moved(to: &str) -> Response<Body> {
    let mut response = error(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(FLAVOR, HeaderValue::from_static("Google"));
    headers.insert(SERVER, HeaderValue::from_static("Metadata Server for VM"));
    response
}
