//! ID tokens: minted by IAM or by the account's own key, only for the audiences that were named at start.
//!
//! An ID token proves to a third party who the pod is, so which third parties is not the agent's choice.

use super::super::credentials::{Credentials, Impersonation};
use super::answer::answered;
use super::exchange::{assert, federated, fetch};
use super::{Hop, TokenError};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use tokio::time::Instant;
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{Answer, Upstream};

/// A token is minted anew when less than this remains.
const REFRESH_BEFORE: Duration = Duration::from_mins(10);

/// No second attempt for an audience within this time after a failed one.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Longest ID token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Hands out ID tokens.
#[derive(Debug)]
pub struct IdTokens {
    credentials: Arc<Credentials>,
    upstream: Upstream,
    audiences: Vec<String>,
    /// Audience → what the last attempt brought. Locked while one is minted: never two at once.
    minted: Mutex<HashMap<String, Minted>>,
}

#[derive(Debug)]
enum Minted {
    Token(Secret, Instant),
    Failed(TokenError, Instant),
}

/// Why there is no ID token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoIdToken {
    /// The audience is not listed, or this kind of identity has no ID tokens.
    Unsupported,
    /// It could not be minted.
    Failed(TokenError),
}

impl IdTokens {
    /// Tokens of `credentials` for `audiences` and no others.
    pub fn new(credentials: Arc<Credentials>, upstream: Upstream, audiences: Vec<String>) -> Self {
        Self {
            credentials,
            upstream,
            audiences,
            minted: Mutex::default(),
        }
    }

    /// A token for `audience`, which lives for some minutes at least.
    ///
    /// # Errors
    /// When there is none, and why.
    pub async fn get(&self, audience: &str) -> Result<Secret, NoIdToken> {
        if !self.audiences.iter().any(|listed| listed == audience) || !self.can_mint() {
            return Err(NoIdToken::Unsupported);
        }
        let mut minted = self.minted.lock().await;
        let now = Instant::now();
        match minted.get(audience) {
            Some(Minted::Token(token, until)) if *until > now => return Ok(token.clone()),
            Some(Minted::Failed(error, until)) if *until > now => return Err(NoIdToken::Failed(error.clone())),
            _ => {}
        }
        let result = self.mint(audience).await;
        let now = Instant::now();
        let (known, answer) = match result {
            Ok(token) => {
                let until = now + life(&token).saturating_sub(REFRESH_BEFORE);
                (Minted::Token(token.clone(), until), Ok(token))
            }
            Err(error) => (
                Minted::Failed(error.clone(), now + AFTER_FAILURE),
                Err(NoIdToken::Failed(error)),
            ),
        };
        minted.insert(audience.to_owned(), known);
        answer
    }

    /// Only service accounts have ID tokens for an audience of one's choice.
    fn can_mint(&self) -> bool {
        match &*self.credentials {
            Credentials::ExternalAccount(account) => account.impersonation.is_some(),
            Credentials::ServiceAccount(_) | Credentials::Impersonated(_) | Credentials::Metadata(_) => true,
            Credentials::AuthorizedUser(_) => false,
        }
    }

    async fn mint(&self, audience: &str) -> Result<Secret, TokenError> {
        #[derive(Deserialize)]
        struct Answered {
            id_token: Secret,
        }
        match &*self.credentials {
            Credentials::ExternalAccount(account) => {
                let bearer = federated(account, &self.upstream).await?;
                match &account.impersonation {
                    Some(impersonation) => self.generate(impersonation, &bearer.secret, audience).await,
                    None => Err(TokenError::refused(
                        Hop::Impersonation,
                        "no service account to impersonate",
                    )),
                }
            }
            Credentials::Impersonated(account) => {
                let bearer = fetch(&account.source, &self.upstream).await?;
                self.generate(&account.impersonation, &bearer.secret, audience).await
            }
            Credentials::ServiceAccount(account) => {
                let answer = assert(account, ("target_audience", audience), &self.upstream).await?;
                let answer: Answered = read(Hop::OAuth, &answer)?;
                usable(Hop::OAuth, answer.id_token)
            }
            Credentials::Metadata(server) => {
                let query: String = form_urlencoded::byte_serialize(audience.as_bytes()).collect();
                let path = format!("/instance/service-accounts/default/identity?audience={query}&format=full");
                let answer = self.upstream.get_metadata(server, &path).await;
                let answer = answered(Hop::Metadata, answer, &[])?;
                if !answer.has_end {
                    return Err(TokenError::passing(
                        Hop::Metadata,
                        "the answer does not say where it ends",
                    ));
                }
                usable(Hop::Metadata, Secret::new(String::from_utf8_lossy(&answer.body).trim()))
            }
            Credentials::AuthorizedUser(_) => Err(TokenError::refused(Hop::OAuth, "a person has no such ID tokens")),
        }
    }

    async fn generate(&self, account: &Impersonation, bearer: &Secret, audience: &str) -> Result<Secret, TokenError> {
        #[derive(Deserialize)]
        struct Answered {
            token: Secret,
        }
        let body = json!({"audience": audience, "includeEmail": true, "delegates": account.delegates});
        let hop = Hop::Impersonation;
        let answer = answered(
            hop,
            self.upstream.post_json(&account.id_token_url, bearer, &body).await,
            &[bearer],
        )?;
        let answer: Answered = read(hop, &answer)?;
        usable(hop, answer.token)
    }
}

fn read<'a, T: Deserialize<'a>>(hop: Hop, answer: &'a Answer) -> Result<T, TokenError> {
    serde_json::from_slice(&answer.body).map_err(|_| TokenError::passing(hop, "the answer is not an ID token"))
}

/// A JWT that fits into a body as it is.
fn usable(hop: Hop, token: Secret) -> Result<Secret, TokenError> {
    let text = token.expose();
    let fit = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.len() > MAX_TOKEN || text.split('.').count() != 3 || !text.bytes().all(fit) {
        return Err(TokenError::passing(hop, "the answer holds no ID token"));
    }
    Ok(token)
}

/// How long a JWT still lives by its own word; nothing when it does not say.
fn life(token: &Secret) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token
        .expose()
        .split('.')
        .nth(1)
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    claims
        .map(|claims| Duration::from_secs(claims.exp).saturating_sub(now))
        .unwrap_or_default()
}
