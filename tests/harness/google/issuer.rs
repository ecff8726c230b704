//! A ServiceAccount issuer: signs tokens as a cluster's API server does.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A signing key with its name, as in the cluster's key set.
#[derive(Debug)]
pub struct Issuer {
    key: KeyPair,
    id: String,
}

impl Issuer {
    /// An issuer with a new RSA key, the kind that clusters use.
    pub fn new(key_id: &str) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
        Self {
            key,
            id: key_id.to_owned(),
        }
    }

    /// The issuer with this key (PEM) and this name for it.
    pub fn of_file(key: &Path, key_id: &str) -> Self {
        let pem = std::fs::read_to_string(key).expect("the key's file");
        Self {
            key: KeyPair::from_pem(&pem).expect("an RSA key in PKCS #8"),
            id: key_id.to_owned(),
        }
    }

    /// The public key as the cluster's `/openid/v1/jwks` shows it.
    pub fn jwks(&self) -> Value {
        let der = self.key.subject_public_key_info();
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).expect("our own key");
        let Ok(PublicKey::RSA(rsa)) = info.parsed() else {
            panic!("our own key is not RSA");
        };
        // DER numbers carry a zero in front when their first bit is set; JSON ones do not.
        let unsigned = |bytes: &[u8]| {
            let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            URL_SAFE_NO_PAD.encode(&bytes[first..])
        };
        json!({"keys": [{
            "use": "sig",
            "kty": "RSA",
            "kid": self.id,
            "alg": "RS256",
            "n": unsigned(rsa.modulus),
            "e": unsigned(rsa.exponent),
        }]})
    }

    /// The private key, as Google hands it out with a service account.
    pub fn private_key(&self) -> String {
        self.key.serialize_pem()
    }

    /// Signs `claims`.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": self.id});
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(message.as_bytes()).expect("a signature");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The claims of a projected token of one hour, as the API server writes them.
pub fn claims(issuer: &str, audience: &str, namespace: &str, account: &str) -> Value {
    let now = now();
    json!({
        "aud": [audience],
        "exp": now + 3600,
        "iat": now,
        "iss": issuer,
        "jti": "4a7d9a3e-0f9c-4d22-9d8e-2f2a8d6a3b10",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": "0d6a5e5c-6f2f-4a43-8b0c-27d1a5ce5f0e"},
            "pod": {"name": "agent-0", "uid": "9f4e1fd7-54c0-4ed7-9b59-3f5d9d0f7c33"},
            "serviceaccount": {"name": account, "uid": "5c1a8ad4-3f0b-4c60-8cfd-7a1f0f9a1f55"},
        },
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    })
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}
