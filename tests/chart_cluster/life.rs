//! The life of a release in a cluster of its own.

use crate::release::{OWN, chart, eventually, helm, upgrade, wait_until_served};
use harness::kube::ControlPlane;
use harness::process::{or_explain, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const OUTSIDE: [&str; 2] = ["--set", "webhook.url=https://127.0.0.1:9/mutate"];

fn policy() -> String {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "policy", "namespace": "default", "labels": {"team": "a"}},
        "spec": {"sidecars": [{"name": "a", "image": "example.com/a:1", "port": 8100}]},
    })
    .to_string()
}

/// The policy as it is stored.
fn stored(cluster: &ControlPlane) -> (Value, Value) {
    let policy = cluster.get(&["injectionpolicy", "policy"]);
    (
        policy["metadata"]["labels"]["team"].clone(),
        policy["spec"]["sidecars"][0]["port"].clone(),
    )
}

#[test]
fn policies_outlive_the_release() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    helm(&cluster, &upgrade("injector", OWN, &OUTSIDE));
    wait_until_served(&cluster);
    cluster.apply(&policy());

    cluster.helm(&["uninstall", "injector", "--namespace", OWN]);
    assert_eq!(stored(&cluster), (json!("a"), json!(8100)));
    helm(&cluster, &upgrade("injector", OWN, &OUTSIDE));
    assert_eq!(stored(&cluster), (json!("a"), json!(8100)));
}

/// The chart as an older version may have been: without its newest values, what they do, and their schema.
fn older_chart() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let mut copy = Command::new("cp");
    run(
        copy.args(["-r", &chart()]).arg(folder.path()),
        "",
        Duration::from_secs(30),
    )
    .output();
    let chart = folder.path().join("vertex-injector");
    for file in [
        "values.schema.json",
        "templates/extraobjects.yaml",
        "templates/dashboard.yaml",
        "templates/authorguard.yaml",
    ] {
        fs::remove_file(chart.join(file)).expect("a file of the chart");
    }
    let edit = |name: &str, edit: &dyn Fn(String) -> String| {
        let file = chart.join(name);
        let text = fs::read_to_string(&file).expect("a file of the chart");
        fs::write(file, edit(text)).expect("a file");
    };
    edit("Chart.yaml", &|text| text.replace("ersion: 0.1.0", "ersion: 0.0.1"));
    edit("values.yaml", &|text| {
        let (before, rest) = text.split_once("\ngrafanaDashboard:").expect("the value");
        let (_, after) = rest.split_once("\n\n").expect("the next value");
        format!("{before}\n\n{after}")
            .replace("\nextraObjects: []", "")
            .replace("\n  authorGuard: true", "")
    });
    folder
}

/// Every object of the cluster, but for what the API server makes and forgets by itself.
fn everything(cluster: &ControlPlane) -> BTreeSet<String> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--output", "name"]);
    let passing = ["events", "leases.", "endpoints", "apiservices.", "componentstatuses"];
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !passing.iter().any(|passing| kind.starts_with(passing)))
        .collect();
    let format = "custom-columns=:kind,:metadata.namespace,:metadata.name";
    let list = [
        "get",
        &kinds.join(","),
        "--all-namespaces",
        "--no-headers",
        "--ignore-not-found",
        "--output",
        format,
    ];
    let found = cluster.kubectl(&list);
    found
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn version(cluster: &ControlPlane) -> Value {
    let found = cluster.get(&["mutatingwebhookconfiguration", "injector-vertex-injector"]);
    found["metadata"]["labels"]["app.kubernetes.io/version"].clone()
}

fn has_author_guard(cluster: &ControlPlane) -> bool {
    let name = "validatingadmissionpolicy/injector-vertex-injector-authors";
    !cluster
        .kubectl(&["get", name, "--ignore-not-found", "--output", "name"])
        .is_empty()
}

#[test]
fn a_release_is_upgraded_goes_back_and_leaves_what_is_written_and_nothing_else() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    cluster.create_namespace(OWN, &[]);
    let before = everything(&cluster);
    let install = |chart: &Path, more: &[&str]| {
        let chart = chart.to_str().expect("UTF-8");
        let install = ["upgrade", "--install", "injector", chart, "--namespace", OWN];
        cluster.try_helm(&[&install[..], more].concat())
    };
    let older = older_chart();
    let own = [
        "--set",
        "policyLimits.sidecarImages={example.com/*}",
        "--set",
        "commonLabels.team=platform",
    ];
    install(&older.path().join("vertex-injector"), &[&OUTSIDE[..], &own].concat()).output();
    assert_eq!((version(&cluster), has_author_guard(&cluster)), (json!("0.0.1"), false));
    eventually("the definition", || {
        cluster
            .try_kubectl_stdin(&["apply", "--filename", "-"], &policy())
            .success()
    });

    // What an old version did not know is missing in its values.
    let error = install(Path::new(&chart()), &["--reuse-values"]).error();
    assert!(error.contains("missing propert"), "{error}");
    install(Path::new(&chart()), &["--reset-then-reuse-values"]).output();
    assert_eq!(
        (version(&cluster), has_author_guard(&cluster)),
        (json!(env!("CARGO_PKG_VERSION")), true)
    );
    let settings = cluster.get(&["--namespace", OWN, "configmap", "injector-vertex-injector"]);
    assert!(
        settings["data"]["operator.yaml"]
            .as_str()
            .is_some_and(|text| text.contains("example.com/*"))
    );
    assert_eq!(settings["metadata"]["labels"]["team"], "platform");
    assert_eq!(stored(&cluster), (json!("a"), json!(8100)));

    cluster.helm(&["rollback", "injector", "1", "--namespace", OWN]);
    assert_eq!((version(&cluster), has_author_guard(&cluster)), (json!("0.0.1"), false));
    assert_eq!(stored(&cluster), (json!("a"), json!(8100)));

    cluster.helm(&["uninstall", "injector", "--namespace", OWN]);
    let left: Vec<String> = everything(&cluster).difference(&before).cloned().collect();
    let definition = "CustomResourceDefinition <none>";
    assert_eq!(
        left,
        [
            format!("{definition} clusterinjectionpolicies.vertex-injector.dev"),
            format!("{definition} injectionpolicies.vertex-injector.dev"),
            "InjectionPolicy default policy".to_owned(),
        ]
    );

    // With the definitions the policies go, and without `crds.keep` the definitions with the release.
    cluster.kubectl(&[
        "delete",
        "crd",
        "injectionpolicies.vertex-injector.dev",
        "clusterinjectionpolicies.vertex-injector.dev",
    ]);
    install(
        Path::new(&chart()),
        &[&OUTSIDE[..], &["--set", "crds.keep=false"]].concat(),
    )
    .output();
    cluster.helm(&["uninstall", "injector", "--namespace", OWN, "--wait"]);
    assert_eq!(everything(&cluster), before);
}
