//! Which installation is meant, by what its objects say of themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use vertex_injector_operate::release::{Release, Trace, releases};

fn trace(metadata: Value, webhooks: &[&str], service: Option<&str>) -> Trace {
    let metadata: ObjectMeta = serde_json::from_value(metadata).expect("metadata");
    Trace {
        metadata,
        webhooks: webhooks.iter().map(|&name| name.to_owned()).collect(),
        service: service.map(str::to_owned),
        suffix: "",
    }
}

fn by_helm(name: &str, release: &str, namespace: &str) -> Trace {
    let annotations = json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace});
    trace(
        json!({"name": name, "annotations": annotations}),
        &["inject.vertex-injector.dev"],
        None,
    )
}

fn found(traces: &[Trace], name: Option<&str>, namespace: Option<&str>) -> Vec<String> {
    let found = releases(traces, name, namespace);
    found
        .into_iter()
        .map(
            |Release {
                 name,
                 namespace,
                 objects,
             }| format!("{name} in {namespace}: {objects}"),
        )
        .collect()
}

#[test]
fn helm_says_it_or_the_service_that_is_called_or_whoever_asks() {
    let labels = json!({"app.kubernetes.io/instance": "two"});
    let templated = trace(
        json!({"name": "two-vi", "labels": labels}),
        &["app.vertex-injector.dev"],
        Some("two-system"),
    );
    let outside = trace(json!({"name": "three-vi"}), &["app.vertex-injector.dev"], None);
    let all = [by_helm("vi", "one", "system"), templated, outside];
    assert_eq!(
        found(&all, None, None),
        [
            "one in system: vi",
            "three-vi in : three-vi",
            "two in two-system: two-vi"
        ]
    );
    assert_eq!(found(&all, Some("two"), None), ["two in two-system: two-vi"]);
    assert_eq!(
        found(&all, None, Some("system")),
        ["one in system: vi", "three-vi in system: three-vi"]
    );
}

#[test]
fn what_is_left_of_a_release_without_its_webhooks_leads_to_it_too() {
    let labels = json!({"helm.sh/chart": "vertex-injector-0.1.0", "app.kubernetes.io/instance": "one"});
    let guard = Trace {
        suffix: "-annotations",
        ..trace(json!({"name": "vi-annotations", "labels": labels}), &[], None)
    };
    assert_eq!(
        found(std::slice::from_ref(&guard), None, Some("system")),
        ["one in system: vi"]
    );
    // One that knows more says it for both.
    assert_eq!(
        found(&[guard, by_helm("vi", "one", "system")], None, None),
        ["one in system: vi"]
    );
}

#[test]
fn other_webhooks_are_nobodys() {
    let istio = trace(
        json!({"name": "istio"}),
        &["sidecar-injector.istio.io"],
        Some("istio-system"),
    );
    assert!(found(&[istio], None, None).is_empty());
}
