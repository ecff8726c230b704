//! Judges a Kubernetes ServiceAccount token as a workload identity provider does.

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Trust;
use super::reply::Refusal;
use crate::journal::shown;

/// How far the clocks of the cluster and of Google may differ, in seconds.
const CLOCK_SKEW: i64 = 60;
/// The longest lifetime of a subject token: a day, in seconds.
const LONGEST_LIFETIME: i64 = 24 * 60 * 60;
/// The longest `google.subject`, in bytes. Long names of namespaces and accounts reach it.
const LONGEST_SUBJECT: usize = 127;

/// What the provider looks at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    /// Who issued the token.
    pub iss: String,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
    /// Whom it is meant for.
    pub aud: Audience,
    /// When it expires, in seconds since the epoch.
    pub exp: i64,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// Kubernetes' own claims.
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Kubernetes,
}

/// `aud` may be one string or a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    /// A string.
    One(String),
    /// A list of strings.
    Many(Vec<String>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Kubernetes {
    namespace: Option<String>,
    pod: Option<Named>,
    serviceaccount: Option<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Named {
    name: String,
}

impl Claims {
    /// What the journal keeps of them.
    pub(super) fn for_journal(&self) -> Value {
        let name = |named: &Option<Named>| named.as_ref().map(|named| shown(&named.name));
        json!({
            "iss": shown(&self.iss),
            "sub": shown(&self.sub),
            "aud": self.aud.values().iter().map(|value| shown(value)).collect::<Vec<_>>(),
            "exp": self.exp,
            "iat": self.iat,
            "namespace": self.kubernetes.namespace.as_deref().map(shown),
            "pod": name(&self.kubernetes.pod),
            "serviceaccount": name(&self.kubernetes.serviceaccount),
        })
    }
}

impl Audience {
    fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// The claims of `token`, if one of `keys` signed it. They are true, not yet acceptable.
///
/// # Errors
///
/// `invalid_grant`, saying what is wrong with the token but nothing of its text.
pub(super) fn verify(token: &str, keys: &JwkSet) -> Result<Claims, Refusal> {
    if token.trim() != token {
        return Err(Refusal::invalid_grant(
            "The ID Token begins or ends with white space. Clients send their file as it is: it must hold the token and nothing else, not even a newline.",
        ));
    }
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| Refusal::invalid_grant("The ID Token is not a JWT of three base64url parts."))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(Refusal::invalid_grant(format!(
            "The ID Token is signed with {:?}. Supported: RS256, ES256.",
            header.alg
        )));
    }
    let Some(id) = &header.kid else {
        return Err(Refusal::invalid_grant("The ID Token's header names no key (kid)."));
    };
    let Some(jwk) = keys.find(id) else {
        return Err(Refusal::invalid_grant(format!(
            "The ID Token was signed with the key {}, which is not one of the issuer's.",
            shown(id)
        )));
    };
    let key = DecodingKey::from_jwk(jwk)
        .map_err(|_| Refusal::invalid_grant(format!("The issuer's key {} is not usable.", shown(id))))?;
    jsonwebtoken::decode::<Claims>(token, &key, &signature_only(header.alg))
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::Json(_) => Refusal::invalid_grant(
                "The ID Token lacks one of the claims iss, sub, aud, exp, iat, or one has the wrong type.",
            ),
            _ => Refusal::invalid_grant(format!(
                "The signature of the ID Token does not verify with the issuer's key {}.",
                shown(id)
            )),
        })
}

/// Whether the provider accepts verified claims.
///
/// # Errors
///
/// `invalid_grant`, naming the claim, its value and what was expected.
pub(super) fn accept(claims: &Claims, trust: &Trust, now: Timestamp) -> Result<(), Refusal> {
    let now = now.as_second();
    if claims.iss != trust.issuer {
        return Err(Refusal::invalid_grant(format!(
            "The issuer in ID Token {} does not match the expected one: {}.",
            shown(&claims.iss),
            trust.issuer
        )));
    }
    let audiences = claims.aud.values();
    if !audiences
        .iter()
        .any(|audience| trust.allowed_audiences.contains(audience))
    {
        let given: Vec<_> = audiences.iter().map(|value| shown(value)).collect();
        return Err(Refusal::invalid_grant(format!(
            "The audience in ID Token [{}] does not match the expected audience {}.",
            given.join(", "),
            trust.allowed_audiences.join(" or ")
        )));
    }
    if claims.exp <= now {
        return Err(Refusal::invalid_grant(format!(
            "The ID Token expired {} s ago.",
            now.saturating_sub(claims.exp)
        )));
    }
    if claims.iat > now.saturating_add(CLOCK_SKEW) {
        return Err(Refusal::invalid_grant("The ID Token was issued in the future (iat)."));
    }
    let lifetime = claims.exp.saturating_sub(claims.iat);
    if lifetime > LONGEST_LIFETIME {
        return Err(Refusal::invalid_grant(format!(
            "The ID Token is valid for {lifetime} s. At most {LONGEST_LIFETIME} s are accepted."
        )));
    }
    if !is_service_account(&claims.sub) {
        return Err(Refusal::invalid_grant(format!(
            "The subject in ID Token {} is not of the form system:serviceaccount:NAMESPACE:NAME.",
            shown(&claims.sub)
        )));
    }
    if claims.sub.len() > LONGEST_SUBJECT {
        return Err(Refusal::invalid_grant(format!(
            "The size of mapped attribute google.subject exceeds the {LONGEST_SUBJECT} bytes limit."
        )));
    }
    Ok(())
}

/// Everything but the signature is judged by us, so that each refusal can say what was expected.
pub(super) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn is_service_account(subject: &str) -> bool {
    let name = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    };
    matches!(
        subject.split(':').collect::<Vec<_>>().as_slice(),
        ["system", "serviceaccount", namespace, account] if name(namespace) && name(account)
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Trust;
    use super::{Audience, Claims, Kubernetes, accept};

    const NOW: i64 = 1_800_000_000;

    fn trust() -> Trust {
        Trust {
            issuer: "https://kubernetes.default.svc".to_owned(),
            provider: "projects/1/locations/global/workloadIdentityPools/p/providers/q".to_owned(),
            allowed_audiences: vec!["first".to_owned(), "second".to_owned()],
            service_accounts: Vec::new(),
            max_lifetime_seconds: 3600,
            federated_lifetime_seconds: 3600,
        }
    }

    fn good() -> Claims {
        Claims {
            iss: "https://kubernetes.default.svc".to_owned(),
            sub: "system:serviceaccount:agents:default".to_owned(),
            aud: Audience::Many(vec!["other".to_owned(), "second".to_owned()]),
            exp: NOW + 3600,
            iat: NOW,
            kubernetes: Kubernetes::default(),
        }
    }

    fn refusal(claims: &Claims) -> String {
        let now = Timestamp::from_second(NOW).unwrap();
        accept(claims, &trust(), now).unwrap_err().message().to_owned()
    }

    #[test]
    fn one_allowed_audience_among_several_is_enough() {
        let now = Timestamp::from_second(NOW).unwrap();
        assert_eq!(accept(&good(), &trust(), now), Ok(()));
    }

    #[test]
    fn a_token_is_valid_until_the_second_of_its_expiry() {
        let now = Timestamp::from_second(NOW).unwrap();
        let mut claims = good();
        claims.iat = NOW - 600;
        claims.exp = NOW + 1;
        assert_eq!(accept(&claims, &trust(), now), Ok(()));
        claims.exp = NOW;
        assert_eq!(refusal(&claims), "The ID Token expired 0 s ago.");
    }

    #[test]
    fn a_token_that_lives_longer_than_a_day_is_refused() {
        let mut claims = good();
        claims.exp = NOW + 86_401;
        assert_eq!(
            refusal(&claims),
            "The ID Token is valid for 86401 s. At most 86400 s are accepted."
        );
    }

    #[test]
    fn a_token_from_the_future_is_refused_beyond_the_clock_skew() {
        let mut claims = good();
        claims.iat = NOW + 61;
        assert_eq!(refusal(&claims), "The ID Token was issued in the future (iat).");
    }

    #[test]
    fn a_subject_that_is_not_a_service_account_is_refused() {
        for subject in [
            "system:node:worker-1",
            "system:serviceaccount:agents",
            "system:serviceaccount:agents:",
            "system:serviceaccount:agents:a:b",
            "system:serviceaccount:Agents:default",
        ] {
            let mut claims = good();
            subject.clone_into(&mut claims.sub);
            assert!(
                refusal(&claims).starts_with(&format!("The subject in ID Token {subject} is not")),
                "{subject}"
            );
        }
    }

    #[test]
    fn a_subject_longer_than_google_can_map_is_refused() {
        let mut claims = good();
        claims.sub = format!("system:serviceaccount:{}:{}", "n".repeat(63), "a".repeat(63));
        assert_eq!(
            refusal(&claims),
            "The size of mapped attribute google.subject exceeds the 127 bytes limit."
        );
    }
}
