//! IAM Credentials: short-lived tokens of a service account, for a federated identity or a person
//! that may impersonate it.

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::oauth::id_token;
use super::reply::Refusal;
use super::tokens::{Grant, Kind, after, is_scope};
use super::{Google, Received};
use crate::journal::{Record, shown};

const ACCOUNTS: &str = "/v1/projects/-/serviceAccounts/";
/// What Google takes when the request names no lifetime, in seconds.
const DEFAULT_LIFETIME: u32 = 3600;
/// The scopes that allow the call itself.
const SUFFICIENT: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/iam",
];

/// Answers a request to `iamcredentials.googleapis.com`.
///
/// # Errors
///
/// Google's API errors; 404 for what is not played here, `allowedLocations` included (clients look
/// it up in the background and live without it).
pub(super) fn answer(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    let path = request.parts.uri.path();
    if request.parts.method == Method::GET && path.ends_with("/allowedLocations") {
        "allowedLocations".clone_into(&mut record.operation);
        return Err(Refusal::not_found());
    }
    let (account, verb) = path
        .strip_prefix(ACCOUNTS)
        .and_then(|rest| rest.rsplit_once(':'))
        .ok_or_else(Refusal::not_found)?;
    // Some clients encode the at sign, and nothing else of an address needs encoding.
    let account = account.replace("%40", "@");
    match (&request.parts.method, verb) {
        (&Method::POST, "generateAccessToken" | "generateIdToken") => {
            verb.clone_into(&mut record.operation);
            record.parameters.insert("account".to_owned(), shown(&account).into());
            let grant = authenticate(google, request, record)?;
            if verb == "generateIdToken" {
                generate_id_token(google, request, &account, &grant, record)
            } else {
                generate_access_token(google, request, &account, &grant, record)
            }
        }
        _ => Err(Refusal::not_found()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessTokenBody {
    scope: Vec<String>,
    lifetime: Option<String>,
    delegates: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IdTokenBody {
    audience: String,
    include_email: Option<bool>,
    delegates: Option<Vec<String>>,
}

fn generate_access_token(
    google: &Google,
    request: &Received,
    account: &str,
    grant: &Grant,
    record: &mut Record,
) -> Result<Value, Refusal> {
    // gcloud's generated clients ask for JSON by name.
    if !matches!(request.parts.uri.query(), None | Some("alt=json")) {
        return Err(Refusal::invalid_argument("Invalid query: only alt=json is known."));
    }
    let body: AccessTokenBody = body(request, "scope (list), lifetime, delegates")?;
    let scopes: Vec<_> = body.scope.iter().map(|scope| shown(scope)).collect();
    record.parameters.insert("scope".to_owned(), scopes.into());
    if let Some(lifetime) = &body.lifetime {
        record.parameters.insert("lifetime".to_owned(), shown(lifetime).into());
    }
    let lifetime = lifetime(body.lifetime.as_deref(), google.trust.max_lifetime_seconds)?;
    if let Some(scope) = body.scope.iter().find(|scope| !is_scope(scope)) {
        return Err(Refusal::invalid_argument(format!("Invalid scope: {}.", shown(scope))));
    }
    if body.scope.is_empty() {
        return Err(Refusal::invalid_argument("The list of scopes is empty."));
    }
    may_act(google, grant, account, body.delegates.as_deref())?;

    let now = Timestamp::now();
    let expires = after(now, lifetime);
    let issued = google
        .tokens
        .issue(Grant {
            kind: Kind::ServiceAccount,
            principal: account.to_owned(),
            scopes: body.scope,
            client: None,
            issued: now,
            expires,
        })
        .ok_or_else(|| Refusal::permission_denied("Quota exceeded: too many live tokens."))?;
    record.token_sha256 = Some(issued.fingerprint);
    Ok(json!({
        "accessToken": issued.token,
        // Exactly so: Python's google-auth parses nothing else, no fractions either.
        "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }))
}

fn generate_id_token(
    google: &Google,
    request: &Received,
    account: &str,
    grant: &Grant,
    record: &mut Record,
) -> Result<Value, Refusal> {
    let body: IdTokenBody = body(request, "audience, includeEmail, delegates")?;
    record
        .parameters
        .insert("audience".to_owned(), shown(&body.audience).into());
    if body.audience.is_empty() {
        return Err(Refusal::invalid_argument("The audience is empty."));
    }
    if body.include_email != Some(true) {
        // Google would leave the email out, which nobody whom we test wants.
        return Err(Refusal::invalid_argument("Only includeEmail true is known."));
    }
    may_act(google, grant, account, body.delegates.as_deref())?;
    Ok(json!({"token": id_token(&google.id_tokens, account, &body.audience)?}))
}

fn may_act(google: &Google, grant: &Grant, account: &str, delegates: Option<&[String]>) -> Result<(), Refusal> {
    if delegates.is_some_and(|delegates| !delegates.is_empty()) {
        return Err(Refusal::permission_denied(
            "Delegates are not configured for this identity.",
        ));
    }
    if !grant.scopes.iter().any(|scope| SUFFICIENT.contains(&scope.as_str())) {
        return Err(Refusal::permission_denied(
            "Request had insufficient authentication scopes.",
        ));
    }
    let allowed = google.trust.service_accounts.iter().any(|allowed| allowed == account);
    if grant.kind == Kind::ServiceAccount || !allowed {
        return Err(Refusal::permission_denied(
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
        ));
    }
    Ok(())
}

fn authenticate(google: &Google, request: &Received, record: &mut Record) -> Result<Grant, Refusal> {
    let token = request.authorization("Bearer").ok_or_else(|| {
        Refusal::unauthenticated(
            "Request is missing required authentication credential. Expected OAuth 2 access token.",
        )
    })?;
    let grant = google.tokens.find(token).ok_or_else(|| {
        Refusal::unauthenticated("Request had invalid authentication credentials. Expected OAuth 2 access token.")
    })?;
    record.principal = Some(grant.principal.clone());
    Ok(grant)
}

fn body<T: DeserializeOwned>(request: &Received, fields: &str) -> Result<T, Refusal> {
    request.require_json()?;
    serde_json::from_slice(&request.body).map_err(|error| {
        // The place only: the parser's own words may quote the body.
        Refusal::invalid_argument(format!(
            "Invalid JSON payload received at line {}, column {}: expected {fields}.",
            error.line(),
            error.column()
        ))
    })
}

fn lifetime(value: Option<&str>, longest: u32) -> Result<u32, Refusal> {
    let Some(value) = value else {
        return Ok(DEFAULT_LIFETIME.min(longest));
    };
    let seconds = value
        .strip_suffix('s')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    match seconds {
        Some(seconds) if (1..=longest).contains(&seconds) => Ok(seconds),
        Some(_) => Err(Refusal::invalid_argument(format!(
            "The lifetime {} is outside 1s to {longest}s.",
            shown(value)
        ))),
        None => Err(Refusal::invalid_argument(format!(
            "Invalid lifetime {}; expected seconds such as 3600s.",
            shown(value)
        ))),
    }
}
