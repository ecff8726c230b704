//! What the chart's own test (`helm test`) may do.

use crate::release::{RELEASE, chart, eventually, pod};
use serde_json::json;
use vertex_injector_core::manifest;

#[test]
fn the_charts_own_test_looks_and_creates_nothing() {
    let Some(release) = &*RELEASE else { return };
    let cluster = &release.cluster;
    let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
    cluster.create_namespace("tested", &restricted);
    let rendered = cluster.helm(&[
        "template",
        "tested",
        &chart(),
        "--namespace",
        "tested",
        "--set",
        "image.repository=example.com/injector",
        "--show-only",
        "templates/tests/check.yaml",
    ]);
    for object in manifest::documents(&rendered).expect("objects") {
        cluster.kubectl_stdin(
            &["--namespace", "tested", "apply", "--filename", "-"],
            &object.to_string(),
        );
    }

    let account = "system:serviceaccount:tested:tested-vertex-injector-test";
    let agent = pod("default", "tried", json!({})).to_string();
    let create = ["--as", account, "create", "--filename", "-"];
    eventually("the rule that lets only dry runs pass", || {
        let ran = cluster.try_kubectl_stdin(&create, &agent);
        if ran.success() {
            cluster.kubectl(&[
                "--namespace",
                "default",
                "delete",
                "pod",
                "tried",
                "--grace-period=0",
                "--force",
            ]);
        }
        ran.stderr
            .contains("the test of vertex-injector creates pods as dry runs only")
    });
    cluster.kubectl_stdin(&[&create[..], &["--dry-run=server"]].concat(), &agent);
}
