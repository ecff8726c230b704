//! Policies by watch: followed at once, whatever happens to the API server or to one of them.

use crate::replica::Replica;
use crate::world::{TEAM, World, agent, eventually, greeting, within};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::Duration;
use vertex_injector_core::api::InjectionPolicy;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_edit_reaches_the_next_pod_within_a_second() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("first")).await;
    let _replica = Replica::serving(&world, &[]).await;
    assert_eq!(world.admitted_env("GREETING").await.as_deref(), Some("first"));
    world.policy("agents", greeting("second")).await;
    let second = async || world.admitted_env("GREETING").await.as_deref() == Some("second");
    within(Duration::from_secs(1), "the edited policy", second).await;
    world
        .policies()
        .delete("agents", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let none = async || world.admitted_env("GREETING").await.is_none();
    within(Duration::from_secs(1), "the deleted policy", none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_one_of_many_equal_policies_reaches_the_next_pod_of_its_namespace_only() {
    let Some(world) = World::start().await else { return };
    let params = PatchParams::apply("test");
    let namespaces = Api::<Namespace>::all(world.client.clone());
    for i in 0..100 {
        let other = format!("other-{i}");
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
        namespaces.patch(&other, &params, &Patch::Apply(object)).await.unwrap();
        let object = json!({
            "apiVersion": "vertex-injector.dev/v1alpha1",
            "kind": "InjectionPolicy",
            "metadata": {"name": "agents"},
            "spec": greeting("first"),
        });
        let policies = Api::<InjectionPolicy>::namespaced(world.client.clone(), &other);
        policies.patch("agents", &params, &Patch::Apply(object)).await.unwrap();
    }
    world.policy("agents", greeting("first")).await;
    let replica = Replica::serving(&world, &[]).await;
    world.policy("agents", greeting("second")).await;
    let second = async || world.admitted_env("GREETING").await.as_deref() == Some("second");
    within(Duration::from_secs(1), "the edited policy", second).await;
    let authority = world.authority().await.unwrap();
    let mut pod = agent();
    pod["metadata"]["namespace"] = "other-42".into();
    let response = replica.review(&authority, pod).await;
    let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(patch).unwrap().contains(r#""first""#), "{response}");
    let ready = r#"vertex_injector_policies{state="ready"}"#;
    assert_eq!(replica.metric(ready).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_that_cannot_be_decoded_does_not_stop_the_watch() {
    let Some(world) = World::start().await else { return };
    // A schema of another version, that allows what this one cannot read.
    let open = json!([{
        "op": "replace",
        "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }]);
    let crd = "injectionpolicies.vertex-injector.dev";
    world
        .cluster
        .kubectl(&["patch", "crd", crd, "--type=json", "--patch", &open.to_string()]);
    let resource = ApiResource::erase::<InjectionPolicy>(&());
    let policies = Api::<DynamicObject>::namespaced_with(world.client.clone(), TEAM, &resource);
    let strange = json!({"spec": {"agents": [{"podSelector": {"matchLabels": 7}}]}});
    let strange = |name| DynamicObject::new(name, &resource).data(strange.clone());
    eventually("the open schema", async || {
        policies.create(&PostParams::default(), &strange("early")).await.is_ok()
    })
    .await;
    world.policy("agents", greeting("first")).await;
    let replica = Replica::serving(&world, &[]).await;
    assert_eq!(
        world.admitted_env("GREETING").await.as_deref(),
        Some("first"),
        "a list with a strange object"
    );

    policies.create(&PostParams::default(), &strange("late")).await.unwrap();
    world.policy("agents", greeting("second")).await;
    eventually("followed", async || {
        world.admitted_env("GREETING").await.as_deref() == Some("second")
    })
    .await;
    let unreadable = r#"vertex_injector_policies{state="unreadable"}"#;
    eventually("counted", async || replica.metric(unreadable).await == 2).await;
    eventually("its author is told the field", async || {
        let status = policies.get("late").await.unwrap().data["status"].take();
        let ready = &status["conditions"][0];
        let message = ready["message"].as_str().unwrap_or_default();
        ready["reason"] == "Unreadable" && message.contains("spec.agents[0].podSelector.matchLabels")
    })
    .await;
    // Whom it selects is not known: whoever is served by no policy before it is refused.
    let response = async |namespace: &str, labels: serde_json::Value| {
        let mut pod = agent();
        pod["metadata"]["namespace"] = namespace.into();
        pod["metadata"]["labels"] = labels;
        replica.review(&world.authority().await.unwrap(), pod).await
    };
    assert_eq!(response(TEAM, json!({"app": "other"})).await["allowed"], false);
    assert_eq!(response("elsewhere", json!({"app": "other"})).await["allowed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_api_server_is_survived() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("first")).await;
    let replica = Replica::serving(&world, &[]).await;
    let authority = world.authority().await.unwrap();
    if let Err(missing) = world.cluster.restart_api_server() {
        return harness::process::or_explain(Err(missing)).unwrap_or_default();
    }
    let response = replica.review(&authority, agent()).await;
    assert!(response["patch"].is_string(), "the policies were forgotten: {response}");
    assert_eq!(replica.readyz().await.1, "ready\n");
    world.policy("agents", greeting("second")).await;
    let second = async || world.admitted_env("GREETING").await.as_deref() == Some("second");
    within(Duration::from_secs(10), "the policy of after the restart", second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crds_that_are_installed_later_are_asked_for_and_found() {
    let Some(world) = World::without_crds().await else {
        return;
    };
    let replica = Replica::start(&world).await;
    world.configure(&[replica.addresses.https]).await;
    eventually("the reason", async || {
        let text = replica.readyz().await.1;
        text.matches("install the CustomResourceDefinitions (`vertex-injector crds`)")
            .count()
            == 2
    })
    .await;
    world.install_crds();
    replica.until_ready().await;
    world.policy("agents", greeting("hello")).await;
    eventually("injected", async || {
        world.admitted_env("GREETING").await.as_deref() == Some("hello")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_policy_follows_the_labels_of_namespaces() {
    let Some(world) = World::start().await else { return };
    let spec = |value| {
        let mut spec = greeting(value);
        spec["namespaceSelector"] = json!({"matchLabels": {"tier": "gold"}});
        json!({
            "apiVersion": "vertex-injector.dev/v1alpha1",
            "kind": "ClusterInjectionPolicy",
            "metadata": {"name": "gold"},
            "spec": spec,
        })
    };
    world.cluster.apply(&spec("gold").to_string());
    let _replica = Replica::serving(&world, &[]).await;
    assert_eq!(world.admitted_env("GREETING").await, None);
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {"tier": "gold"}}}));
    namespaces.patch(TEAM, &PatchParams::default(), &label).await.unwrap();
    eventually("served", async || {
        world.admitted_env("GREETING").await.as_deref() == Some("gold")
    })
    .await;
}
