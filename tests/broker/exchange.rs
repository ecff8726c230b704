//! What goes to Google, and what becomes of its answers.

use super::credentials::{authorized_user, external_account, impersonating, parse, rsa, service_account};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use harness::scripted::{Google, Reply, Seen, token};
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_sidecar::broker::credentials::Credentials;
use vertex_injector_sidecar::broker::token::{AccessToken, Hop, TokenError, fetch};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A directory of one test, which goes with it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broker-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `file` with its subject token at `path`.
pub(crate) fn reading(mut file: Value, path: &Path) -> Value {
    file["credential_source"]["file"] = json!(path);
    file
}

async fn fetched(google: &Google, file: &Value) -> Result<AccessToken, TokenError> {
    fetch(&parse(file), &google.upstream()).await
}

async fn failure(google: &Google, file: &Value) -> TokenError {
    fetched(google, file).await.expect_err("no token")
}

fn later(seconds: i64) -> String {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn a_subject_token_is_trimmed_and_exchanged() {
    let directory = Directory::new("exchanged");
    let file = directory.file("token", " subject-token\n");
    let google = Google::always(token("access", 3599));
    let access = fetched(&google, &reading(external_account(), &file))
        .await
        .expect("a token");
    assert_eq!(access.secret.expose(), "access");
    assert!((3590..=3599).contains(&access.remaining().as_secs()));

    let [seen] = google.seen().try_into().expect("one request");
    assert_eq!(seen.line, "POST /v1/token HTTP/1.1");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
        (
            "audience",
            "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/p/providers/q",
        ),
        ("subject_token", "subject-token"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_token_file_is_read_at_every_exchange_and_its_faults_may_pass() {
    let directory = Directory::new("file");
    let file = directory.file("token", "first");
    let account = reading(external_account(), &file);
    let google = Google::always(token("access", 3599));
    fetched(&google, &account).await.expect("a token");

    for (content, problem) in [
        (Some(""), "is empty"),
        (Some(" \n"), "is empty"),
        (None, "does not exist"),
        (Some("x".repeat(65 * 1024).as_str()), "is longer than any token"),
    ] {
        match content {
            Some(content) => drop(directory.file("token", content)),
            None => fs::remove_file(&file).expect("remove it"),
        }
        let error = failure(&google, &account).await;
        assert_eq!((error.hop, error.refused), (Hop::TokenFile, false));
        assert!(error.detail.ends_with(problem), "{error}");
    }
    fs::write(&file, [0xff, 0xfe]).expect("bytes");
    assert!(
        failure(&google, &account)
            .await
            .detail
            .ends_with("cannot be read as text")
    );

    directory.file("token", "rotated");
    fetched(&google, &account).await.expect("a token");
    let subjects: Vec<_> = google
        .seen()
        .iter()
        .map(|seen| seen.field("subject_token").expect("a subject"))
        .collect();
    assert_eq!(
        subjects,
        ["first", "rotated"],
        "nothing was sent while the file was unusable"
    );
}

#[tokio::test]
async fn a_token_in_a_json_file_is_found_by_its_field() {
    let directory = Directory::new("json");
    let file = directory.file("token", r#"{"kubernetes": " inner "}"#);
    let mut account = reading(external_account(), &file);
    account["credential_source"]["format"] = json!({"type": "json", "subject_token_field_name": "kubernetes"});
    let google = Google::always(token("access", 3599));
    fetched(&google, &account).await.expect("a token");
    assert_eq!(google.seen()[0].field("subject_token").as_deref(), Some("inner"));
    for content in [
        "plain",
        r#"{"other": "x"}"#,
        r#"{"kubernetes": 1}"#,
        r#"{"kubernetes": ""}"#,
    ] {
        directory.file("token", content);
        assert_eq!(failure(&google, &account).await.hop, Hop::TokenFile, "{content}");
    }
}

#[tokio::test]
async fn an_impersonated_token_lives_half_an_hour_unless_the_file_says_otherwise() {
    let directory = Directory::new("impersonated");
    let file = directory.file("token", "subject");
    for (setting, lifetime) in [(None, "1800s"), (Some(900), "900s")] {
        let mut account = reading(impersonating(), &file);
        if let Some(seconds) = setting {
            account["service_account_impersonation"] = json!({"token_lifetime_seconds": seconds});
        }
        let google = Google::new(|seen| match seen.line.as_str() {
            "POST /v1/token HTTP/1.1" => token("federated", 3599),
            _ => Reply::Json(200, json!({"accessToken": "impersonated", "expireTime": later(1800)})),
        });
        let access = fetched(&google, &account).await.expect("a token");
        assert_eq!(access.secret.expose(), "impersonated");
        let [_, seen] = google.seen().try_into().expect("two requests");
        assert_eq!(
            seen.line,
            "POST /v1/projects/-/serviceAccounts/agent@p.iam.gserviceaccount.com:generateAccessToken HTTP/1.1"
        );
        assert_eq!(seen.header("authorization"), Some("Bearer federated"));
        assert_eq!(
            seen.json(),
            json!({
                "scope": ["https://www.googleapis.com/auth/cloud-platform"],
                "lifetime": lifetime,
                "delegates": [],
            })
        );
    }
}

#[tokio::test]
async fn a_service_account_signs_its_assertion() {
    let key = rsa();
    let google = Google::always(token("access", 3599));
    fetched(&google, &service_account(&key)).await.expect("a token");

    let [seen] = google.seen().try_into().expect("one request");
    assert_eq!(
        seen.field("grant_type").as_deref(),
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
    );
    let assertion = seen.field("assertion").expect("an assertion");
    let claims = verified(&assertion, &key);
    assert_eq!(claims["iss"], "agent@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let header: Value = serde_json::from_slice(
        &BASE64_URL_SAFE_NO_PAD
            .decode(assertion.split('.').next().unwrap())
            .unwrap(),
    )
    .unwrap();
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
}

/// The claims of a JWT whose signature is `key`'s.
pub(crate) fn verified(jwt: &str, key: &rcgen::KeyPair) -> Value {
    let (signed, signature) = jwt.rsplit_once('.').expect("a JWT");
    let info = key.subject_public_key_info();
    let (_, info) = SubjectPublicKeyInfo::from_der(&info).expect("our own key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, info.subject_public_key.data.as_ref());
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
    public.verify(signed.as_bytes(), &signature).expect("a true signature");
    let claims = signed.split('.').nth(1).expect("claims");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON")
}

#[tokio::test]
async fn a_persons_refresh_token_is_used() {
    let google = Google::always(token("access", 3599));
    fetched(&google, &authorized_user()).await.expect("a token");
    let [seen] = google.seen().try_into().expect("one request");
    assert_eq!(seen.line, "POST /token HTTP/1.1");
    for (name, value) in [
        ("grant_type", "refresh_token"),
        ("client_id", "client"),
        ("client_secret", "client-secret"),
        ("refresh_token", "refresh-token"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_nested_credential_acts_through_its_source() {
    let google = Google::new(|seen| match seen.line.as_str() {
        "POST /token HTTP/1.1" => token("source", 3599),
        _ => Reply::Json(200, json!({"accessToken": "impersonated", "expireTime": later(600)})),
    });
    let file = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonating()["service_account_impersonation_url"],
        "delegates": ["between@p.iam.gserviceaccount.com"],
        "source_credentials": authorized_user(),
    });
    let access = fetched(&google, &file).await.expect("a token");
    assert!(
        access.remaining().as_secs() <= 600,
        "what Google says, not what was asked for"
    );
    let [_, seen] = google.seen().try_into().expect("two requests");
    assert_eq!(seen.header("authorization"), Some("Bearer source"));
    assert_eq!(seen.json()["delegates"], json!(["between@p.iam.gserviceaccount.com"]));
}

#[tokio::test]
async fn on_gke_the_nodes_metadata_server_is_asked() {
    let google = Google::always(token("access", 3599));
    let server = Endpoint::node_metadata("169.254.169.254").expect("the node's");
    fetch(&Credentials::Metadata(server), &google.upstream())
        .await
        .expect("a token");
    let [seen] = google.seen().try_into().expect("one request");
    assert_eq!(
        seen.line,
        "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1"
    );
    assert_eq!(seen.header("metadata-flavor"), Some("Google"));
}

#[test]
fn only_the_node_or_loopback_can_be_the_nodes_metadata_server() {
    for host in ["169.254.169.254", "127.0.0.1:8080", "localhost", "[::1]:80"] {
        assert!(Endpoint::node_metadata(host).is_ok(), "{host}");
    }
    for host in [
        "",
        "metadata.evil.example",
        "10.0.0.1",
        "169.254.169.254@evil.example",
        "169.254.169.2541",
    ] {
        assert!(Endpoint::node_metadata(host).is_err(), "{host}");
    }
}

#[tokio::test]
async fn what_is_no_usable_token_is_a_failure_that_may_pass() {
    let body = |value: Value| Reply::Json(200, value);
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let large = "x".repeat(300 * 1024);
    for (reply, problem) in [
        (raw("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "not a token"),
        (raw("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhtml"), "not a token"),
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"a"),
            "broke off",
        ),
        (
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"acc\r\n"),
            "broke off",
        ),
        (raw("nonsense\r\n\r\n"), "broke off"),
        (raw(""), "broke off"),
        (
            raw("HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n"),
            "status 302",
        ),
        (
            body(json!({"access_token": large, "expires_in": 3600, "token_type": "Bearer"})),
            "more than 262144 bytes",
        ),
        (
            body(json!({"access_token": "x".repeat(20_000), "expires_in": 3600, "token_type": "Bearer"})),
            "no usable token",
        ),
        (
            body(json!({"access_token": "", "expires_in": 3600, "token_type": "Bearer"})),
            "no usable token",
        ),
        (
            body(json!({"access_token": "a\r\nb: c", "expires_in": 3600, "token_type": "Bearer"})),
            "no usable token",
        ),
        (
            body(json!({"access_token": "a\"b", "expires_in": 3600, "token_type": "Bearer"})),
            "no usable token",
        ),
        (
            body(json!({"access_token": "a", "expires_in": 0, "token_type": "Bearer"})),
            "has ended",
        ),
        (
            body(json!({"access_token": "a", "expires_in": -5, "token_type": "Bearer"})),
            "not a token",
        ),
        (
            body(json!({"access_token": "a", "expires_in": "3600", "token_type": "Bearer"})),
            "not a token",
        ),
        (
            body(json!({"access_token": "a", "expires_in": 3600, "token_type": "mac"})),
            "another type",
        ),
        (body(json!({"expires_in": 3600, "token_type": "Bearer"})), "not a token"),
        (Reply::Json(500, json!({})), "status 500"),
        (
            Reply::Json(429, json!({"error": {"message": "slow down"}})),
            "status 429: slow down",
        ),
        (Reply::Json(408, json!([])), "status 408"),
    ] {
        let google = Google::always(reply);
        let error = failure(&google, &authorized_user()).await;
        assert!(!error.refused, "{error}");
        assert!(error.detail.contains(problem), "{problem}: {error}");
        assert_eq!(google.seen().len(), 1, "no redirect is followed: {problem}");
    }
}

#[tokio::test]
async fn a_token_without_end_is_believed_for_twelve_hours() {
    let google = Google::always(token("access", u64::MAX));
    let access = fetched(&google, &authorized_user()).await.expect("a token");
    assert_eq!(access.remaining().as_secs().div_ceil(3600), 12);
}

#[tokio::test]
async fn a_refusal_says_where_why_and_what_to_check() {
    let directory = Directory::new("refusal");
    let file = directory.file("token", "subject");
    let google = Google::always(Reply::Json(
        400,
        json!({"error": "invalid_grant", "error_description": "The audience does not match."}),
    ));
    let error = failure(&google, &reading(external_account(), &file)).await;
    assert!(error.refused);
    assert_eq!(
        error.to_string(),
        "token exchange: status 400: invalid_grant: The audience does not match."
    );
    assert!(error.hop.advice().contains("attribute condition"));

    let google = Google::new(|seen| match seen.line.as_str() {
        "POST /v1/token HTTP/1.1" => token("federated", 3599),
        _ => Reply::Json(
            403,
            json!({"error": {"code": 403, "message": "Permission denied.", "status": "PERMISSION_DENIED"}}),
        ),
    });
    let error = failure(&google, &reading(impersonating(), &file)).await;
    assert_eq!((error.hop, error.refused), (Hop::Impersonation, true));
    assert_eq!(error.to_string(), "impersonation: status 403: Permission denied.");
    assert!(error.hop.advice().contains("roles/iam."));
}

#[tokio::test]
async fn googles_words_are_capped_and_cleaned_before_anybody_sees_them() {
    let directory = Directory::new("cleaned");
    let file = directory.file("token", "canary-subject");
    let words = |text: String| Reply::Json(400, json!({"error": "invalid_grant", "error_description": text}));
    for (text, shown) in [
        (
            "your token canary-subject is bad".to_owned(),
            "your token [redacted] is bad",
        ),
        (
            "got ya29.abc and \"eyJhbGciOiJ9.e30.c2ln\"".to_owned(),
            "got [redacted] and [redacted]",
        ),
        ("a\r\nb\u{1b}[31mc".to_owned(), "a b [31mc"),
        ("x".repeat(161), "[redacted]"),
    ] {
        let google = Google::always(words(text));
        let error = failure(&google, &reading(external_account(), &file)).await;
        assert_eq!(error.detail, format!("status 400: invalid_grant: {shown}"));
    }
    let google = Google::always(words("word ".repeat(1000)));
    let error = failure(&google, &reading(external_account(), &file)).await;
    assert!(
        error.detail.chars().count() <= 301 && error.detail.ends_with('…'),
        "{error}"
    );

    // A service that repeats what it was sent, whichever secret that was.
    let repeating = |field: &'static str| {
        move |seen: &Seen| {
            Reply::Json(
                401,
                json!({"error": format!("bad {}", seen.field(field).expect("the field"))}),
            )
        }
    };
    for (account, field) in [
        (authorized_user(), "refresh_token"),
        (authorized_user(), "client_secret"),
    ] {
        let google = Google::new(repeating(field));
        assert_eq!(failure(&google, &account).await.detail, "status 401: bad [redacted]");
    }
}
