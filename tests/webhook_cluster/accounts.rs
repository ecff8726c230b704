//! GKE workload identity: the annotation on the ServiceAccounts that policies name.

use crate::replica::Replica;
use crate::world::{TEAM, World, eventually};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::json;
use std::time::Duration;

const ANNOTATION: &str = "iam.gke.io/gcp-service-account";
const OURS: &str = "agent@my-project.iam.gserviceaccount.com";
const THEIRS: &str = "other@my-project.iam.gserviceaccount.com";
const CONFLICTS: &str = "vertex_injector_gke_service_account_conflicts";

fn spec(accounts: &[&str], values: &str) -> serde_json::Value {
    json!({
        "agents": [{"podSelector": {"matchLabels": {"app": "agent"}}, "serviceAccounts": accounts}],
        "identity": {"gkeWorkloadIdentity": {"serviceAccount": OURS}},
        "conflicts": {"values": values},
    })
}

fn accounts(world: &World) -> Api<ServiceAccount> {
    Api::namespaced(world.client.clone(), TEAM)
}

async fn create(world: &World, name: &str, annotation: Option<&str>) {
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: annotation.map(|email| [(ANNOTATION.to_owned(), email.to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    accounts(world).create(&PostParams::default(), &account).await.unwrap();
}

async fn annotation(world: &World, name: &str) -> Option<String> {
    let account = accounts(world).get(name).await.unwrap();
    account.metadata.annotations?.remove(ANNOTATION)
}

async fn until(world: &World, name: &str, wanted: Option<&str>) {
    let what = format!("{name} has {wanted:?}");
    eventually(&what, async || annotation(world, name).await.as_deref() == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_is_set_on_named_accounts_also_on_later_ones_and_removed_with_the_policy() {
    let Some(world) = World::start().await else { return };
    create(&world, "early", None).await;
    create(&world, "unnamed", None).await;
    let _replica = Replica::serving(&world, &[]).await;
    world.policy("gke", spec(&["early", "late"], "Keep")).await;
    until(&world, "early", Some(OURS)).await;
    create(&world, "late", None).await;
    until(&world, "late", Some(OURS)).await;
    assert_eq!(annotation(&world, "unnamed").await, None);
    world.policy("gke", spec(&["late"], "Keep")).await;
    until(&world, "early", None).await;
    world.policies().delete("gke", &DeleteParams::default()).await.unwrap();
    until(&world, "late", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_differing_annotation_stays_and_is_counted_until_the_policy_overrides() {
    let Some(world) = World::start().await else { return };
    create(&world, "agent", Some(THEIRS)).await;
    let replica = Replica::serving(&world, &[]).await;
    world.policy("gke", spec(&["agent"], "Keep")).await;
    eventually("reported", async || replica.metric(CONFLICTS).await == 1).await;
    assert_eq!(annotation(&world, "agent").await.as_deref(), Some(THEIRS));
    world.policy("gke", spec(&["agent"], "Override")).await;
    until(&world, "agent", Some(OURS)).await;
    eventually("no conflict any more", async || replica.metric(CONFLICTS).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_annotation_of_somebody_else_outlives_the_policy() {
    let Some(world) = World::start().await else { return };
    create(&world, "theirs", Some(OURS)).await;
    create(&world, "ours", None).await;
    let _replica = Replica::serving(&world, &[]).await;
    world.policy("gke", spec(&["theirs", "ours"], "Keep")).await;
    until(&world, "ours", Some(OURS)).await;
    world.policies().delete("gke", &DeleteParams::default()).await.unwrap();
    until(&world, "ours", None).await;
    assert_eq!(annotation(&world, "theirs").await.as_deref(), Some(OURS));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_does_not_exist_is_not_made() {
    let Some(world) = World::start().await else { return };
    create(&world, "there", None).await;
    let _replica = Replica::serving(&world, &[]).await;
    world.policy("gke", spec(&["missing", "there"], "Override")).await;
    until(&world, "there", Some(OURS)).await;
    accounts(&world)
        .delete("there", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    for name in ["missing", "there"] {
        assert!(
            accounts(&world).get_opt(name).await.unwrap().is_none(),
            "{name} was made"
        );
    }
}
