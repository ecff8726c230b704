//! OAuth: access tokens for a service account's key and for a person's refresh token, ID tokens for the former.

use http::{Method, StatusCode};
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{self, Form, required};
use super::id_tokens::IdTokens;
use super::reply::Refusal;
use super::subject_token::signature_only;
use super::tokens::{Grant, Kind, Tokens, after};
use super::{Google, Received};
use crate::journal::{Record, shown};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const REFRESH: &str = "refresh_token";
const FIELDS: [&str; 6] = [
    "grant_type",
    "assertion",
    "client_id",
    "client_secret",
    "refresh_token",
    "scope",
];
/// What assertions must be meant for.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// The lifetime of what is issued, in seconds.
const LIFETIME: u32 = 3599;
/// The longest lifetime of an assertion, in seconds.
const LONGEST_ASSERTION: i64 = 3600;
/// How far clocks may differ, in seconds.
const CLOCK_SKEW: i64 = 60;
/// What a person's token may do when the client names no scope.
const PERSONS_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Who may have tokens without a cluster.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Service accounts by email, with the public keys that Google would publish for each.
    pub accounts: Vec<(String, JwkSet)>,
    /// A person who has consented.
    pub person: Option<Person>,
}

/// A person's consent: what `gcloud auth application-default login` writes.
#[derive(Debug, Deserialize)]
pub(crate) struct Person {
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// Answers a request to `oauth2.googleapis.com`.
///
/// # Errors
///
/// OAuth errors; 404 for everything but tokens.
pub(crate) fn answer(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    if request.parts.method != Method::POST || request.parts.uri.path() != "/token" {
        return Err(Refusal::not_found());
    }
    "oauthToken".clone_into(&mut record.operation);
    let form = form::read(request, &FIELDS)?;
    form::record(&form, record);
    match required(&form, "grant_type")? {
        JWT_BEARER => assertion(google, &form, record),
        REFRESH => refresh(google, &form, record),
        other => Err(Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            format!("Invalid grant_type: {}", shown(other)),
        )),
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    scope: Option<String>,
    target_audience: Option<String>,
    sub: Option<String>,
}

fn assertion(google: &Google, form: &Form, record: &mut Record) -> Result<Value, Refusal> {
    let (email, claims) = verify(required(form, "assertion")?, &google.known.accounts)?;
    record.principal = Some(email.to_owned());
    let now = Timestamp::now().as_second();
    let timely = claims.exp > now
        && claims.iat <= now.saturating_add(CLOCK_SKEW)
        && claims.exp.saturating_sub(claims.iat) <= LONGEST_ASSERTION;
    if !timely {
        return Err(Refusal::invalid_grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        ));
    }
    if claims.aud != AUDIENCE {
        return Err(Refusal::invalid_grant("Invalid JWT: Failed audience check."));
    }
    if claims.sub.is_some_and(|subject| subject != email) {
        return Err(Refusal::oauth(
            StatusCode::UNAUTHORIZED,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method.",
        ));
    }
    match (claims.scope, claims.target_audience) {
        (Some(scope), None) => {
            let scopes = form::scopes(&scope)?;
            record.parameters.insert("scope".to_owned(), shown(&scope).into());
            issue(&google.tokens, Kind::ServiceAccount, email, scopes, record)
        }
        (None, Some(audience)) => {
            record.parameters.insert("audience".to_owned(), shown(&audience).into());
            Ok(json!({"id_token": id_token(&google.id_tokens, email, &audience)?}))
        }
        _ => Err(Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "Invalid OAuth scope or ID token audience provided.",
        )),
    }
}

/// The account that signed an assertion, and what it says.
fn verify<'a>(assertion: &str, accounts: &'a [(String, JwkSet)]) -> Result<(&'a str, Claims), Refusal> {
    let header = jsonwebtoken::decode_header(assertion)
        .map_err(|_| Refusal::invalid_grant("Invalid JWT: not of three base64url parts."))?;
    if header.alg != Algorithm::RS256 {
        return Err(Refusal::invalid_grant("Invalid JWT: must be signed with RS256."));
    }
    let id = header.kid.as_deref().unwrap_or_default();
    for (email, keys) in accounts {
        let Some(key) = keys.find(id).and_then(|jwk| DecodingKey::from_jwk(jwk).ok()) else {
            continue;
        };
        let decoded = jsonwebtoken::decode::<Claims>(assertion, &key, &signature_only(header.alg));
        if let Ok(data) = decoded
            && data.claims.iss == *email
        {
            return Ok((email, data.claims));
        }
    }
    Err(Refusal::invalid_grant("Invalid JWT Signature."))
}

fn refresh(google: &Google, form: &Form, record: &mut Record) -> Result<Value, Refusal> {
    let (id, secret) = (required(form, "client_id")?, required(form, "client_secret")?);
    let token = required(form, "refresh_token")?;
    let person = google.known.person.as_ref();
    let Some(person) = person.filter(|person| person.client_id == id && person.client_secret == secret) else {
        return Err(Refusal::invalid_client("The OAuth client was not found."));
    };
    if person.refresh_token != token {
        return Err(Refusal::invalid_grant("Token has been expired or revoked."));
    }
    record.principal = Some("user:person@example.com".to_owned());
    let scopes = form::scopes(form.get("scope").map_or(PERSONS_SCOPE, String::as_str))?;
    issue(&google.tokens, Kind::Person, "user:person@example.com", scopes, record)
}

fn issue(
    tokens: &Tokens,
    kind: Kind,
    principal: &str,
    scopes: Vec<String>,
    record: &mut Record,
) -> Result<Value, Refusal> {
    let now = Timestamp::now();
    let issued = tokens
        .issue(Grant {
            kind,
            principal: principal.to_owned(),
            scopes,
            client: None,
            issued: now,
            expires: after(now, LIFETIME),
        })
        .ok_or_else(unavailable)?;
    record.token_sha256 = Some(issued.fingerprint);
    Ok(json!({"access_token": issued.token, "expires_in": LIFETIME, "token_type": "Bearer"}))
}

/// An ID token that says to `audience` that its bearer is the account.
///
/// # Errors
///
/// When it cannot be signed.
pub(crate) fn id_token(tokens: &IdTokens, email: &str, audience: &str) -> Result<String, Refusal> {
    tokens.issue(email, audience).ok_or_else(unavailable)
}

fn unavailable() -> Refusal {
    Refusal::oauth(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "Too many live tokens, or no randomness.",
    )
}
