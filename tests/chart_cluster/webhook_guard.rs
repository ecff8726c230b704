//! What the webhook's own ServiceAccount may change.

use crate::release::{OWN, RELEASE};
use serde_json::json;

const ACCOUNT: &str = "system:serviceaccount:injector-system:injector-vertex-injector";
const NAME: &str = "injector-vertex-injector";

#[test]
fn of_its_configurations_the_webhook_changes_the_ca_bundle_and_nothing_else() {
    let Some(release) = &*RELEASE else { return };
    let patch = |kind: &str, patch: serde_json::Value| {
        let patch = patch.to_string();
        let dry_run = ["--dry-run=server", "--type=json", "--patch", &patch];
        let arguments = [&["--as", ACCOUNT, "patch", kind, NAME][..], &dry_run].concat();
        release.cluster.try_kubectl(&arguments)
    };
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let bundle = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]);
        let answer = patch(kind, bundle);
        assert!(answer.success(), "{}", answer.stderr);
        for (path, value) in [
            ("/metadata/labels/mine", json!("x")),
            ("/metadata/annotations", json!({"a": "b"})),
            ("/webhooks/0/name", json!("mine.vertex-injector.dev")),
            ("/webhooks/0/clientConfig/url", json!("https://127.0.0.1:8/mutate")),
            ("/webhooks/0/failurePolicy", json!(null)),
            (
                "/webhooks/0/matchConditions",
                json!([{"name": "none", "expression": "false"}]),
            ),
            ("/webhooks/0/namespaceSelector", json!({"matchLabels": {"a": "b"}})),
            ("/webhooks/0/objectSelector", json!({"matchLabels": {"a": "b"}})),
            ("/webhooks/0/rules/0/resources", json!(["secrets"])),
            ("/webhooks/0/timeoutSeconds", json!(1)),
            ("/webhooks", json!([])),
        ] {
            let value = match (path, kind) {
                // Another than the chart's.
                ("/webhooks/0/failurePolicy", "mutatingwebhookconfiguration") => json!("Ignore"),
                ("/webhooks/0/failurePolicy", _) => {
                    let now = release.cluster.get(&[kind, NAME])["webhooks"][0]["failurePolicy"].clone();
                    json!(if now == "Fail" { "Ignore" } else { "Fail" })
                }
                _ => value,
            };
            let answer = patch(kind, json!([{"op": "add", "path": path, "value": value}]));
            let said = answer
                .stderr
                .contains("may change nothing of its configuration but webhooks[].clientConfig.caBundle");
            assert!(!answer.success() && said, "{kind} {path}: {}", answer.stderr);
        }
    }
}

#[test]
fn the_webhook_creates_no_other_secrets_than_its_own() {
    let Some(release) = &*RELEASE else { return };
    let create = |name: &str| {
        let create = ["--as", ACCOUNT, "--namespace", OWN, "create", "secret", "generic", name];
        release
            .cluster
            .try_kubectl(&[&create[..], &["--dry-run=server"]].concat())
    };
    for own in ["injector-vertex-injector-tls", "injector-vertex-injector-ca"] {
        let answer = create(own);
        assert!(answer.success(), "{}", answer.stderr);
    }
    let answer = create("another");
    assert!(
        answer
            .stderr
            .contains("may create no other Secrets than those of its certificate"),
        "{}",
        answer.stderr
    );
}
