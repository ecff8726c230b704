//! Definitions and a webhook of different versions, and pods that another version has injected.

use crate::replica::Replica;
use crate::world::{TEAM, World, agent, eventually, greeting, within};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const CRD: &str = "injectionpolicies.vertex-injector.dev";
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// A watch that was begun before the definition changed may be silent until the API server ends it, a minute later.
const A_WATCH: Duration = Duration::from_secs(90);

/// Changes the definition of the namespaced policies.
fn define(world: &World, operation: &Value) {
    let patch = json!([operation]).to_string();
    world
        .cluster
        .kubectl(&["patch", "crd", CRD, "--type=json", "--patch", &patch]);
}

/// The policy `agents` with one more field than this version knows.
fn with_budget() -> String {
    let mut spec = greeting("hello");
    spec["budget"] = 5.into();
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "agents", "namespace": TEAM}, "spec": spec,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_newer_definitions_a_policy_with_a_field_that_is_not_known_refuses_its_pods_and_says_so() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("hello")).await;
    let replica = Replica::serving(&world, &[]).await;
    let hello = async || world.admit().await.is_ok();
    // The definitions alone change nothing.
    define(
        &world,
        &json!({"op": "add", "path": format!("{SPEC}/budget"), "value": {"type": "integer"}}),
    );
    eventually("served", hello).await;
    eventually("the new field", async || {
        world.cluster.try_apply(&with_budget()).success()
            && world.cluster.get(&["--namespace", TEAM, "injectionpolicy", "agents"])["spec"]["budget"] == 5
    })
    .await;

    let refused = async || {
        let refusal = world.admit().await.err().unwrap_or_default();
        refusal.contains("spec.budget: unknown field") && refusal.contains("this version of vertex-injector")
    };
    // What such a watch has told without the field is not told again before the policy changes.
    let mut times = 0;
    within(A_WATCH, "refused", async || {
        times += 1;
        let touched = json!({"metadata": {"annotations": {"touched": times.to_string()}}});
        let params = PatchParams::default();
        world
            .policies()
            .patch("agents", &params, &Patch::Merge(touched))
            .await
            .unwrap();
        refused().await
    })
    .await;
    let (status, reason, message) = world.ready("agents").await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unreadable"), "{message}");
    assert!(message.contains("spec.budget: unknown field"), "{message}");
    assert!(message.contains("refuses the pods that it selects"), "{message}");
    assert_eq!(
        replica.metric(r#"vertex_injector_policies{state="unreadable"}"#).await,
        1
    );

    // The dashboard of the chart asks for these.
    let metrics = world.cluster.kubectl(&["get", "--raw", "/metrics"]);
    let counted = |metric: &str, labels: &[&str]| {
        let mut series = metrics.lines().filter(|line| line.starts_with(metric));
        series.any(|line| {
            line.contains(r#"name="agents-0.vertex-injector.dev""#) && labels.iter().all(|label| line.contains(label))
        })
    };
    assert!(counted(
        "apiserver_admission_webhook_admission_duration_seconds_bucket{",
        &["le="]
    ));
    assert!(counted(
        "apiserver_admission_webhook_rejection_count{",
        &["error_type="]
    ));

    // A replica that finds it there refuses as well.
    let late = Replica::start(&world).await;
    late.until_ready().await;
    let response = late.review(&world.authority().await.unwrap(), agent()).await;
    assert_eq!(response["allowed"], false, "{response}");

    define(&world, &json!({"op": "remove", "path": format!("{SPEC}/budget")}));
    world.policy("agents", greeting("hello")).await;
    within(A_WATCH, "served again", hello).await;
    within(A_WATCH, "ready", async || world.ready("agents").await.0 == "True").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_older_definitions_policies_of_then_are_served_and_their_status_is_written() {
    let Some(world) = World::start().await else { return };
    // Rules go with the fields of which they speak.
    define(
        &world,
        &json!({"op": "remove", "path": SPEC.replace("/properties/spec/properties", "/properties/spec/x-kubernetes-validations")}),
    );
    for field in ["mcpConfig", "openShell", "proxy"] {
        define(&world, &json!({"op": "remove", "path": format!("{SPEC}/{field}")}));
    }
    world.policy("agents", greeting("hello")).await;
    let _replica = Replica::serving(&world, &[]).await;
    assert_eq!(world.admitted_env("GREETING").await.as_deref(), Some("hello"));
    let (status, _, message) = world.ready("agents").await;
    assert_eq!(status, "True", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_another_version_has_injected_stays_as_it_is_and_the_next_one_gets_what_is_new() {
    let Some(world) = World::start().await else { return };
    let mut spec = greeting("hello");
    spec["access"] = "Metadata".into();
    spec["vertex"] = json!({"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]});
    spec["identity"] = json!({"workloadIdentityFederation": {
        "provider": "projects/1/locations/global/workloadIdentityPools/agents/providers/cluster",
    }});
    world.policy("agents", spec).await;
    let settings = |image: &str| {
        let mut config = tempfile::NamedTempFile::new().unwrap();
        let settings = json!({"broker": {"image": image}});
        config.write_all(settings.to_string().as_bytes()).unwrap();
        config
    };
    let (old, new) = (settings("example.com/broker:old"), settings("example.com/broker:new"));
    let replica = Replica::serving(&world, &["--config", old.path().to_str().unwrap()]).await;
    let pods = Api::<Pod>::namespaced(world.client.clone(), TEAM);
    let create = async || {
        pods.create(&PostParams::default(), &serde_json::from_value(agent()).unwrap())
            .await
            .unwrap()
    };
    let image = |pod: &Pod| {
        pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap()[0]
            .image
            .clone()
    };
    let first = create().await;
    assert_eq!(image(&first).as_deref(), Some("example.com/broker:old"));

    // The webhook is upgraded.
    drop(replica);
    let params = DeleteParams::default();
    world.configurations().delete("vertex-injector", &params).await.unwrap();
    world
        .policy_configurations()
        .delete("vertex-injector", &params)
        .await
        .unwrap();
    let _replica = Replica::serving(&world, &["--config", new.path().to_str().unwrap()]).await;
    eventually("served by the new one", async || {
        world
            .admit()
            .await
            .is_err_and(|error| error.contains("AlreadyExists") || error.contains("already exists"))
    })
    .await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}));
    let edited = pods.patch("agent", &PatchParams::default(), &label).await.unwrap();
    assert_eq!(edited.spec, first.spec);

    // A copy of it, as from `kubectl get --output yaml`, is brought up to date: one broker, the new one.
    let mut copy = edited.clone();
    copy.metadata = serde_json::from_value(json!({
        "name": "copy", "labels": edited.metadata.labels, "annotations": edited.metadata.annotations,
    }))
    .unwrap();
    copy.status = None;
    let copied = pods.create(&PostParams::default(), &copy).await.unwrap();
    let brokers = copied.spec.as_ref().unwrap().init_containers.as_ref().unwrap().len();
    assert_eq!(
        (brokers, image(&copied).as_deref()),
        (1, Some("example.com/broker:new"))
    );
    let (was, is) = (edited.spec.unwrap(), copied.spec.unwrap());
    assert_eq!((was.volumes, was.containers), (is.volumes, is.containers));
}
