//! `check` of the installed chart: hands are shaken with each replica, by a forwarded port from outside, by its address from inside, and
//! by the kubelet where a network policy keeps others out.

use std::path::Path;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::installed::{RELEASE, WELL, node};
use harness::node::Node;
use harness::process::{Ran, run};

/// What other tests of this program do not break meanwhile.
const PARTS: &str = "--only=api-server,definitions,webhooks,certificate,replicas,guards";

/// Held for reading while pods reach the webhook, for writing while they do not.
static OPEN: RwLock<()> = RwLock::new(());

/// A namespace for pods that check.
const NAMESPACE: &str = "checking";

/// What `check` reads for these parts.
const READ: [&str; 11] = [
    "nodes",
    "pods",
    "services",
    "configmaps",
    "deployments",
    "customresourcedefinitions",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "namespaces",
];

#[test]
fn from_outside_hands_are_shaken_with_each_replica_by_a_forwarded_port() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let asked = outside(node, &["-o", "json"]);
    let report: Value = serde_json::from_str(&asked.stdout).expect(&asked.stderr);
    assert_all_is_well(node, &report);
    assert_eq!(asked.code, Some(0), "{report:#}");

    let text = outside(node, &[]).output();
    for replica in replicas(node) {
        let line = format!(
            "✓ MutatingWebhookConfiguration vertex-injector: trusts what {} serves, for ",
            replica.name
        );
        let line = { text.lines() }
            .find_map(|told| told.trim_start().strip_prefix(&line))
            .expect(&text);
        let days: u32 = line
            .strip_suffix(" days")
            .and_then(|days| days.parse().ok())
            .expect(line);
        // What the webhook makes lives for 30 days.
        assert!((27..=30).contains(&days), "{line}");
    }
}

#[test]
fn from_inside_a_pod_hands_are_shaken_with_each_replica_by_its_address() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let _open = OPEN.read();
    // It has no right to forward a port.
    let (code, report) = inside(node, "by-address", &[]);
    assert_all_is_well(node, &report);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn where_a_policy_lets_nobody_in_but_the_api_server_it_goes_by_the_kubelet_or_says_what_that_needs() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let _not_open = OPEN.write();
    let _closed = Closed::before(node, &replicas(node));
    let (code, report) = inside(node, "closed-out", &[]);
    assert_eq!(code, 2, "{report:#}");
    for replica in replicas(node) {
        let said = format!(
            "{}: port 8443 cannot be reached from here (no connection within 3 s), and by the kubelet: needs get and create on \
             pods/portforward in namespace {RELEASE}",
            replica.name
        );
        let of = certificates(&report)
            .into_iter()
            .filter(|finding| finding["found"] == *said && finding["level"] == "unknown");
        assert_eq!(of.count(), 2, "{said}: {report:#}");
    }
    assert!(
        findings(&report).iter().all(|finding| finding["level"] != "broken"),
        "{report:#}"
    );

    let (code, report) = inside(node, "by-kubelet", &["pods/portforward"]);
    assert_all_is_well(node, &report);
    assert_eq!(code, 0, "{report:#}");
}

/// Nothing is broken or unknown, and each replica has shown its certificate to both configurations.
#[track_caller]
fn assert_all_is_well(node: &Node, report: &Value) {
    let bad: Vec<Value> = { findings(report).into_iter() }
        .filter(|finding| finding["level"] != "fine")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let replicas = replicas(node);
    assert_eq!(replicas.len(), 2);
    for replica in replicas {
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let object = format!("{kind} {RELEASE}");
            let said = format!("trusts what {} serves, for ", replica.name);
            let shown = certificates(report)
                .into_iter()
                .filter(|finding| finding["object"] == *object)
                .filter(|finding| finding["found"].as_str().is_some_and(|found| found.starts_with(&said)));
            assert_eq!(shown.count(), 1, "{object}: {said}: {report:#}");
        }
    }
}

fn findings(report: &Value) -> Vec<Value> {
    report["findings"].as_array().expect("findings").clone()
}

fn certificates(report: &Value) -> Vec<Value> {
    let all = findings(report).into_iter();
    all.filter(|finding| finding["part"] == "certificate").collect()
}

/// A pod of the webhook.
struct Replica {
    name: String,
    address: String,
}

#[track_caller]
fn replicas(node: &Node) -> Vec<Replica> {
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    let pods = node.get(&["--namespace", RELEASE, "pods", "--selector", &selector]);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let pods = pods["items"].as_array().expect("pods").iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| Replica {
            name: text(&pod["metadata"]["name"]),
            address: text(&pod["status"]["podIP"]),
        })
        .collect()
}

fn outside(node: &Node, more: &[&str]) -> Ran {
    let mut command = node.command(Path::new(env!("CARGO_BIN_EXE_vertex-injector")));
    command.args(["check", PARTS]).args(more);
    run(&mut command, "", Duration::from_mins(1))
}

/// Checks in a pod of our image, with the rights to read and these: the exit code and the report.
#[track_caller]
fn inside(node: &Node, name: &str, more: &[&str]) -> (i64, Value) {
    let created = node.try_kubectl(&["create", "namespace", NAMESPACE]);
    assert!(
        created.success() || created.stderr.contains("AlreadyExists"),
        "{}",
        created.stderr
    );
    let image = node.get(&["--namespace", RELEASE, "deployment", RELEASE])["spec"]["template"]["spec"]["containers"][0]
        ["image"]
        .clone();
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    let more = [&["none"], more].concat();
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": format!("check-{name}")},
            "rules": [
                {"apiGroups": ["*"], "resources": READ, "verbs": ["get", "list"]},
                {"apiGroups": ["*"], "resources": more, "verbs": ["get", "create"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("check-{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("check-{name}")},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {
                "serviceAccountName": name, "restartPolicy": "Never",
                "containers": [{"name": "check", "image": image, "args": ["check", PARTS, "-o", "json"]}],
            },
        },
    ]});
    node.kubectl_stdin(&["create", "--filename", "-"], &objects.to_string());
    let until = Instant::now() + Duration::from_mins(1);
    let code = loop {
        let pod = node.get(&["--namespace", NAMESPACE, "pod", name]);
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"];
        if let Some(code) = ended.as_i64() {
            break code;
        }
        assert!(Instant::now() < until, "{pod:#}");
        harness::process::pause(Duration::from_millis(300));
    };
    let log = node.kubectl(&["--namespace", NAMESPACE, "logs", name]);
    (code, serde_json::from_str(&log).expect(&log))
}

/// Does on the node what a network plugin does that enforces a NetworkPolicy: pods do not reach the webhook, the API server,
/// which is no pod, does.
struct Closed<'a>(&'a Node);

impl<'a> Closed<'a> {
    #[track_caller]
    fn before(node: &'a Node, replicas: &[Replica]) -> Self {
        let closed = Self(node);
        let addresses: Vec<&str> = replicas.iter().map(|replica| replica.address.as_str()).collect();
        let rules = format!(
            "table inet closed {{ chain forward {{ type filter hook forward priority 0; ip daddr {{ {} }} tcp dport 8443 drop; }}; }}",
            addresses.join(", ")
        );
        node.in_netns(&["nft", &rules]).output();
        closed
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.in_netns(&["nft", "delete table inet closed"]);
    }
}
