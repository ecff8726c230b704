//! The life of a release in a cluster of its own: stricter lists, longest lists, the end.

use crate::release::{OWN, eventually, helm, upgrade, values_file, wait_until_served};
use harness::kube::ControlPlane;
use harness::process::or_explain;
use serde_json::{Value, json};

#[test]
fn policies_outlive_stricter_lists_and_the_release() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let allowed = [
        "--set",
        "webhook.url=https://127.0.0.1:9/mutate",
        "--set",
        "policyLimits.sidecarImages={example.com/*}",
    ];
    helm(&cluster, &upgrade("injector", OWN, &allowed));
    wait_until_served(&cluster);
    let policy = |port: u32| {
        json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
            "metadata": {"name": "policy", "namespace": "default", "finalizers": ["example.com/hold"]},
            "spec": {"sidecars": [{"name": "a", "image": "example.com/a:1", "port": port}]},
        })
        .to_string()
    };
    eventually("the list of images", || cluster.try_apply(&policy(8100)).success());

    helm(&cluster, &upgrade("injector", OWN, &allowed[..2]));
    // Nothing is stored while the API server has not heard of the list.
    let apply = ["apply", "--dry-run=server", "--filename", "-"];
    let refused = || {
        cluster
            .try_kubectl_stdin(&apply, &policy(8101))
            .stderr
            .contains("the operator's list of sidecarImages is empty")
    };
    eventually("the empty list of images", refused);
    // What does not touch the spec is not held up by it.
    cluster.kubectl(&["label", "injectionpolicy", "policy", "team=a"]);
    let status = r#"{"status": {"observedGeneration": 1}}"#;
    cluster.kubectl(&[
        "patch",
        "injectionpolicy",
        "policy",
        "--subresource=status",
        "--type=merge",
        "--patch",
        status,
    ]);
    cluster.apply(&policy(8100));

    cluster.helm(&["uninstall", "injector", "--namespace", OWN]);
    assert_eq!(
        cluster.get(&["injectionpolicy", "policy"])["metadata"]["labels"]["team"],
        "a"
    );
    helm(&cluster, &upgrade("injector", OWN, &allowed));
    assert_eq!(
        cluster.get(&["injectionpolicy", "policy"])["spec"]["sidecars"][0]["port"],
        8100
    );

    helm(&cluster, &upgrade("injector", OWN, &allowed[..2]));
    eventually("the empty list of images", refused);
    cluster.kubectl(&["delete", "injectionpolicy", "policy", "--wait=false"]);
    cluster.kubectl(&[
        "patch",
        "injectionpolicy",
        "policy",
        "--type=merge",
        "--patch",
        r#"{"metadata": {"finalizers": null}}"#,
    ]);
    let error = cluster.try_kubectl(&["get", "injectionpolicy", "policy"]).error();
    assert!(error.contains("NotFound"), "{error}");
}

#[test]
fn the_largest_policy_under_the_longest_lists_is_within_the_cost_limits() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let values = values_file(&json!({
        "webhook": {"url": "https://127.0.0.1:9/mutate"},
        "policyLimits": {
            // What matches last costs most.
            "sidecarImages": many(32, |i| match i {
                31 => json!("registry.example.com/*"),
                i => json!(long(&format!("registry.example.com/team/mcp-a{i}x"), 127) + "*"),
            }),
            "endpointHosts": many(64, |i| json!(long(&format!("h{i}x"), 244))),
            "apiServerAudiences": many(16, |i| json!(long("https://kubernetes.default.svc.x", 252 - i) + "b")),
        },
    }));
    helm(&cluster, &upgrade("injector", OWN, &["--values", &values]));
    wait_until_served(&cluster);
    let create = ["create", "--dry-run=server", "--filename", "-"];
    let mut policy = largest();
    assert!(policy.to_string().len() > 700_000, "{}", policy.to_string().len());
    cluster.kubectl_stdin(&create, &policy.to_string());

    // And when everything is wrong there is still a message.
    for mount in policy["spec"]["volumeMounts"].as_array_mut().expect("mounts") {
        mount["name"] = json!("x".repeat(63));
    }
    let error = cluster.try_kubectl_stdin(&create, &policy.to_string()).error();
    assert!(
        error.contains(r#"spec.volumeMounts[0].name: "xxx"#) && error.contains("valid names: [v0, v1, "),
        "{error}"
    );
    assert!(error.trim_end().ends_with('…'), "{error}");
}

/// Everything as long as the schema allows, and right.
fn largest() -> Value {
    let env = |prefix: String| {
        many(
            64,
            |i| json!({"name": long(&format!("{prefix}_{i}_"), 253), "value": "x"}),
        )
    };
    let path = |kind: &str, i: usize| format!("/var/run/{kind}{i}{}", "/a".repeat(118));
    let audience = long("https://kubernetes.default.svc.x", 253);
    let source = json!({"serviceAccountToken": {"audience": audience, "path": "t"}});
    let endpoint = format!("https://{}", long("h63x", 244));
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "ClusterInjectionPolicy", "metadata": {"name": "largest"},
        "spec": {
            "agents": many(16, |i| json!({
                "podSelector": {}, "credentialDirectory": path("agent", i), "env": env(format!("A{i}")),
            })),
            "identity": {"workloadIdentityFederation": {
                "provider": "projects/123/locations/global/workloadIdentityPools/pool/providers/prov",
                "audience": audience, "endpoints": {"sts": endpoint, "iamCredentials": endpoint},
            }},
            "authHelpers": many(16, |i| json!({"configMapName": long("c", 253), "mountPath": path("helper", i)})),
            "tokens": many(16, |i| json!({
                "name": format!("t{i}"), "audience": audience, "mountPath": path("token", i),
                "envName": long(&format!("T{i}_"), 253),
            })),
            "env": env("E".to_owned()),
            "volumes": many(32, |i| json!({"name": format!("v{i}"), "projected": {"sources": vec![source.clone(); 8]}})),
            "podVolumes": many(32, |i| json!(long(&format!("p{i}x"), 63))),
            "volumeMounts": many(64, |i| json!({
                "name": long(&format!("p{}x", i % 32), 63), "mountPath": path("mount", i),
            })),
            "sidecars": many(16, |i| json!({
                "name": format!("s{i}"), "image": long("registry.example.com/team/mcp-a:1", 512), "port": 20000 + i,
                "mcpKey": long(&format!("k{i}x"), 63), "env": env(format!("S{i}")),
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "0.1", "memory": "64Mi"}},
            })),
        },
    })
}

/// A list of this length.
fn many(length: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..length).map(item).collect()
}

/// `start`, made this long.
fn long(start: &str, length: usize) -> String {
    format!("{start}{}", "a".repeat(length - start.len()))
}
