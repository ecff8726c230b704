//! What a credential file must hold. Every refusal names the field; none repeats its content.

use rcgen::KeyPair;
use serde_json::{Value, json};
use vertex_injector_sidecar::broker::credentials::Credentials;

const CANARY: &str = "canary-content-of-the-file";

pub(crate) fn external_account() -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/var/run/token", "format": {"type": "text"}},
    })
}

/// As the action `google-github-actions/auth` writes it for a job of GitHub.
pub(crate) fn from_url() -> Value {
    let mut file = external_account();
    file["credential_source"] = json!({
        "url": "https://run-actions-1.actions.githubusercontent.com/7/idtoken/8?api-version=2.0&audience=https%3A%2F%2Fiam.example",
        "headers": {"Authorization": "Bearer request-token"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    file
}

pub(crate) fn impersonating() -> Value {
    let mut file = external_account();
    file["service_account_impersonation_url"] = json!(
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/agent@p.iam.gserviceaccount.com:generateAccessToken"
    );
    file
}

pub(crate) fn service_account(key: &KeyPair) -> Value {
    json!({
        "type": "service_account",
        "client_email": "agent@p.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": key.serialize_pem(),
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

pub(crate) fn authorized_user() -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "client-secret",
        "refresh_token": "refresh-token",
    })
}

pub(crate) fn rsa() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key")
}

pub(crate) fn parse(file: &Value) -> Credentials {
    Credentials::parse(file.to_string().as_bytes()).expect("a usable file")
}

/// The refusal of `file` with the member at `pointer` replaced, or removed.
fn refusal(mut file: Value, pointer: &str, value: Option<Value>) -> String {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = file
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("an object");
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    match Credentials::parse(file.to_string().as_bytes()) {
        Err(error) => error.to_string(),
        Ok(credentials) => panic!("{pointer} does not matter: {credentials:?}"),
    }
}

#[test]
fn an_unusable_field_is_named_and_its_content_is_not_shown() {
    let key = rsa();
    let nested = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonating()["service_account_impersonation_url"],
        "source_credentials": authorized_user(),
    });
    let canary = || Some(json!(CANARY));
    let number = || Some(json!(4711));
    let cases: Vec<(Value, &str, Option<Value>)> = vec![
        (external_account(), "/type", None),
        (external_account(), "/type", canary()),
        (external_account(), "/type", number()),
        (external_account(), "/audience", None),
        (external_account(), "/audience", Some(json!(""))),
        (external_account(), "/audience", number()),
        (external_account(), "/subject_token_type", None),
        (external_account(), "/token_url", canary()),
        (external_account(), "/token_url", number()),
        (
            external_account(),
            "/token_url",
            Some(json!(format!("http://sts.googleapis.com/{CANARY}"))),
        ),
        (
            external_account(),
            "/token_url",
            Some(json!(format!("https://{CANARY}@sts.googleapis.com/"))),
        ),
        (
            external_account(),
            "/token_url",
            Some(json!(format!("https://sts.googleapis.com/?{CANARY}"))),
        ),
        (
            external_account(),
            "/token_url",
            Some(json!(format!("ftp://sts.googleapis.com/{CANARY}"))),
        ),
        (external_account(), "/universe_domain", canary()),
        (external_account(), "/credential_source", None),
        (external_account(), "/credential_source", canary()),
        (external_account(), "/credential_source/file", None),
        (external_account(), "/credential_source/url", canary()),
        (from_url(), "/credential_source/url", canary()),
        (from_url(), "/credential_source/headers", canary()),
        (from_url(), "/credential_source/headers/Authorization", Some(json!(7))),
        (
            from_url(),
            "/credential_source/headers/Authorization",
            Some(json!("a\r\nX-Other: b")),
        ),
        (from_url(), "/credential_source/headers/Host", canary()),
        (from_url(), "/credential_source/headers/content-length", canary()),
        (from_url(), "/credential_source/format/subject_token_field_name", None),
        (
            external_account(),
            "/credential_source/executable",
            Some(json!({"command": CANARY})),
        ),
        (
            external_account(),
            "/credential_source/environment_id",
            Some(json!("aws1")),
        ),
        (external_account(), "/credential_source/certificate", Some(json!({}))),
        (external_account(), "/credential_source/format", canary()),
        (external_account(), "/credential_source/format/type", canary()),
        (
            external_account(),
            "/credential_source/format",
            Some(json!({"type": "json"})),
        ),
        (impersonating(), "/service_account_impersonation_url", canary()),
        (
            impersonating(),
            "/service_account_impersonation_url",
            Some(json!(format!(
                "https://x/serviceAccounts/{CANARY}/@:generateAccessToken"
            ))),
        ),
        (
            impersonating(),
            "/service_account_impersonation_url",
            Some(json!("http://iam.example/serviceAccounts/a@b:generateAccessToken")),
        ),
        (
            impersonating(),
            "/service_account_impersonation",
            Some(json!({"token_lifetime_seconds": CANARY})),
        ),
        (
            impersonating(),
            "/service_account_impersonation",
            Some(json!({"token_lifetime_seconds": 599})),
        ),
        (
            impersonating(),
            "/service_account_impersonation",
            Some(json!({"token_lifetime_seconds": 43201})),
        ),
        (impersonating(), "/delegates", canary()),
        (service_account(&key), "/client_email", None),
        (service_account(&key), "/client_email", canary()),
        (service_account(&key), "/private_key", None),
        (service_account(&key), "/private_key", canary()),
        (
            service_account(&key),
            "/private_key",
            Some(json!(KeyPair::generate().unwrap().serialize_pem())),
        ),
        (service_account(&key), "/token_uri", canary()),
        (authorized_user(), "/client_id", None),
        (authorized_user(), "/client_secret", None),
        (authorized_user(), "/refresh_token", None),
        (authorized_user(), "/refresh_token", number()),
        (nested.clone(), "/service_account_impersonation_url", None),
        (nested.clone(), "/source_credentials", None),
        (nested, "/source_credentials/refresh_token", None),
    ];
    for (file, pointer, value) in cases {
        let error = refusal(file, pointer, value);
        let field = pointer.trim_start_matches('/').replace('/', ".");
        assert!(error.starts_with(&format!("field {field}")), "{pointer}: {error}");
        for content in [CANARY, "4711", "PRIVATE KEY"] {
            assert!(!error.contains(content), "{pointer}: {error}");
        }
    }
}

#[test]
fn what_is_no_file_of_credentials_is_refused_as_a_whole() {
    for text in [
        "",
        "null",
        "[]",
        CANARY,
        "{\"type\":",
        "{\"type\": \"external_account\"} x",
    ] {
        let error = Credentials::parse(text.as_bytes()).expect_err(text).to_string();
        assert!(!error.contains(CANARY), "{error}");
    }
    let long = format!("{{\"type\": \"{}\"}}", "x".repeat(65 * 1024));
    let error = Credentials::parse(long.as_bytes()).expect_err("too long").to_string();
    assert!(error.contains("longer than 65536 bytes"), "{error}");
    let mut deep = authorized_user();
    for _ in 0..6 {
        deep = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": impersonating()["service_account_impersonation_url"],
            "source_credentials": deep,
        });
    }
    let error = Credentials::parse(deep.to_string().as_bytes())
        .expect_err("too deep")
        .to_string();
    assert!(error.contains("source_credentials"), "{error}");
}

#[test]
fn a_file_tells_whose_credential_it_is() {
    let key = rsa();
    let email = Some("agent@p.iam.gserviceaccount.com");
    for (file, account, number) in [
        (external_account(), None, Some(123_456_789)),
        (impersonating(), email, Some(123_456_789)),
        (service_account(&key), email, None),
        (authorized_user(), None, None),
    ] {
        let credentials = parse(&file);
        assert_eq!(credentials.email(), account, "{file}");
        assert_eq!(credentials.project_number(), number, "{file}");
        assert_eq!(credentials.kind(), file["type"], "{file}");
    }
}

#[test]
fn what_is_shown_of_a_credential_for_debugging_holds_no_secret() {
    let key = rsa();
    let shown = format!("{:?} {:?}", parse(&service_account(&key)), parse(&authorized_user()));
    for secret in ["client-secret", "refresh-token", "PRIVATE KEY"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
