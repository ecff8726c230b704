//! One exchange: a credential turned into an access token, hop by hop.

use super::super::credentials::{AuthorizedUser, Credentials, ExternalAccount, Impersonation, ServiceAccount};
use super::answer::answered;
use super::{AccessToken, Hop, TokenError, subject};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{Answer, Unanswered, Upstream};

/// The scope of model calls, and the only one that the broker asks for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Longest access token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Longest life that an access token is believed to have.
const MAX_LIFE: Duration = Duration::from_hours(12);

/// Fetches a new access token.
///
/// # Errors
/// Says which hop failed, and whether trying again can help.
pub async fn fetch(credentials: &Credentials, upstream: &Upstream) -> Result<AccessToken, TokenError> {
    match credentials {
        Credentials::ExternalAccount(account) => {
            let token = federated(account, upstream).await?;
            match &account.impersonation {
                None => Ok(token),
                Some(impersonation) => impersonate(impersonation, &token.secret, upstream).await,
            }
        }
        Credentials::ServiceAccount(account) => signed(account, upstream).await,
        Credentials::AuthorizedUser(user) => refreshed(user, upstream).await,
        Credentials::Impersonated(impersonated) => {
            let source = Box::pin(fetch(&impersonated.source, upstream)).await?;
            impersonate(&impersonated.impersonation, &source.secret, upstream).await
        }
        Credentials::Metadata(server) => {
            let answer = upstream
                .get_metadata(server, "/instance/service-accounts/default/token")
                .await;
            oauth(Hop::Metadata, answer, &[])
        }
    }
}

/// RFC 8693, as Google's client libraries send it (AIP-4117).
pub(super) async fn federated(account: &ExternalAccount, upstream: &Upstream) -> Result<AccessToken, TokenError> {
    let subject = subject::read(account, upstream).await?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", &account.audience),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", subject.expose()),
        ("subject_token_type", &account.subject_token_type),
    ];
    oauth(
        Hop::Sts,
        upstream.post_form(&account.token_url, &fields).await,
        &[&subject],
    )
}

/// An assertion of a service account's key with `claims` beside the registered ones, exchanged at its token endpoint.
pub(super) async fn assert(
    account: &ServiceAccount,
    claim: (&str, &str),
    upstream: &Upstream,
) -> Result<Answer, TokenError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (name, value) = claim;
    let claims = json!({
        "iss": account.email,
        "aud": account.token_url.to_string(),
        "iat": now,
        "exp": now + 3600,
        name: value,
    });
    let assertion = account
        .key
        .sign(&claims)
        .ok_or_else(|| TokenError::passing(Hop::OAuth, "the system has no randomness to sign with"))?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion.expose()),
    ];
    answered(
        Hop::OAuth,
        upstream.post_form(&account.token_url, &fields).await,
        &[&assertion],
    )
}

async fn signed(account: &ServiceAccount, upstream: &Upstream) -> Result<AccessToken, TokenError> {
    let answer = assert(account, ("scope", SCOPE), upstream).await?;
    token(Hop::OAuth, &answer)
}

async fn refreshed(user: &AuthorizedUser, upstream: &Upstream) -> Result<AccessToken, TokenError> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", user.client_id.as_str()),
        ("client_secret", user.client_secret.expose()),
        ("refresh_token", user.refresh_token.expose()),
    ];
    let answer = upstream.post_form(&user.token_url, &fields).await;
    oauth(Hop::OAuth, answer, &[&user.client_secret, &user.refresh_token])
}

async fn impersonate(to: &Impersonation, bearer: &Secret, upstream: &Upstream) -> Result<AccessToken, TokenError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Token {
        access_token: Secret,
        expire_time: String,
    }
    let body = json!({"scope": [SCOPE], "lifetime": format!("{}s", to.lifetime), "delegates": to.delegates});
    let hop = Hop::Impersonation;
    let answer = answered(hop, upstream.post_json(&to.url, bearer, &body).await, &[bearer])?;
    let no_token = || TokenError::passing(hop, "the answer is not a token");
    let token: Token = serde_json::from_slice(&answer.body).map_err(|_| no_token())?;
    let end: jiff::Timestamp = token.expire_time.parse().map_err(|_| no_token())?;
    let life = Duration::try_from(end.duration_since(jiff::Timestamp::now())).unwrap_or_default();
    usable(
        hop,
        token.access_token,
        life.min(Duration::from_secs(to.lifetime.into())),
    )
}

/// A token in OAuth's shape (RFC 6749 section 5.1).
fn oauth(hop: Hop, answer: Result<Answer, Unanswered>, sent: &[&Secret]) -> Result<AccessToken, TokenError> {
    token(hop, &answered(hop, answer, sent)?)
}

fn token(hop: Hop, answer: &Answer) -> Result<AccessToken, TokenError> {
    #[derive(Deserialize)]
    struct Token {
        access_token: Secret,
        expires_in: u64,
        token_type: String,
    }
    let token: Token =
        serde_json::from_slice(&answer.body).map_err(|_| TokenError::passing(hop, "the answer is not a token"))?;
    if !token.token_type.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::passing(
            hop,
            "the answer holds a token of another type than Bearer",
        ));
    }
    usable(hop, token.access_token, Duration::from_secs(token.expires_in))
}

fn usable(hop: Hop, token: Secret, life: Duration) -> Result<AccessToken, TokenError> {
    // Fit for a header, and for a JSON string as it is.
    let fit = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    let text = token.expose();
    if text.is_empty() || text.len() > MAX_TOKEN || !text.bytes().all(fit) {
        return Err(TokenError::passing(hop, "the answer holds no usable token"));
    }
    if life.is_zero() {
        return Err(TokenError::passing(hop, "the answer holds a token that has ended"));
    }
    Ok(AccessToken::new(token, life.min(MAX_LIFE)))
}
