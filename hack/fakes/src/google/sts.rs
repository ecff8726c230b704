//! The Security Token Service: exchanges a cluster's token for a federated access token, and says
//! whose token one is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::form::{self, exactly, required};
use super::reply::Refusal;
use super::subject_token;
use super::tokens::{Grant, Kind, after};
use super::{Google, Received, Trust};
use crate::journal::{Record, shown};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const EXCHANGE_FIELDS: [&str; 7] = [
    "grant_type",
    "audience",
    "scope",
    "requested_token_type",
    "subject_token",
    "subject_token_type",
    "options",
];
const INTROSPECTION_FIELDS: [&str; 2] = ["token", "token_type_hint"];
/// gcloud's own OAuth client, the only one that names itself here. Public, like its secret.
const GCLOUD: &str = "32555940559.apps.googleusercontent.com";

/// Answers a request to `sts.googleapis.com`.
///
/// # Errors
///
/// OAuth errors for the two operations, 404 for everything else.
pub(super) async fn answer(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    match (&request.parts.method, request.parts.uri.path()) {
        (&Method::POST, "/v1/token") => {
            "token".clone_into(&mut record.operation);
            token(google, request, record).await
        }
        (&Method::POST, "/v1/introspect") => {
            "introspect".clone_into(&mut record.operation);
            introspect(google, request, record)
        }
        _ => Err(Refusal::not_found()),
    }
}

async fn token(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    let form = form::read(request, &EXCHANGE_FIELDS)?;
    form::record(&form, record);
    let client = client(request)?;
    if let Some(client) = &client {
        record.parameters.insert("client".to_owned(), client.as_str().into());
    }

    let grant_type = required(&form, "grant_type")?;
    if grant_type != TOKEN_EXCHANGE {
        return Err(Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            format!("grant_type is {}; expected {TOKEN_EXCHANGE}.", shown(grant_type)),
        ));
    }
    exactly(&form, "requested_token_type", ACCESS_TOKEN)?;
    exactly(&form, "subject_token_type", JWT)?;
    let scopes = form::scopes(required(&form, "scope")?)?;
    audience(required(&form, "audience")?, &google.trust)?;
    if let Some(options) = form.get("options") {
        check_options(options)?;
    }

    let subject_token = required(&form, "subject_token")?;
    let keys = google.keys.fetch().await.map_err(|error| {
        Refusal::invalid_grant(format!("Error connecting to the given credential's issuer: {error:#}."))
    })?;
    let claims = subject_token::verify(subject_token, &keys)?;
    record.claims = Some(claims.for_journal());
    let now = Timestamp::now();
    subject_token::accept(&claims, &google.trust, now)?;

    let principal = principal(&google.trust, &claims.sub);
    record.principal = Some(principal.clone());
    let issued = google
        .tokens
        .issue(Grant {
            kind: Kind::Federated,
            principal,
            scopes,
            client,
            issued: now,
            expires: after(now, google.trust.federated_lifetime_seconds),
        })
        .ok_or_else(|| {
            Refusal::oauth(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "Too many live tokens.",
            )
        })?;
    record.token_sha256 = Some(issued.fingerprint);
    Ok(json!({
        "access_token": issued.token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": google.trust.federated_lifetime_seconds,
    }))
}

fn introspect(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    let form = form::read(request, &INTROSPECTION_FIELDS)?;
    form::record(&form, record);
    let Some(client) = client(request)? else {
        return Err(Refusal::invalid_client(
            "Introspection needs the client's own credentials (Basic).",
        ));
    };
    record.parameters.insert("client".to_owned(), client.as_str().into());
    if form.contains_key("token_type_hint") {
        exactly(&form, "token_type_hint", ACCESS_TOKEN)?;
    }
    let grant = google.tokens.find(required(&form, "token")?);
    // A client may only ask about tokens that were issued to it.
    let Some(grant) =
        grant.filter(|grant| grant.kind == Kind::Federated && grant.client.as_deref() == Some(client.as_str()))
    else {
        return Ok(json!({"active": false}));
    };
    record.principal = Some(grant.principal.clone());
    Ok(json!({
        "active": true,
        "scope": grant.scopes.join(" "),
        "client_id": client,
        "username": grant.principal,
        "sub": grant.principal,
        "iss": "https://sts.googleapis.com/",
        "iat": grant.issued.as_second(),
        "exp": grant.expires.as_second(),
    }))
}

fn audience(value: &str, trust: &Trust) -> Result<(), Refusal> {
    const PREFIX: &str = "//iam.googleapis.com/";
    let Some(provider) = value.strip_prefix(PREFIX) else {
        return Err(Refusal::invalid_request(format!(
            "Invalid value for \"audience\": {}. This value should be the full resource name of the Identity Provider: {PREFIX}projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER.",
            shown(value)
        )));
    };
    if provider != trust.provider {
        return Err(Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "invalid_target",
            format!(
                "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist: {}.",
                shown(value)
            ),
        ));
    }
    Ok(())
}

fn check_options(options: &str) -> Result<(), Refusal> {
    let parsed: Option<Value> = serde_json::from_str(options).ok();
    let well_formed = parsed.as_ref().and_then(Value::as_object).is_some_and(|map| {
        map.iter()
            .all(|(name, value)| name == "userProject" && value.is_string())
    });
    if well_formed {
        Ok(())
    } else {
        Err(Refusal::invalid_request(
            "options is not a JSON object with userProject alone.",
        ))
    }
}

/// The OAuth client that names itself with Basic authentication, if any does.
fn client(request: &Received) -> Result<Option<String>, Refusal> {
    if !request.parts.headers.contains_key(http::header::AUTHORIZATION) {
        return Ok(None);
    }
    let credentials = request
        .authorization("Basic")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match credentials.as_deref().and_then(|text| text.split_once(':')) {
        Some((GCLOUD, secret)) if !secret.is_empty() => Ok(Some(GCLOUD.to_owned())),
        _ => Err(Refusal::invalid_client("The OAuth client was not found.")),
    }
}

fn principal(trust: &Trust, subject: &str) -> String {
    let pool = trust
        .provider
        .split_once("/providers/")
        .map_or(trust.provider.as_str(), |(pool, _)| pool);
    format!("principal://iam.googleapis.com/{pool}/subject/{subject}")
}
