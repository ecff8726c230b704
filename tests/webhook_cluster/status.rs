//! What the author of a policy reads in its status.

use crate::replica::Replica;
use crate::world::{TEAM, World, eventually, greeting};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_works_is_ready() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("hello")).await;
    let _replica = Replica::serving(&world, &[]).await;
    let (status, reason, message) = world.ready("agents").await;
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Accepted"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_work_names_the_field_and_is_ready_once_mended() {
    let Some(world) = World::start().await else { return };
    let _replica = Replica::serving(&world, &[]).await;
    // What the schema cannot know: which audiences the API server accepts.
    let mut spec = greeting("hello");
    spec["tokens"] = json!([{
        "name": "gateway",
        "audience": "https://kubernetes.default.svc",
        "mountPath": "/var/run/secrets/gateway",
    }]);
    world.policy("agents", spec).await;
    let (status, reason, message) = world.ready("agents").await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"), "{message}");
    assert!(message.contains("spec.tokens[0].audience"), "{message}");
    let since = transition(&world).await;

    let mut spec = greeting("hello");
    spec["tokens"] = json!([]);
    world.policy("agents", spec).await;
    let (status, _, message) = world.ready("agents").await;
    assert_eq!(status, "True", "{message}");
    assert!(transition(&world).await >= since);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_pods_are_never_sent_to_the_webhook_is_unreachable() {
    let Some(world) = World::start().await else { return };
    let mut config = tempfile::NamedTempFile::new().unwrap();
    let selectors =
        json!({"agentSelectors": [{"name": "sessions", "objectSelector": {"matchLabels": {"kind": "session"}}}]});
    config.write_all(selectors.to_string().as_bytes()).unwrap();
    world.policy("agents", greeting("hello")).await;
    let replica = Replica::serving(&world, &["--config", config.path().to_str().unwrap()]).await;
    let message = not_ready(&world, "Unreachable").await;
    assert!(
        message.contains("agentSelectors") && message.contains("spec.agents[0]"),
        "{message}"
    );
    assert_eq!(
        replica.metric(r#"vertex_injector_policies{state="unreachable"}"#).await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_namespace_has_not_opted_in_says_that_nobody_is_served() {
    let Some(world) = World::start().await else { return };
    let mut config = tempfile::NamedTempFile::new().unwrap();
    let selector = json!({"namespaceSelector": {"matchLabels": {"vertex-injector.dev/injection": "enabled"}}});
    config.write_all(selector.to_string().as_bytes()).unwrap();
    world.policy("agents", greeting("hello")).await;
    let label = |label: &str| {
        world
            .cluster
            .kubectl(&["label", "--overwrite", "namespace", TEAM, label])
    };
    label("vertex-injector.dev/injection-");
    let replica = Replica::serving(&world, &["--config", config.path().to_str().unwrap()]).await;
    let message = not_ready(&world, "NamespaceNotOptedIn").await;
    assert!(
        message.contains("has not opted in") && message.ends_with("label it vertex-injector.dev/injection=enabled"),
        "{message}"
    );
    let not_opted_in = r#"vertex_injector_policies{state="not_opted_in"}"#;
    assert_eq!(replica.metric(not_opted_in).await, 1);
    label("vertex-injector.dev/injection=enabled");
    eventually("ready", async || world.ready("agents").await.0 == "True").await;
    assert_eq!(replica.metric(not_opted_in).await, 0);
    label("vertex-injector.dev/injection=no");
    eventually("not ready", async || world.ready("agents").await.0 == "False").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_written_once_however_many_replicas_there_are() {
    let Some(world) = World::start().await else { return };
    let replica = Replica::serving(&world, &[]).await;
    let other = Replica::start(&world).await;
    other.until_ready().await;
    world.policy("agents", greeting("hello")).await;
    world.ready("agents").await;
    // Both have seen it by now; what either writes later would show in the version.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let version = async || world.policies().get("agents").await.unwrap().metadata.resource_version;
    let before = version().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(version().await, before, "somebody goes on writing the status");
    drop(replica);
    // A replica that starts later finds it written.
    let late = Replica::start(&world).await;
    late.until_ready().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(version().await, before);
    let ours = async || {
        let policy = world.policies().get("agents").await.unwrap();
        let managers = policy.metadata.managed_fields.unwrap_or_default();
        managers.iter().any(|entry| {
            entry.manager.as_deref() == Some("vertex-injector") && entry.subresource.as_deref() == Some("status")
        })
    };
    eventually("written by us, as status", ours).await;
}

async fn transition(world: &World) -> jiff::Timestamp {
    let policy = world.policies().get("agents").await.unwrap();
    policy.status.unwrap().conditions[0].last_transition_time.0
}

/// The policy is not ready, because nobody is sent to it; says why.
async fn not_ready(world: &World, why: &str) -> String {
    let (status, reason, message) = world.ready("agents").await;
    let told = (status.as_str(), reason.as_str());
    assert_eq!(told, ("False", why), "{message}");
    message
}
