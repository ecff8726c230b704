//! Policies in a directory that change while the server runs.

use crate::client::agent_review;
use crate::log::Log;
use crate::server::{Files, POLICY, Running, eventually};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

const FAILURES: &str = "vertex_injector_policy_reload_failures_total";

#[tokio::test]
async fn a_changed_policy_is_followed() {
    let webhook = Running::start().await;
    assert!(webhook.client().review(&agent_review()).await.patch().contains("first"));
    webhook
        .files
        .write("policies/policy.yaml", &POLICY.replace("first", "second"));
    eventually("the new value", async || serves(&webhook, "second").await).await;
    assert_eq!(webhook.metric(FAILURES).await, 0);
}

#[tokio::test]
async fn a_removed_policy_is_followed() {
    let webhook = Running::start().await;
    std::fs::remove_file(webhook.files.path("policies/policy.yaml")).unwrap();
    eventually("no patch", async || {
        webhook.client().review(&agent_review()).await.patch().is_empty()
    })
    .await;
    assert_eq!(webhook.metric(r#"vertex_injector_policies{state="ready"}"#).await, 0);
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_policies_and_says_so_until_it_is_mended() {
    let log = Log::start();
    let webhook = Running::start().await;
    webhook
        .files
        .write("policies/policy.yaml", &POLICY.replace("first", "second"));
    webhook.files.write(
        "policies/second.yaml",
        "apiVersion: vertex-injector.dev/v1alpha1\nkind: [",
    );
    eventually("a failure", async || webhook.metric(FAILURES).await >= 1).await;
    // Neither file: the change to the good one belongs to the same state of the directory.
    let patch = webhook.client().review(&agent_review()).await.patch();
    assert!(
        patch.contains("first") || log.events("loaded the changed policy directory").len() == 1,
        "{patch}"
    );
    let events = log.events("the changed policy directory cannot be used; the last good policies stay");
    let error = events[0]["error"].as_str().unwrap();
    assert!(error.contains("second.yaml:"), "{error}");
    assert_eq!(webhook.readyz().await.1, "ready\n");

    webhook.files.write(
        "policies/second.yaml",
        &POLICY
            .replace("first", "second")
            .replace("InjectionPolicy", "InjectionPolicyy"),
    );
    eventually("another failure", async || webhook.metric(FAILURES).await >= 2).await;
    std::fs::remove_file(webhook.files.path("policies/second.yaml")).unwrap();
    eventually("the new value", async || serves(&webhook, "second").await).await;
}

#[tokio::test]
async fn a_policy_that_does_not_work_denies_its_pods_with_the_field() {
    let webhook = Running::start().await;
    let unusable = POLICY.replace(
        "env: [",
        "identity: {gkeWorkloadIdentity: {serviceAccount: a@my-project.iam.gserviceaccount.com}}\n  env: [",
    );
    webhook.files.write("policies/policy.yaml", &unusable);
    eventually("denied", async || {
        let answer = webhook.client().review(&agent_review()).await;
        answer.body.contains(r#""allowed":false"#) && answer.body.contains("serviceAccounts")
    })
    .await;
    assert_eq!(webhook.metric(r#"vertex_injector_policies{state="unusable"}"#).await, 1);
}

/// Whether pods get what the policy with this text says.
async fn serves(webhook: &Running, text: &str) -> bool {
    webhook.client().review(&agent_review()).await.patch().contains(text)
}

/// The policy with a token of this audience.
fn with_token(audience: &str) -> String {
    let token = format!("  tokens: [{{name: t, audience: '{audience}', mountPath: /t}}]\n---");
    POLICY.replacen("---", &token, 1)
}

#[tokio::test]
async fn no_policy_projects_a_token_for_an_audience_of_our_own_token() {
    for claim in [
        r#""https://issuer.example/c""#,
        r#"["other", "https://issuer.example/c"]"#,
    ] {
        let files = Files::new();
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"aud": {claim}}}"#));
        files.write("token", &format!("e30.{payload}.c2lnbmF0dXJl"));
        files.write("policies/policy.yaml", &with_token("https://issuer.example/c"));
        let token = files.path("token").into_os_string().into_string().unwrap();
        let webhook = Running::with(files, &["--service-account-token-file", &token]).await;
        let answer = webhook.client().review(&agent_review()).await;
        assert!(
            answer.body.contains("is an audience of the API server"),
            "{}",
            answer.body
        );
    }
    let files = Files::new();
    files.write("policies/policy.yaml", &with_token("https://issuer.example/c"));
    let webhook = Running::with(files, &[]).await;
    assert!(webhook.client().review(&agent_review()).await.patch().contains("first"));
}

#[tokio::test]
async fn a_token_of_our_own_that_says_nothing_of_audiences_is_told_and_never_quoted() {
    for text in ["s3cr3t", "e30.e30.s3cr3t", "e30.czNjcjN0.s3cr3t"] {
        let files = Files::new();
        files.write("token", text);
        let token = files.path("token").into_os_string().into_string().unwrap();
        let error = files.refused(&["--service-account-token-file", &token]).await;
        assert!(error.contains(&token) && error.contains("aud"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
