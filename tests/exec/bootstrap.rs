//! What the exchange needs to begin, and what is said when it is not there. Also the keys of these tests.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashMap;
use std::sync::OnceLock;
use vertex_injector_core::allowed::Allowed;
use vertex_injector_sidecar::exec::source::ambient::bootstrap::{Bootstrap, VARIABLES};

pub(crate) const SESSION: &str = "session-0123456789";

/// The control plane's key: PEM of the public half, DER of the private one.
pub(crate) fn keys() -> &'static (String, Vec<u8>) {
    static KEYS: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("its public half");
        let private: Pkcs8V1Der<'_> = key.as_der().expect("its encoding");
        (pem("PUBLIC KEY", public.as_ref()), private.as_ref().to_vec())
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The environment of a sidecar whose control plane is on loopback.
pub(crate) fn environment() -> HashMap<&'static str, String> {
    HashMap::from([
        ("SESSION_ID", SESSION.to_owned()),
        ("AMBIENT_API_URL", "http://127.0.0.1:8000".to_owned()),
        ("AMBIENT_CP_TOKEN_URL", "http://127.0.0.1:8080/token".to_owned()),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", keys().0.clone()),
        ("CREDENTIAL_IDS", r#"{"github":"cred_1-A"}"#.to_owned()),
    ])
}

pub(crate) fn bootstrap(environment: &HashMap<&'static str, String>) -> Result<Bootstrap, String> {
    Bootstrap::read(|name| environment.get(name).cloned(), &Allowed::default())
}

#[test]
fn each_missing_variable_is_named_and_so_are_all_at_once() {
    assert!(bootstrap(&environment()).is_ok());
    for name in VARIABLES {
        for value in [None, Some(String::new())] {
            let mut environment = environment();
            environment.remove(name);
            if let Some(value) = value {
                environment.insert(name, value);
            }
            let problems = bootstrap(&environment).err().expect("refused");
            assert_eq!(problems, format!("{name} is not set"));
        }
    }
    let problems = bootstrap(&HashMap::new()).err().expect("refused");
    assert_eq!(
        problems.lines().collect::<Vec<_>>(),
        VARIABLES.map(|name| format!("{name} is not set"))
    );
}

#[test]
fn what_a_variable_cannot_say_is_refused_without_repeating_it() {
    let private = pem("PRIVATE KEY", &keys().1);
    let certificate = pem("CERTIFICATE", b"canary");
    let garbage = pem("PUBLIC KEY", b"canary");
    for (name, value, words) in [
        ("CREDENTIAL_IDS", "canary", "is not a JSON object of strings"),
        ("CREDENTIAL_IDS", "{canary", "is not a JSON object of strings"),
        ("CREDENTIAL_IDS", r#"["canary"]"#, "is not a JSON object of strings"),
        ("CREDENTIAL_IDS", r#""canary""#, "is not a JSON object of strings"),
        ("CREDENTIAL_IDS", r#"{"github":5}"#, "is not a JSON object of strings"),
        (
            "CREDENTIAL_IDS",
            r#"{"github":null}"#,
            "is not a JSON object of strings",
        ),
        (
            "CREDENTIAL_IDS",
            r#"{"github":{"id":"canary"}}"#,
            "is not a JSON object of strings",
        ),
        (
            "CREDENTIAL_IDS",
            r#"{"github":"a"} canary"#,
            "is not a JSON object of strings",
        ),
        ("CREDENTIAL_IDS", "{}", "names 0 providers"),
        (
            "CREDENTIAL_IDS",
            r#"{"github":"canary1","jira":"canary2"}"#,
            "names 2 providers",
        ),
        ("CREDENTIAL_IDS", r#"{"github":""}"#, "has an id for github"),
        ("CREDENTIAL_IDS", r#"{"github":"../canary"}"#, "has an id for github"),
        (
            "CREDENTIAL_IDS",
            r#"{"github":"canary/token?x"}"#,
            "has an id for github",
        ),
        ("CREDENTIAL_IDS", r#"{"git\nhub":"canary"}"#, "has a provider"),
        ("SESSION_ID", "canary7", "at least 8 characters"),
        ("SESSION_ID", "canary canary", "no white space"),
        ("SESSION_ID", "canary-canary\n", "no white space"),
        ("AMBIENT_API_URL", "canary", "is neither https nor http"),
        ("AMBIENT_API_URL", "http://127.0.0.1:8000/?canary", "has a query"),
        ("AMBIENT_API_URL", "http://canary-user@127.0.0.1:8000/", "has a user"),
        (
            "AMBIENT_API_URL",
            "http://api.ambient.svc:8000",
            "add --allow-host api.ambient.svc:8000",
        ),
        (
            "AMBIENT_CP_TOKEN_URL",
            "http://evil.svc/token",
            "add --allow-host evil.svc:80",
        ),
        ("AMBIENT_CP_TOKEN_URL", "http://127.0.0.1.:8000/token", "ends in a dot"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", "canary", "is not a public RSA key"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", "Y2FuYXJ5", "is not a public RSA key"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", &private, "is not a public RSA key"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", &certificate, "is not a public RSA key"),
        ("AMBIENT_CP_TOKEN_PUBLIC_KEY", &garbage, "is not a public RSA key"),
    ] {
        let mut environment = environment();
        environment.insert(name, value.to_owned());
        let problem = bootstrap(&environment)
            .err()
            .unwrap_or_else(|| panic!("{name}={value} is accepted"));
        assert!(problem.starts_with(&format!("{name} ")), "{value}: {problem}");
        assert!(problem.contains(words), "{value}: {problem}");
        assert!(
            !problem.contains("canary") && !problem.contains("Y2FuYXJ5"),
            "{problem}"
        );
    }
}

#[test]
fn a_session_longer_than_the_key_can_encrypt_is_refused_at_once() {
    let mut environment = environment();
    environment.insert("SESSION_ID", "s".repeat(191));
    let problem = bootstrap(&environment).err().expect("refused");
    assert!(problem.contains("longer than AMBIENT_CP_TOKEN_PUBLIC_KEY"), "{problem}");
    environment.insert("SESSION_ID", "s".repeat(190));
    assert!(bootstrap(&environment).is_ok());
}

#[test]
fn the_key_may_be_pem_or_the_base64_of_pem() {
    let mut environment = environment();
    environment.insert("AMBIENT_CP_TOKEN_PUBLIC_KEY", BASE64_STANDARD.encode(&keys().0));
    assert!(bootstrap(&environment).is_ok());
}
