//! Policies in a directory that change while the server runs.

use crate::client::agent_review;
use crate::log::Log;
use crate::server::{POLICY, Running, eventually};

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
