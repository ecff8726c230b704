//! ID tokens: for the listed audiences, where the identity can have them.

use super::credentials::{authorized_user, external_account, impersonating, parse, rsa, service_account};
use super::exchange::{Directory, reading, verified};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use harness::scripted::{Google, Reply, token};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_sidecar::broker::credentials::Credentials;
use vertex_injector_sidecar::broker::token::{IdTokens, NoIdToken};

const AUDIENCE: &str = "https://gateway.example";

fn id_tokens(google: &Google, credentials: Credentials) -> IdTokens {
    IdTokens::new(Arc::new(credentials), google.upstream(), vec![AUDIENCE.to_owned()])
}

/// A JWT that ends in so many seconds.
fn jwt(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({"exp": now + seconds}).to_string());
    format!("e30.{claims}.c2ln")
}

/// A Google that exchanges and mints.
fn minting(seconds: u64) -> Google {
    Google::new(move |seen| match seen.line.as_str() {
        "POST /v1/token HTTP/1.1" => token("federated", 3599),
        line if line.contains(":generateIdToken ") => Reply::Json(200, json!({"token": jwt(seconds)})),
        line => panic!("asked {line}"),
    })
}

#[tokio::test]
async fn iam_mints_one_token_for_all_callers_of_an_audience() {
    let directory = Directory::new("id-iam");
    let file = reading(impersonating(), &directory.file("token", "subject"));
    let google = minting(3600);
    let tokens = Arc::new(id_tokens(&google, parse(&file)));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let tokens = Arc::clone(&tokens);
        callers.spawn(async move { tokens.get(AUDIENCE).await.expect("an ID token").expose().to_owned() });
    }
    let answers = callers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let [_, seen] = google.seen().try_into().expect("one exchange, one ID token");
    assert_eq!(
        seen.line,
        "POST /v1/projects/-/serviceAccounts/agent@p.iam.gserviceaccount.com:generateIdToken HTTP/1.1"
    );
    assert_eq!(seen.header("authorization"), Some("Bearer federated"));
    assert_eq!(
        seen.json(),
        json!({"audience": AUDIENCE, "includeEmail": true, "delegates": []})
    );
}

#[tokio::test]
async fn a_token_that_soon_ends_is_minted_anew() {
    let directory = Directory::new("id-anew");
    let file = reading(impersonating(), &directory.file("token", "subject"));
    let google = minting(300);
    let tokens = id_tokens(&google, parse(&file));
    tokens.get(AUDIENCE).await.expect("an ID token");
    tokens.get(AUDIENCE).await.expect("an ID token");
    assert_eq!(google.seen().len(), 4);
}

#[tokio::test]
async fn other_audiences_and_other_identities_have_none_and_google_is_not_asked() {
    let directory = Directory::new("id-none");
    let path = directory.file("token", "subject");
    let google = minting(3600);
    let unsupported = Err(NoIdToken::Unsupported);
    for (file, audience) in [
        (reading(impersonating(), &path), "https://other.example"),
        (reading(impersonating(), &path), "https://gateway.example/"),
        (reading(external_account(), &path), AUDIENCE),
        (authorized_user(), AUDIENCE),
    ] {
        let answer = id_tokens(&google, parse(&file)).get(audience).await;
        assert_eq!(answer.map(|_| ()), unsupported, "{file}");
    }
    assert_eq!(google.seen().len(), 0);
}

#[tokio::test]
async fn a_service_accounts_key_asks_for_itself() {
    let key = rsa();
    let google = Google::new(|_| Reply::Json(200, json!({"id_token": jwt(3600)})));
    id_tokens(&google, parse(&service_account(&key)))
        .get(AUDIENCE)
        .await
        .expect("an ID token");
    let [seen] = google.seen().try_into().expect("one request");
    let claims: Value = verified(&seen.field("assertion").expect("an assertion"), &key);
    assert_eq!(claims["target_audience"], AUDIENCE);
    assert_eq!(claims.get("scope"), None);
}

#[tokio::test]
async fn on_gke_the_nodes_metadata_server_mints() {
    let google = Google::new(|_| {
        let jwt = jwt(3600);
        Reply::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{jwt}", jwt.len()).into_bytes())
    });
    let server = Endpoint::node_metadata("169.254.169.254").expect("the node's");
    id_tokens(&google, Credentials::Metadata(server))
        .get(AUDIENCE)
        .await
        .expect("an ID token");
    assert_eq!(
        google.seen()[0].line,
        "GET /computeMetadata/v1/instance/service-accounts/default/identity\
         ?audience=https%3A%2F%2Fgateway.example&format=full HTTP/1.1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_not_tried_again_at_once() {
    let google = Google::always(Reply::Json(403, json!({"error": {"message": "no"}})));
    let tokens = id_tokens(&google, parse(&service_account(&rsa())));
    for _ in 0..10 {
        match tokens.get(AUDIENCE).await {
            Err(NoIdToken::Failed(error)) => assert!(error.refused, "{error}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(google.seen().len(), 1);
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert!(tokens.get(AUDIENCE).await.is_err());
    assert_eq!(google.seen().len(), 2);
}
