//! The other kinds of credentials that a broker can hold: what clients get of them, and that it is worth something at Google.

use super::*;
use crate::brokered::{PLACEHOLDER, for_ambient, with_key};

fn google(config: FakeConfig) -> Option<GoogleSandbox> {
    let issuer = Issuer::new("cluster-key-1");
    GoogleSandbox::start(&FakeConfig {
        issuer: ISSUER.to_owned(),
        provider: PROVIDER.to_owned(),
        jwks: issuer.jwks(),
        ..config
    })
}

/// The principal and the token of a model call that a client made with what the broker gave it.
#[track_caller]
fn call(google: &GoogleSandbox, agent: &InjectedPod) -> Value {
    let answer = came_back(&google.run_client(agent, "anthropic_vertex.mjs", &["claude-of-node"]));
    assert_eq!(answer["message"], "Hello from Vertex AI.");
    let journal = google.journal();
    let last = journal.last().expect("a call").clone();
    let issued = journal.iter().rev().find_map(|entry| entry["token_sha256"].as_str());
    assert_eq!(last["bearer_sha256"].as_str(), issued, "{journal:#?}");
    last
}

#[test]
fn a_service_accounts_key_stays_with_the_broker() {
    let key = Issuer::new("key-1");
    let Some(google) = google(FakeConfig {
        account_keys: vec![(SERVICE_ACCOUNT.to_owned(), key.jwks())],
        ..FakeConfig::default()
    }) else {
        return;
    };
    let pod = with_key(&key_file(&key));
    let broker = google.start_broker(&pod.broker);
    assert_eq!(call(&google, &pod.agent)["principal"], SERVICE_ACCOUNT);

    // An ID token where the policy allows its audience, and nowhere else.
    let answer = came_back(&google.run_python(&pod.agent, &["-c", ID_TOKEN, "https://allowed.example"]));
    assert_eq!(answer["aud"], "https://allowed.example");
    assert_eq!(answer["email"], SERVICE_ACCOUNT);
    let ran = google.run_python(&pod.agent, &["-c", ID_TOKEN, "https://elsewhere.example"]);
    assert!(ran.error().contains("404"), "{}", ran.error());

    assert!(!broker.text().contains("PRIVATE KEY"), "the key in the broker's log");
}

/// What the console hands out with a service account's new key.
fn key_file(key: &Issuer) -> Value {
    json!({
        "type": "service_account",
        "client_email": SERVICE_ACCOUNT,
        "private_key_id": "key-1",
        "private_key": key.private_key(),
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

/// What a Cloud Run client does: an ID token from the metadata server, read without its signature.
const ID_TOKEN: &str = r"
import json, sys
import google.auth.compute_engine
import google.auth.jwt
import google.auth.transport.requests
request = google.auth.transport.requests.Request()
credentials = google.auth.compute_engine.IDTokenCredentials(
    request, target_audience=sys.argv[1], use_metadata_identity_endpoint=True
)
credentials.refresh(request)
print(json.dumps(google.auth.jwt.decode(credentials.token, verify=False)))
";

#[test]
fn a_key_that_google_does_not_know_is_refused() {
    let (known, other) = (Issuer::new("key-1"), Issuer::new("key-1"));
    let Some(google) = google(FakeConfig {
        account_keys: vec![(SERVICE_ACCOUNT.to_owned(), known.jwks())],
        ..FakeConfig::default()
    }) else {
        return;
    };
    let pod = with_key(&key_file(&other));
    google.start_broker(&pod.broker);
    let ran = google.run_google_auth(&pod.agent);
    let error = ran.error();
    assert!(error.contains("invalid_grant: Invalid JWT Signature."), "{error}");
}

#[test]
fn a_persons_consent_acts_as_the_service_account_that_the_file_names() {
    let person = json!({
        "type": "authorized_user",
        "client_id": "client.apps.googleusercontent.com",
        "client_secret": "secret-of-the-client",
        "refresh_token": "1//refresh-token",
    });
    let Some(google) = google(FakeConfig {
        service_accounts: vec![SERVICE_ACCOUNT.to_owned()],
        authorized_user: Some(person.clone()),
        ..FakeConfig::default()
    }) else {
        return;
    };
    let pod = with_key(&json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{SERVICE_ACCOUNT}:generateAccessToken"
        ),
        "source_credentials": person,
    }));
    google.start_broker(&pod.broker);
    assert_eq!(call(&google, &pod.agent)["principal"], SERVICE_ACCOUNT);
    let journal = google.journal();
    let operations: Vec<&str> = journal.iter().filter_map(|entry| entry["operation"].as_str()).collect();
    assert_eq!(operations[..2], ["oauthToken", "generateAccessToken"], "{journal:#?}");
    let text = google.journal_text();
    assert!(
        !text.contains("refresh-token") && !text.contains("secret-of-the-client"),
        "a secret"
    );
}

/// Ambient's runner wants GOOGLE_APPLICATION_CREDENTIALS to name a file.
#[test]
fn a_client_that_demands_a_file_gets_the_brokers_tokens_through_one_without_a_secret() {
    let Some(setting) = setting() else { return };
    let pod = for_ambient("Metadata", &setting.good_token());
    let broker = setting.google.start_broker(&pod.broker);
    for client in ["google_auth_token.py", "google_auth_library.mjs"] {
        let answer = came_back(&setting.google.run_client(&pod.agent, client, &[]));
        assert_eq!(answer["project"], "my-project", "{client}");
        let token = answer["token"].as_str().expect("a token");
        let [exchange] = setting.entries("token");
        assert_eq!(exchange["token_sha256"], sha256(token), "{client}");
    }
    assert_eq!(call(&setting.google, &pod.agent)["principal"], PRINCIPAL);
    for (path, text) in &pod.agent.files {
        assert!(path.ends_with("/application_default_credentials.json"), "{path}");
        assert!(!text.contains("eyJ") && !text.contains("ya29."), "a secret in {text}");
    }
    assert!(!broker.text().contains("ya29."), "a token in the broker's log");
}

#[test]
fn beside_the_proxy_such_a_file_leads_to_placeholders() {
    let Some(setting) = setting() else { return };
    let pod = for_ambient("Proxy", &setting.good_token());
    setting.google.start_broker(&pod.broker);
    for client in ["google_auth_token.py", "google_auth_library.mjs"] {
        let answer = came_back(&setting.google.run_client(&pod.agent, client, &[]));
        assert_eq!(answer["token"], PLACEHOLDER, "{client}");
    }
    let [exchange] = setting.entries("token");
    // Through the proxy all the same: Vertex sees the broker's token.
    assert_eq!(
        call(&setting.google, &pod.agent)["bearer_sha256"],
        exchange["token_sha256"]
    );
}
