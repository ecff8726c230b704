//! What is told on the object that made a pod.

use crate::replica::Replica;
use crate::world::{TEAM, World, agent, eventually, greeting};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

/// A pod of a Job.
fn of_job(name: &str) -> Value {
    let mut pod = agent();
    pod["metadata"]["name"] = json!(format!("{name}-x7k2p"));
    pod["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "another", "uid": "e6a1a7d8-0000-4000-8000-000000000002"},
        {"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": true,
         "uid": "e6a1a7d8-0000-4000-8000-000000000001"},
    ]);
    pod
}

/// A pod of a Job that names a policy that is not there.
fn refused(name: &str) -> Value {
    let mut pod = of_job(name);
    pod["metadata"]["annotations"] = json!({"vertex-injector.dev/policy": "hunter2"});
    pod
}

async fn create(world: &World, pod: Value, dry_run: bool) -> Result<Pod, kube::Error> {
    let params = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let pods = Api::<Pod>::namespaced(world.client.clone(), TEAM);
    pods.create(&params, &serde_json::from_value(pod).unwrap()).await
}

/// The events that the webhook wrote, as reason, type, what they are about and what they say.
async fn told(world: &World) -> Vec<[String; 4]> {
    let events = Api::<Event>::namespaced(world.client.clone(), TEAM);
    let events = events.list(&ListParams::default()).await.unwrap();
    let ours = |event: &Event| event.reporting_controller.as_deref() == Some("vertex-injector.dev");
    let show = |event: Event| {
        let about = event.regarding.unwrap();
        let about = format!("{} {}", about.kind.unwrap(), about.name.unwrap());
        [event.reason.unwrap(), event.type_.unwrap(), about, event.note.unwrap()]
    };
    events.items.into_iter().filter(ours).map(show).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_refused_pod_has_one_event_that_says_why_without_a_value() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("hello")).await;
    let replica = Replica::serving(&world, &[]).await;
    create(&world, refused("dry"), true).await.unwrap_err();
    for _ in 0..20 {
        create(&world, refused("nightly"), false).await.unwrap_err();
    }
    eventually("an event", async || !told(&world).await.is_empty()).await;
    let told = told(&world).await;
    let [[reason, kind, about, note]] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!([reason, kind, about], ["PolicyNotFound", "Warning", "Job nightly"]);
    assert!(
        note.starts_with("A pod was refused: The policy that the pod names"),
        "{note}"
    );
    assert!(note.contains("kubectl vertex-injector explain"), "{note}");
    assert!(!note.contains("hunter2"), "{note}");
    assert_eq!(
        replica
            .metric(r#"vertex_injector_events_total{result="written"}"#)
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_pod_that_is_left_alone_hears_of_it_and_that_of_an_injected_one_nothing() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("hello")).await;
    let _replica = Replica::serving(&world, &[]).await;
    create(&world, of_job("injected"), false).await.unwrap();
    let mut sandbox = of_job("sandbox");
    sandbox["metadata"]["annotations"] = json!({"openshell.io/sandbox-id": "7"});
    create(&world, sandbox, false).await.unwrap();
    eventually("an event", async || !told(&world).await.is_empty()).await;
    let told = told(&world).await;
    let [[reason, kind, about, note]] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!([reason, kind, about], ["ManagedByOpenShell", "Normal", "Job sandbox"]);
    assert!(note.contains("by policy team/agents@1"), "{note}");
}
