//! A platform's endpoint for credentials, which is no service of Google's but asks for the same thing: a token of this cluster.

use http::Method;
use serde_json::{Value, json};

use super::reply::Refusal;
use super::{Google, Received, subject_token};
use crate::journal::Record;

/// Its host.
pub(super) const HOST: &str = "credentials.example.com";

/// What it hands out.
const CREDENTIAL: &str = "fake-credential-of-a-tool";

/// Gives the credential to whoever brings a token that the cluster has signed.
///
/// # Errors
///
/// 401 without such a token, 404 for everything but `GET /v1/tool`.
pub(super) async fn answer(google: &Google, request: &Received, record: &mut Record) -> Result<Value, Refusal> {
    if (&request.parts.method, request.parts.uri.path()) != (&Method::GET, "/v1/tool") {
        return Err(Refusal::not_found());
    }
    "credential".clone_into(&mut record.operation);
    let token = request.authorization("Bearer");
    let token = token.ok_or_else(|| Refusal::unauthenticated("No token of the cluster."))?;
    let keys = google.keys.fetch().await;
    let keys = keys.map_err(|error| Refusal::unauthenticated(format!("No keys of the issuer: {error:#}.")))?;
    let claims = subject_token::verify(token, &keys)?;
    record.claims = Some(claims.for_journal());
    Ok(json!({"token": CREDENTIAL}))
}
