//! The life of a release in a cluster of its own.

use crate::release::{OWN, helm, upgrade, wait_until_served};
use harness::kube::ControlPlane;
use harness::process::or_explain;
use serde_json::json;

#[test]
fn policies_outlive_the_release() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let outside = ["--set", "webhook.url=https://127.0.0.1:9/mutate"];
    helm(&cluster, &upgrade("injector", OWN, &outside));
    wait_until_served(&cluster);
    let policy = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "policy", "namespace": "default", "labels": {"team": "a"}},
        "spec": {"sidecars": [{"name": "a", "image": "example.com/a:1", "port": 8100}]},
    });
    cluster.apply(&policy.to_string());
    let stored = || {
        let policy = cluster.get(&["injectionpolicy", "policy"]);
        (
            policy["metadata"]["labels"]["team"].clone(),
            policy["spec"]["sidecars"][0]["port"].clone(),
        )
    };

    cluster.helm(&["uninstall", "injector", "--namespace", OWN]);
    assert_eq!(stored(), (json!("a"), json!(8100)));
    helm(&cluster, &upgrade("injector", OWN, &outside));
    assert_eq!(stored(), (json!("a"), json!(8100)));
}
