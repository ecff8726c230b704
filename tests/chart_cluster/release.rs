//! One installed chart for all tests that do not change it.

use harness::kube::ControlPlane;
use harness::process::{or_explain, repository};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The namespace of the release.
pub(crate) const OWN: &str = "injector-system";

/// A control plane with the chart in it.
pub(crate) struct Release {
    pub cluster: ControlPlane,
    /// What Helm said at the end.
    pub notes: String,
}

/// The shared release; it ends with this process.
pub(crate) static RELEASE: LazyLock<Option<Release>> =
    LazyLock::new(|| Some(Release::install(or_explain(ControlPlane::start_own())?)));

impl Release {
    fn install(cluster: ControlPlane) -> Self {
        let values = repository().join("tests/chart_cluster/values.yaml");
        let notes = helm(
            &cluster,
            &upgrade("injector", OWN, &["--values", values.to_str().expect("UTF-8")]),
        );
        wait_until_served(&cluster);
        Self { cluster, notes }
    }
}

/// The chart's folder.
pub(crate) fn chart() -> String {
    repository().join("charts/vertex-injector").display().to_string()
}

/// Arguments by which Helm installs a release or brings it up to date.
pub(crate) fn upgrade(name: &str, namespace: &str, more: &[&str]) -> Vec<String> {
    let chart = chart();
    let arguments = [
        "upgrade",
        "--install",
        name,
        &chart,
        "--namespace",
        namespace,
        "--create-namespace",
    ];
    arguments
        .iter()
        .chain(more)
        .map(|&argument| argument.to_owned())
        .collect()
}

/// Runs Helm, which has to succeed.
#[track_caller]
pub(crate) fn helm(cluster: &ControlPlane, arguments: &[String]) -> String {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cluster.helm(&arguments)
}

/// Two people who may write policies anywhere and nothing else.
pub(crate) const WRITER: &str = "writer";
pub(crate) const RUNNER: &str = "runner";

fn install_writers(cluster: &ControlPlane) {
    let name = json!({"name": "policy-writer"});
    let api = "rbac.authorization.k8s.io";
    let users = [WRITER, RUNNER].map(|user| json!({"apiGroup": api, "kind": "User", "name": user}));
    let rules = json!([{"apiGroups": ["vertex-injector.dev"], "resources": ["*"], "verbs": ["*"]}]);
    for object in [
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": name, "rules": rules}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": name,
               "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "policy-writer"},
               "subjects": users}),
    ] {
        cluster.apply(&object.to_string());
    }
}

/// Waits until the API server heeds what was installed: it learns of its own configuration by watches.
pub(crate) fn wait_until_served(cluster: &ControlPlane) {
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd/injectionpolicies.vertex-injector.dev",
    ]);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd/clusterinjectionpolicies.vertex-injector.dev",
    ]);
    cluster.create_namespace("canary", &[("vertex-injector.dev/injection", "enabled")]);
    cluster.apply(&pod("canary", "canary", json!({})).to_string());
    install_writers(cluster);
    let policy = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "canary", "namespace": "canary"}, "spec": {},
    });
    let agent = pod("canary", "agent", json!({"vertex-injector.dev/inject": "true"}));
    let dry_run = ["create", "--dry-run=server", "--filename", "-"];
    let annotate = [
        "--namespace",
        "canary",
        "annotate",
        "--dry-run=server",
        "pod",
        "canary",
        "vertex-injector.dev/policy-ref=x",
    ];
    let as_writer = [&dry_run[..], &["--as", WRITER]].concat();
    eventually("the authors' guard", || {
        let ran = cluster.try_kubectl_stdin(&as_writer, &policy.to_string());
        ran.stderr.contains("may not create pods")
    });
    eventually("the webhook configuration", || {
        let ran = cluster.try_kubectl_stdin(&dry_run, &agent.to_string());
        ran.stderr.contains("failed calling webhook")
    });
    eventually("the annotations' guard", || !cluster.try_kubectl(&annotate).success());
}

/// A pod with these labels.
pub(crate) fn pod(namespace: &str, name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "agent", "image": "example.com/agent"}]},
    })
}

/// Waits for something that must happen soon.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        harness::process::pause(Duration::from_millis(100));
    }
}
