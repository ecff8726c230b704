//! The exchange of the Ambient Code platform: the session's name, encrypted for the control plane, becomes a token of its
//! API, and that becomes the credential.
//!
//! It authenticates nobody: whoever has the public key and the URL can do the same, and the agent has both. The projected token
//! of [`super::http`] is better wherever the platform accepts it.

pub mod bootstrap;

use super::credential::{Credential, FetchError, LIMITS, accept, client};
use crate::exec::fields::Fields;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bootstrap::Bootstrap;
use std::time::Duration;
use tokio::time::sleep;
use tracing::debug;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{Answer, Upstream};

/// Pauses between attempts at the control plane, as its own client makes them.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

const TOKEN_ADVICE: &str =
    "check AMBIENT_CP_TOKEN_URL, and that AMBIENT_CP_TOKEN_PUBLIC_KEY is this control plane's key";

const API_ADVICE: &str =
    "check AMBIENT_API_URL, and that the credential in CREDENTIAL_IDS exists and is bound to the session";

/// The exchange, ready to be made.
pub struct Ambient {
    bootstrap: Bootstrap,
    upstream: Upstream,
}

impl Ambient {
    /// The exchange that the environment describes.
    ///
    /// # Errors
    /// When there are no trusted certificates for https.
    pub fn new(bootstrap: Bootstrap, egress: &Egress) -> std::io::Result<Self> {
        let upstream = client(&[&bootstrap.token_url, &bootstrap.credential_url], egress)?;
        Ok(Self::over(bootstrap, upstream))
    }

    /// The same over a client of one's own.
    pub fn over(bootstrap: Bootstrap, upstream: Upstream) -> Self {
        Self {
            bootstrap,
            upstream: upstream.limited(LIMITS),
        }
    }

    /// Whose credential it is.
    pub fn provider(&self) -> &str {
        &self.bootstrap.provider
    }

    pub(super) fn place(&self) -> String {
        let (token, api) = (self.bootstrap.token_url.host(), self.bootstrap.credential_url.host());
        if token == api {
            token.to_string()
        } else {
            format!("{token}, {api}")
        }
    }

    pub(super) async fn fetch(&self) -> Result<Credential, FetchError> {
        let bearer = self.api_token().await?;
        let what = format!("the credential's token from {}", self.bootstrap.credential_url.host());
        let url = &self.bootstrap.credential_token_url;
        let answer = accept(&what, self.upstream.get(url, &bearer).await, API_ADVICE)?;
        let token = read(&what, &answer, API_ADVICE)?;

        // Its address, user and so on; a provider that needs none of these works without.
        let what = format!(
            "the credential's metadata from {}",
            self.bootstrap.credential_url.host()
        );
        let url = &self.bootstrap.credential_url;
        let metadata = accept(&what, self.upstream.get(url, &bearer).await, API_ADVICE)
            .and_then(|answer| read(&what, &answer, API_ADVICE));
        let incomplete = metadata.is_err();
        let mut fields = metadata.unwrap_or_else(|error| {
            debug!(detail = error.detail, "going on without the credential's metadata");
            Fields::default()
        });
        fields.merge(token);
        Ok(Credential {
            fields,
            expires: None,
            incomplete,
        })
    }

    async fn api_token(&self) -> Result<Secret, FetchError> {
        let what = format!("the control plane {}", self.bootstrap.token_url.host());
        let ciphertext = self.ciphertext()?;
        let mut pauses = PAUSES.into_iter();
        let answer = loop {
            let answer = self.upstream.get(&self.bootstrap.token_url, &ciphertext).await;
            match (accept(&what, answer, TOKEN_ADVICE), pauses.next()) {
                (Err(error), Some(pause)) if !error.refused => {
                    debug!(detail = error.detail, "trying the control plane again");
                    sleep(pause).await;
                }
                (outcome, _) => break outcome?,
            }
        };
        let minted = Fields::from_json(&answer.body).ok();
        let token = minted.as_ref().and_then(|fields| fields.get("token"));
        token
            .filter(|token| !token.expose().is_empty())
            .cloned()
            .ok_or_else(|| FetchError {
                refused: true,
                detail: format!("{what}: its answer of {} bytes has no token", answer.body.len()),
                advice: TOKEN_ADVICE,
            })
    }

    /// RSA-OAEP with SHA-256 and no label over the session's name, in base64: the bearer that the control plane wants.
    fn ciphertext(&self) -> Result<Secret, FetchError> {
        let Bootstrap { session, key, .. } = &self.bootstrap;
        let mut buffer = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA256_MGF1SHA256, session.as_bytes(), &mut buffer, None)
            .map(|ciphertext| Secret::new(BASE64_STANDARD.encode(ciphertext)))
            .map_err(|_| FetchError {
                refused: true,
                detail: "SESSION_ID cannot be encrypted".to_owned(),
                advice: TOKEN_ADVICE,
            })
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ambient({})", self.place())
    }
}

fn read(what: &str, answer: &Answer, advice: &'static str) -> Result<Fields, FetchError> {
    Fields::from_json(&answer.body).map_err(|problem| FetchError {
        refused: true,
        detail: format!("{what}: the answer of {} bytes {problem}", answer.body.len()),
        advice,
    })
}
