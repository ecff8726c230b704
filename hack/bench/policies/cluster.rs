//! The same with policies that come from a real API server, which is on this machine, too.

use super::webhook::{Files, Webhook};
use super::{POLICY, seconds};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, stream};
use harness::kube::ControlPlane;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use std::time::{Duration, Instant};
use vertex_injector_core::api::{InjectionPolicy, crds};

/// Calls at the same time while the cluster is filled.
const AT_ONCE: usize = 16;

/// How often a policy is edited.
const EDITS: usize = 20;

/// The namespace of a policy.
pub(crate) fn namespace(i: usize) -> String {
    format!("team-{i:06}")
}

pub(crate) async fn measure(number: usize) {
    let started = tokio::task::spawn_blocking(ControlPlane::start_or_explain).await;
    let Some(cluster) = started.expect("a cluster") else {
        return;
    };
    for crd in crds() {
        cluster.apply(&serde_json::to_string(&crd).expect("a definition"));
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    let served = (0..20).any(|_| cluster.try_kubectl(&wait).success());
    assert!(served, "the definitions are not served");
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = Client::try_from(config.expect("a configuration")).expect("a client");
    fill(&client, number).await;

    let files = Files::new();
    let kubeconfig = cluster.kubeconfig().to_str().expect("a path");
    let mut webhook = Webhook::start(&files, &["--namespace", "default", "--kubeconfig", kubeconfig]);
    let start = Instant::now();
    let ready = webhook.until_ready();
    println!(
        "{number} policies from an API server: ready after {}, resident {}",
        seconds(ready),
        webhook.resident()
    );
    edits(&mut webhook, &client, number, "while statuses are written").await;
    until_told(&client).await;
    println!(
        "  every policy has its status after {}, resident {}",
        seconds(start.elapsed()),
        webhook.resident()
    );
    edits(&mut webhook, &client, number, "afterwards").await;
    println!("  resident {}", webhook.resident());
}

async fn fill(client: &Client, number: usize) {
    let start = Instant::now();
    stream::iter(0..number)
        .for_each_concurrent(AT_ONCE, async |i| {
            let name = namespace(i);
            let object = Namespace {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some([("vertex-injector.dev/injection".to_owned(), "enabled".to_owned())].into()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            let namespaces = Api::<Namespace>::all(client.clone());
            namespaces
                .create(&PostParams::default(), &object)
                .await
                .expect("a namespace");
            let policy: InjectionPolicy =
                serde_saphyr::from_str(&POLICY.replace("team-0042", &name)).expect("a policy");
            let policies = Api::<InjectionPolicy>::namespaced(client.clone(), &name);
            policies
                .create(&PostParams::default(), &policy)
                .await
                .expect("a policy");
        })
        .await;
    println!("(filling the cluster took {})", seconds(start.elapsed()));
}

/// Edits some policies, one after the other, and asks for a review until it shows the edit.
async fn edits(webhook: &mut Webhook, client: &Client, number: usize, when: &str) {
    let mut times = Vec::new();
    for edit in 0..EDITS {
        let i = edit * (number / EDITS);
        let policies = Api::<InjectionPolicy>::namespaced(client.clone(), &namespace(i));
        let value = format!("{when} {edit}");
        let patch = Patch::Merge(json!({"spec": {"env": [{"name": "EDITED", "value": value}]}}));
        policies
            .patch("agents", &PatchParams::default(), &patch)
            .await
            .expect("an edit");
        let start = Instant::now();
        while !shows(&webhook.review(i), &value) {
            assert!(start.elapsed() < Duration::from_secs(30), "the edit does not arrive");
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let (median, worst) = (times.get(EDITS / 2).copied(), times.last().copied());
    println!(
        "  an edit reaches the next review {when}: {} ms, at worst {} ms",
        median.unwrap_or_default().as_millis(),
        worst.unwrap_or_default().as_millis()
    );
}

/// Whether the patch of an answer holds a text.
fn shows(answer: &str, text: &str) -> bool {
    let answer: serde_json::Value = serde_json::from_str(answer).expect("an answer");
    let patch = answer.pointer("/response/patch").and_then(serde_json::Value::as_str);
    let patch = BASE64_STANDARD.decode(patch.unwrap_or_default()).expect("a patch");
    String::from_utf8_lossy(&patch).contains(text)
}

/// Waits until every policy's status says that it was read.
async fn until_told(client: &Client) {
    let policies = Api::<InjectionPolicy>::all(client.clone());
    loop {
        let mut params = ListParams::default().limit(500);
        let mut told = true;
        loop {
            let page = policies.list(&params).await.expect("the policies");
            told &= page.items.iter().all(|policy| {
                let observed = policy.status.as_ref().and_then(|status| status.observed_generation);
                observed == policy.metadata.generation
            });
            match page.metadata.continue_.filter(|token| told && !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        if told {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
