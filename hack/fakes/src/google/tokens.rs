//! The access tokens that were issued in this run: opaque, random, remembered by fingerprint.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

/// How many live tokens are remembered; a client that loops must not fill the memory.
const MOST: usize = 10_000;

/// Which service issued a token. Google's services tell them apart, and so must we: a
/// service account's own token may not be exchanged for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By the Security Token Service, for a federated identity.
    Federated,
    /// By IAM Credentials or for its key, for a service account.
    ServiceAccount,
    /// For a person's refresh token.
    Person,
}

/// What is known about an issued token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who issued it.
    pub kind: Kind,
    /// Whom it stands for: `principal://…` or an email.
    pub principal: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The OAuth client that it was issued to, when the client named itself.
    pub client: Option<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
}

/// A new token: its text goes to the client, its fingerprint to the journal.
#[derive(Debug)]
pub(crate) struct Issued {
    /// What the client gets.
    pub token: String,
    /// SHA-256 in hexadecimal.
    pub fingerprint: String,
}

/// All tokens of this run.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    grants: Mutex<HashMap<String, Grant>>,
}

impl Tokens {
    /// Issues a token. `None` when too many are live or there is no randomness.
    pub(crate) fn issue(&self, grant: Grant) -> Option<Issued> {
        let mut random = [0_u8; 32];
        rand::fill(&mut random).ok()?;
        // The prefixes are Google's own.
        let prefix = match grant.kind {
            Kind::Federated => "ya29.d.fake-",
            Kind::ServiceAccount => "ya29.c.fake-",
            Kind::Person => "ya29.a0.fake-",
        };
        let token = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
        let fingerprint = fingerprint(&token);

        let now = Timestamp::now();
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if grants.len() >= MOST {
            grants.retain(|_, grant| grant.expires > now);
        }
        if grants.len() >= MOST {
            return None;
        }
        grants.insert(fingerprint.clone(), grant);
        Some(Issued { token, fingerprint })
    }

    /// What `token` was issued for, if it was issued here and is still valid.
    pub(crate) fn find(&self, token: &str) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(&fingerprint(token))?;
        (grant.expires > Timestamp::now()).then(|| grant.clone())
    }
}

/// `seconds` after `from`.
pub(super) fn after(from: Timestamp, seconds: u32) -> Timestamp {
    from.saturating_add(SignedDuration::from_secs(seconds.into()))
        .unwrap_or(Timestamp::MAX)
}

/// Whether `scope` has the shape of one of Google's scopes.
pub(super) fn is_scope(scope: &str) -> bool {
    const PREFIX: &str = "https://www.googleapis.com/auth/";
    matches!(scope, "openid" | "email" | "profile")
        || scope
            .strip_prefix(PREFIX)
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// SHA-256 in hexadecimal: tells tokens apart without showing them.
pub(super) fn fingerprint(token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
