//! Every right of the webhook's ServiceAccount is used: the API server's audit log beside the chart's rules.

use crate::replica::Replica;
use crate::world::{SYSTEM, TEAM, World, agent, eventually, greeting, within};
use harness::process::{or_explain, repository};
use harness::rights::{Right, resource, rights};
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vertex_injector_core::manifest;

/// All that the chart's rules grant the webhook, as a list of single rights.
fn granted(world: &World) -> BTreeSet<Right> {
    let chart = repository().join("charts/vertex-injector").display().to_string();
    let rendered = world.cluster.helm(&[
        "template",
        "vertex-injector",
        &chart,
        "--namespace",
        SYSTEM,
        "--set=image.repository=example.com/injector,gkeWorkloadIdentity.enabled=true",
        "--show-only=templates/rbac.yaml",
        "--show-only=templates/serviceaccount.yaml",
    ]);
    let objects = manifest::documents(&rendered).unwrap();
    let mut granted = BTreeSet::new();
    for object in &objects {
        world.cluster.kubectl_stdin(
            &["--namespace", SYSTEM, "apply", "--filename", "-"],
            &object.to_string(),
        );
        granted.append(&mut rights(&object["rules"]));
    }
    granted
}

/// The rights that the account has used, whether or not it had them; names where the rule has them.
fn used(audit: &Path, granted: &BTreeSet<Right>) -> BTreeSet<Right> {
    let log = fs::read_to_string(audit).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours =
        events.filter(|event| event["user"]["username"] == format!("system:serviceaccount:{SYSTEM}:vertex-injector"));
    ours.filter_map(|event| {
        let object = &event["objectRef"];
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let mut right = Right {
            verb: event["verb"].as_str()?.to_owned(),
            resource: resource(text("apiGroup"), text("resource"), text("subresource")),
            name: text("name").to_owned(),
        };
        if !granted.contains(&right) {
            right.name.clear();
        }
        (!object.is_null()).then_some(right)
    })
    .collect()
}

/// A kubeconfig with a token of the webhook's account.
fn kubeconfig(world: &World, folder: &Path) -> PathBuf {
    let token = world
        .cluster
        .kubectl(&["--namespace", SYSTEM, "create", "token", "vertex-injector"]);
    fs::write(folder.join("token"), token.trim()).unwrap();
    let mut kubeconfig = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    for named in &mut kubeconfig.auth_infos {
        named.auth_info = Some(AuthInfo {
            token: Some(token.trim().to_owned().into()),
            ..AuthInfo::default()
        });
    }
    let path = folder.join("kubeconfig");
    fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_uses_every_right_that_the_chart_gives_it_and_asks_for_no_other() {
    let Some(world) = World::start().await else { return };
    let Some(audit) = or_explain(world.cluster.audit_log()) else {
        return;
    };
    let granted = granted(&world);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&world, folder.path());
    let rotates = ["--ca-lifetime=32s", "--certificate-lifetime=30s", "--ca-settle=1s"];
    let token = format!("--service-account-token-file={}", folder.path().join("token").display());
    let replica = Replica::with(&kubeconfig, &[&rotates[..], &[&token]].concat()).await;
    world.configure(&[replica.addresses.https]).await;
    replica.until_ready().await;
    // They go with the account. This is what "delete" is for, which the API server asks for, and nobody does.
    for secret in ["vertex-injector-tls", "vertex-injector-ca"] {
        let secret = world.cluster.get(&["--namespace", SYSTEM, "secret", secret]);
        let account = world
            .cluster
            .get(&["--namespace", SYSTEM, "serviceaccount", "vertex-injector"]);
        assert_eq!(
            secret["metadata"]["ownerReferences"][0]["uid"], account["metadata"]["uid"],
            "{secret}"
        );
    }

    // A policy of each kind, one with an account at Google, a pod that is refused, and one that asks before any watch can know.
    let kubectl = |arguments: &[&str]| world.cluster.kubectl(&[&["--namespace", TEAM], arguments].concat());
    kubectl(&["create", "serviceaccount", "agent"]);
    let mut spec = greeting("hello");
    spec["agents"][0]["serviceAccounts"] = json!(["agent"]);
    spec["identity"] = json!({"gkeWorkloadIdentity": {"serviceAccount": "agent@my-project.iam.gserviceaccount.com"}});
    world.policy("agents", spec).await;
    world.cluster.apply(
        &json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "ClusterInjectionPolicy",
            "metadata": {"name": "everybody"},
            "spec": {"agents": [{"podSelector": {"matchLabels": {"app": "nobody"}}}], "env": [{"name": "A", "value": "b"}]},
        })
        .to_string(),
    );
    let mut refused = agent();
    refused["metadata"]["name"] = json!("refused");
    refused["metadata"]["annotations"] = json!({"vertex-injector.dev/policy": "missing"});
    refused["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "nightly", "controller": true,
        "uid": "e6a1a7d8-0000-4000-8000-000000000001",
    }]);
    let refuse = || world.cluster.try_apply(&refused.to_string());
    eventually("refused", async || refuse().error().contains("missing")).await;
    let mut asks = agent();
    asks["metadata"]["name"] = json!("asks");
    asks["metadata"]["namespace"] = json!("default");
    asks["metadata"]["labels"] = json!({"vertex-injector.dev/inject": "true"});
    replica.review(&world.authority().await.unwrap(), asks).await;

    // The same event is told again, as one of a series, after a minute.
    let mut missing = Vec::new();
    within(Duration::from_secs(90), "every right is used", async || {
        refuse();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = used(&audit, &granted);
        let others: Vec<_> = used.difference(&granted).collect();
        assert!(others.is_empty(), "not granted: {others:?}");
        let unused = granted.difference(&used).filter(|right| right.verb != "delete");
        let unused: Vec<_> = unused.cloned().collect();
        if missing != unused {
            println!("not yet used: {unused:?}");
            missing = unused;
        }
        missing.is_empty()
    })
    .await;
}
