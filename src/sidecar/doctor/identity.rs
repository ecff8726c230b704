//! What an identity token says, of which only claims without secrets are shown.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use vertex_injector_net::secret::Secret;

/// Longest claim that is shown, in characters.
const LONGEST: usize = 200;

/// Claims of a ServiceAccount's token (RFC 7519).
#[derive(Deserialize, Debug)]
pub(super) struct Claims {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Audiences,
    /// Seconds since 1970.
    pub(super) exp: Option<i64>,
}

/// One may stand alone.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Claims {
    /// Reads a token; `None` when it is no JWT.
    pub(super) fn of(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&json).ok()
    }

    pub(super) fn issuer(&self) -> String {
        shown(&self.iss)
    }

    pub(super) fn subject(&self) -> String {
        shown(&self.sub)
    }

    /// Whom it is for.
    pub(super) fn audiences(&self) -> Vec<String> {
        let all = match &self.aud {
            Audiences::One(one) => std::slice::from_ref(one),
            Audiences::Several(several) => several.as_slice(),
        };
        all.iter().take(4).map(|audience| shown(audience)).collect()
    }

    /// Namespace and name of the ServiceAccount, as clusters write subjects.
    pub(super) fn service_account(&self) -> Option<(&str, &str)> {
        self.sub.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// A claim as one word.
fn shown(claim: &str) -> String {
    let graphic = |c: &char| c.is_ascii_graphic();
    claim.chars().filter(graphic).take(LONGEST).collect()
}
