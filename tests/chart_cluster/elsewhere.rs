//! Pods that ask where nobody injects them are not passed in silence, and what they say of themselves is not believed.

use crate::judge::api_server;
use crate::release::{RELEASE, Release, eventually, helm, pod, upgrade};
use serde_json::{Value, json};
use std::sync::LazyLock;
use vertex_injector_core::names::{INJECT, POLICY_REF, SKIPPED};

#[test]
fn a_pod_that_asks_in_a_namespace_that_did_not_opt_in_is_answered_with_a_warning() {
    let Some(release) = &*RELEASE else { return };
    release.cluster.create_namespace("lab", &[]);
    let told = |namespace: &str, labels: Value| {
        let pod = pod(namespace, "worker", labels).to_string();
        let ran = release
            .cluster
            .try_kubectl_stdin(&["create", "--dry-run=server", "--filename", "-"], &pod);
        assert!(ran.success(), "{}", ran.stderr);
        ran.stderr
    };
    for value in ["true", "yes", ""] {
        let warning = told("lab", json!({INJECT: value}));
        assert!(
            warning.contains("injector-vertex-injector-injection-elsewhere")
                && warning.contains(&format!("label {INJECT}: \"{value}\", and gets none"))
                && warning.contains("label it vertex-injector.dev/injection=enabled"),
            "{warning}"
        );
    }
    for labels in [json!({INJECT: "false"}), json!({"fracta-agent-id": "a"})] {
        assert_eq!(told("lab", labels.clone()), "", "{labels}");
    }
    // Who opts in there is not heard. Nothing else makes the account here.
    let _ = release
        .cluster
        .try_kubectl(&["--namespace", "kube-system", "create", "serviceaccount", "default"]);
    assert!(told("kube-system", json!({INJECT: "true"})).contains("namespace kube-system has not opted in"));
}

#[test]
fn another_value_than_true_is_refused_where_the_namespace_opted_in() {
    let Some(release) = &*RELEASE else { return };
    let namespace = "asks-otherwise";
    release
        .cluster
        .create_namespace(namespace, &[("vertex-injector.dev/injection", "enabled")]);
    for value in ["yes", "True", ""] {
        let pod = pod(namespace, "worker", json!({INJECT: value}));
        let verdicts = api_server(release, &[pod]);
        let message = verdicts["worker"].as_deref().expect("refused");
        assert!(
            message.contains("nothing has injected it") && message.contains("by the value \"true\" and no other"),
            "{message}"
        );
    }
}

/// A release whose webhook configuration somebody has deleted.
static FORGED: LazyLock<Option<&Release>> = LazyLock::new(|| {
    let release = RELEASE.as_ref()?;
    let values = [
        "--set",
        "webhook.url=https://127.0.0.1:9/mutate,crds.install=false",
        "--set",
        "namespaceSelector.matchLabels.forged=yes",
        "--set",
        "admissionPolicies.annotationGuard=false,admissionPolicies.brokerGuard=false,admissionPolicies.authorGuard=false",
    ];
    helm(&release.cluster, &upgrade("forged", "forged-system", &values));
    release
        .cluster
        .kubectl(&["delete", "mutatingwebhookconfiguration", "forged-vertex-injector"]);
    release.cluster.create_namespace("forged", &[("forged", "yes")]);
    Some(release)
});

#[test]
fn while_the_webhooks_configuration_is_missing_no_annotation_is_believed() {
    let Some(release) = &*FORGED else { return };
    for key in [SKIPPED, POLICY_REF] {
        let mut forged = pod("forged", "worker", json!({INJECT: "true"}));
        forged["metadata"]["annotations"] = json!({key: "because I say so"});
        let forged = forged.to_string();
        eventually("a refusal", || {
            let create = ["create", "--dry-run=server", "--filename", "-"];
            let ran = release.cluster.try_kubectl_stdin(&create, &forged);
            ran.stderr
                .contains("forged-vertex-injector-webhook-configuration-is-missing")
        });
    }
}
