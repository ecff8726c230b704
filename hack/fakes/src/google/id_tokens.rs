//! ID tokens of service accounts, signed with a key of this run.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What Google's say.
const ISSUER: &str = "https://accounts.google.com";
/// Their lifetime, in seconds.
const LIFETIME: i64 = 3600;

/// Signs them. The key is made when the first one is asked for.
#[derive(Debug, Default)]
pub(crate) struct IdTokens {
    key: OnceLock<Option<RsaKeyPair>>,
}

impl IdTokens {
    /// A token for `audience`. `None` when there is no randomness.
    pub(crate) fn issue(&self, email: &str, audience: &str) -> Option<String> {
        let key = self
            .key
            .get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).ok())
            .as_ref()?;
        let now = Timestamp::now().as_second();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256", "kid": "fake-google-1", "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER,
            "aud": audience,
            "azp": "103654780123456789012",
            "sub": "103654780123456789012",
            "email": email,
            "email_verified": true,
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
        });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
