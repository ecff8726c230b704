//! What the exchange needs to begin: five variables, all of them, checked before anything else happens.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use std::collections::BTreeMap;
use vertex_injector_core::allowed::Allowed;
use vertex_injector_core::endpoint::Endpoint;

/// The variables. The child gets none of them.
pub const VARIABLES: [&str; 5] = [
    "SESSION_ID",
    "AMBIENT_API_URL",
    "AMBIENT_CP_TOKEN_URL",
    "AMBIENT_CP_TOKEN_PUBLIC_KEY",
    "CREDENTIAL_IDS",
];

/// Fewest characters of a session's name that the control plane accepts.
const SHORTEST_SESSION: usize = 8;

/// What they say.
pub struct Bootstrap {
    pub(super) session: String,
    pub(super) key: OaepPublicEncryptingKey,
    pub(super) token_url: Endpoint,
    pub(super) credential_url: Endpoint,
    pub(super) credential_token_url: Endpoint,
    pub(super) provider: String,
}

impl Bootstrap {
    /// Reads the variables with `get`.
    ///
    /// # Errors
    /// Every problem at once, one a line, each with its variable.
    pub fn read(get: impl Fn(&str) -> Option<String>, allowed: &Allowed) -> Result<Self, String> {
        let mut problems = Vec::new();
        let session = take(&get, &mut problems, "SESSION_ID", session);
        let base = take(&get, &mut problems, "AMBIENT_API_URL", |url| {
            endpoint(allowed, url).map(|_| url.trim_end_matches('/').to_owned())
        });
        let token_url = take(&get, &mut problems, "AMBIENT_CP_TOKEN_URL", |url| {
            endpoint(allowed, url)
        });
        let key = take(&get, &mut problems, "AMBIENT_CP_TOKEN_PUBLIC_KEY", key);
        let bound = take(&get, &mut problems, "CREDENTIAL_IDS", only);
        let (Some(session), Some(base), Some(token_url), Some(key), Some((provider, id))) =
            (session, base, token_url, key, bound)
        else {
            return Err(problems.join("\n"));
        };
        if session.len() > key.max_plaintext_size(&OAEP_SHA256_MGF1SHA256) {
            return Err("SESSION_ID is longer than AMBIENT_CP_TOKEN_PUBLIC_KEY can encrypt".to_owned());
        }
        let below = |rest: &str| {
            Endpoint::listed(allowed, &format!("{base}/api/ambient/v1/credentials/{id}{rest}"))
                .map_err(|problem| format!("AMBIENT_API_URL {problem}"))
        };
        Ok(Self {
            credential_url: below("")?,
            credential_token_url: below("/token")?,
            session,
            key,
            token_url,
            provider,
        })
    }
}

fn take<T>(
    get: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = match get(name).filter(|value| !value.is_empty()) {
        Some(value) => parse(&value),
        None => Err("is not set".to_owned()),
    };
    parsed
        .map_err(|problem| problems.push(format!("{name} {problem}")))
        .ok()
}

fn endpoint(allowed: &Allowed, url: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::listed(allowed, url)?;
    if endpoint.has_query() {
        return Err("has a query, which this endpoint has not".to_owned());
    }
    Ok(endpoint)
}

fn session(id: &str) -> Result<String, String> {
    if id.chars().count() < SHORTEST_SESSION || id.chars().any(char::is_whitespace) {
        Err(format!(
            "is not a session's name: at least {SHORTEST_SESSION} characters and no white space"
        ))
    } else {
        Ok(id.to_owned())
    }
}

/// A public RSA key as PEM, or in base64 once more, as gateways write it that cannot carry line ends.
fn key(text: &str) -> Result<OaepPublicEncryptingKey, String> {
    let wrong = || "is not a public RSA key (PEM of type PUBLIC KEY, or the base64 of it)".to_owned();
    let pem = if text.contains("-----BEGIN") {
        text.as_bytes().to_vec()
    } else {
        BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong())?
    };
    let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| wrong())?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| wrong())?;
    OaepPublicEncryptingKey::new(key).map_err(|_| wrong())
}

/// The one provider, and its credential.
fn only(json: &str) -> Result<(String, String), String> {
    let ids: BTreeMap<String, String> = serde_json::from_str(json)
        .map_err(|_| "is not a JSON object of strings such as {\"github\":\"CREDENTIAL\"}".to_owned())?;
    let count = ids.len();
    let mut ids = ids.into_iter();
    let (Some((provider, id)), None) = (ids.next(), ids.next()) else {
        return Err(format!(
            "names {count} providers; it must name exactly the one of this sidecar"
        ));
    };
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    let well_formed = |text: &str| !text.is_empty() && text.len() <= 253 && text.bytes().all(known);
    if !well_formed(&provider) {
        return Err("has a provider that is no name of letters, digits, '_' and '-'".to_owned());
    }
    if !well_formed(&id) {
        return Err(format!(
            "has an id for {provider} with other characters than letters, digits, '_' and '-'"
        ));
    }
    Ok((provider, id))
}
