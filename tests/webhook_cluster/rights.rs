//! With too few rights: what a person reads, and the live list when a watch is behind.

use crate::replica::Replica;
use crate::world::{TEAM, World, agent, eventually, greeting};
use harness::kube::ControlPlane;
use kube::config::Kubeconfig;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A kubeconfig that acts as an account without rights of its own.
fn kubeconfig_as(cluster: &ControlPlane, user: &str) -> (TempDir, PathBuf) {
    let mut kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    for named in &mut kubeconfig.auth_infos {
        named.auth_info.as_mut().unwrap().impersonate = Some(user.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_told_with_verb_and_resource() {
    let Some(world) = World::start().await else { return };
    let (_folder, kubeconfig) = kubeconfig_as(&world.cluster, "nobody");
    let replica = Replica::with(&kubeconfig, &[]).await;
    let mut text = String::new();
    eventually("every part says what it lacks", async || {
        text = replica.readyz().await.1;
        text.matches("is forbidden").count() == 4
    })
    .await;
    for (part, lacks) in [
        (
            "certificate: Secret system/vertex-injector-tls: ",
            r#"cannot get resource "secrets""#,
        ),
        (
            "injectionpolicies.vertex-injector.dev: ",
            r#"cannot list resource "injectionpolicies""#,
        ),
        (
            "clusterinjectionpolicies.vertex-injector.dev: ",
            r#"cannot list resource "clusterinjectionpolicies""#,
        ),
        ("namespaces: ", r#"cannot list resource "namespaces""#),
    ] {
        let line = text.lines().find(|line| line.starts_with(part));
        let line = line.unwrap_or_else(|| panic!("no line {part:?} in\n{text}"));
        assert!(
            line.contains(lacks) && line.contains("\"nobody\"") && line.contains("chart's RBAC"),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_asks_before_the_watch_has_its_policy_is_served_by_a_live_list() {
    let Some(world) = World::start().await else { return };
    // May list but not watch policies: a watch that is always behind.
    world.cluster.apply(
        &json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": "behind"},
                    "rules": [
                        {"apiGroups": ["vertex-injector.dev"], "resources": ["*"], "verbs": ["list"]},
                        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
                        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
                        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
                    ],
                },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": "behind"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "behind"},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "behind"}],
                },
            ],
        })
        .to_string(),
    );
    let (_folder, kubeconfig) = kubeconfig_as(&world.cluster, "behind");
    let replica = Replica::with(&kubeconfig, &[]).await;
    world.configure(&[replica.addresses.https]).await;
    replica.until_ready().await;
    let authority = world.authority().await.unwrap();
    world.policy("agents", greeting("hello")).await;

    // A pod that only happens to be there is nobody's reason to ask the API server.
    let response = replica.review(&authority, agent()).await;
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &json!(null)));
    let lists = r#"vertex_injector_live_lists_total{result="done"}"#;
    assert_eq!(replica.metric(lists).await, 0);

    let mut asks = agent();
    asks["metadata"]["labels"]["vertex-injector.dev/inject"] = json!("true");
    for _ in 0..5 {
        let response = replica.review(&authority, asks.clone()).await;
        assert!(response["patch"].is_string(), "{response}");
    }
    let done = replica.metric(lists).await;
    assert!((1..5).contains(&done), "{done} lists for five reviews within a second");

    asks["metadata"]["namespace"] = json!("../../..");
    let response = replica.review(&authority, asks).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(replica.metric(lists).await, done, "{TEAM}");
}
