//! One node for all tests of this program, with the product installed as the README says.

use std::process::Command;
use std::sync::{LazyLock, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vertex_injector_core::manifest;

use crate::agent;
use harness::node::{Node, build_image};
use harness::process::{Missing, or_explain, repository, run};

/// Names of the release and of its namespace.
pub(crate) const RELEASE: &str = "vertex-injector";

/// Where the broker finds the CA of Google's fake, in each namespace.
pub(crate) const CA_CONFIG_MAP: &str = "google-ca";

/// Held for reading by tests that want the webhook well, for writing by those that make it unwell.
pub(crate) static WELL: RwLock<()> = RwLock::new(());

/// It ends with this process.
static INSTALLED: LazyLock<Option<Node>> = LazyLock::new(install);

/// The node; `None` where the machine cannot have one, which is said.
pub(crate) fn node() -> Option<&'static Node> {
    INSTALLED.as_ref()
}

fn install() -> Option<Node> {
    can_run()?;
    // First, because it takes the longest and needs no node.
    let image = build_image("vertex-injector");
    let fakes = build_image("vertex-injector-fakes");
    let node = Node::start_or_explain()?;
    node.load_image(&image.archive);
    node.load_image(&agent::build(&fakes.binary));
    let (repository_name, tag) = image.name.rsplit_once(':').expect("a tag");

    // The webhook itself meets the strictest standard.
    let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
    node.create_namespace(RELEASE, &restricted);
    let chart = repository().join("charts/vertex-injector");
    node.helm(&[
        "install",
        RELEASE,
        chart.to_str().expect("UTF-8"),
        "--namespace",
        RELEASE,
        "--set",
        &format!("image.repository={repository_name}"),
        "--set",
        &format!("image.tag={tag}"),
        "--set",
        &format!("policyLimits.sidecarImages={{{}}}", agent::IMAGE),
        "--set",
        "policyLimits.credentialHosts={credentials.example.com}",
        "--set",
        &format!("broker.caConfigMap.name={CA_CONFIG_MAP}"),
        "--set",
        "broker.caConfigMap.key=ca.crt",
        "--wait",
        "--timeout=120s",
    ]);
    let deployment = node.get(&["--namespace", RELEASE, "deployment", RELEASE]);
    assert_eq!(deployment["status"]["readyReplicas"], 2, "{deployment:#}");
    let configuration = node.get(&["mutatingwebhookconfiguration", RELEASE]);
    for webhook in configuration["webhooks"].as_array().expect("webhooks") {
        assert_eq!(webhook["clientConfig"]["service"]["name"], RELEASE);
    }
    await_service(&node);
    Some(node)
}

/// Whether this machine can run a node; it says what it lacks.
fn can_run() -> Option<()> {
    let mut check = Command::new(repository().join("hack/kube/cluster"));
    let check = run(check.args(["node", "--check"]), "", Duration::from_secs(30));
    or_explain(match check.code {
        // Other mistakes show when it is started.
        Some(3) => Err(Missing(check.stderr)),
        _ => Ok(()),
    })
}

/// kube-proxy brings a Service's first endpoints a moment after they are ready.
#[track_caller]
fn await_service(node: &Node) {
    node.create_namespace("first", &[("vertex-injector.dev/injection", "enabled")]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "first", "namespace": "first", "labels": {"vertex-injector.dev/inject": "true"}},
        "spec": {"containers": [{"name": "agent", "image": agent::IMAGE}]},
    });
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let create = ["create", "--dry-run=server", "--filename", "-"];
        let error = node.try_kubectl_stdin(&create, &pod.to_string()).error();
        // The webhook answers: there is no policy.
        if error.contains("no InjectionPolicy serves namespace first") {
            return;
        }
        assert!(Instant::now() < until, "{error}");
    }
}

/// The documents of a file below the repository.
#[track_caller]
pub(crate) fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join(path)).expect("the file");
    manifest::documents(&text).expect("well-formed YAML")
}

/// A namespace that has opted in.
#[derive(Debug)]
pub(crate) struct Agents<'a> {
    pub node: &'a Node,
    pub name: &'static str,
}

impl<'a> Agents<'a> {
    /// Makes it, with a ServiceAccount.
    #[track_caller]
    pub(crate) fn new(node: &'a Node, name: &'static str, account: &str) -> Self {
        let agents = Self::labelled(node, name, &[]);
        if account != "default" {
            agents.kubectl(&["create", "serviceaccount", account]);
        }
        agents
    }

    /// Makes it, with more labels.
    #[track_caller]
    pub(crate) fn labelled(node: &'a Node, name: &'static str, labels: &[(&str, &str)]) -> Self {
        let labels = [&[("vertex-injector.dev/injection", "enabled")], labels].concat();
        node.create_namespace(name, &labels);
        Self { node, name }
    }

    /// kubectl in it; it has to succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.node.kubectl(&[&["--namespace", self.name], arguments].concat())
    }

    /// `kubectl get … --output json` in it.
    #[track_caller]
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        self.node.get(&[&["--namespace", self.name], arguments].concat())
    }

    /// `kubectl create` of an object or a List.
    #[track_caller]
    pub(crate) fn create(&self, object: &Value) {
        let arguments = ["--namespace", self.name, "create", "--filename", "-"];
        self.node.kubectl_stdin(&arguments, &object.to_string());
    }

    /// Creates a policy and waits until all replicas may serve it.
    #[track_caller]
    pub(crate) fn policy(&self, policy: &Value) {
        let mut policy = policy.clone();
        policy["metadata"]["namespace"] = self.name.into();
        self.create(&policy);
        let name = policy["metadata"]["name"].as_str().expect("a name").to_owned();
        let policy = format!("injectionpolicy/{name}");
        self.kubectl(&["wait", "--for=condition=Ready", &policy, "--timeout=20s"]);
    }

    /// A claim with a volume, which nobody would provide here.
    #[track_caller]
    pub(crate) fn claim(&self, name: &str) {
        let size = json!({"storage": "16Mi"});
        self.create(&json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "capacity": size, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                    "hostPath": {"path": format!("/run/claims/{name}"), "type": "DirectoryOrCreate"},
                },
            },
            {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name,
                    "resources": {"requests": size},
                },
            },
        ]}));
    }

    /// The pod that the Job controller has made.
    #[track_caller]
    pub(crate) fn pod_of(&self, job: &str) -> String {
        let active = "--for=jsonpath={.status.active}=1";
        self.kubectl(&["wait", active, &format!("job/{job}"), "--timeout=30s"]);
        let pods = self.get(&["pods", "--selector", &format!("batch.kubernetes.io/job-name={job}")]);
        let name = pods["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
        format!("pod/{name}")
    }

    /// Waits until the pod's agent answers its probe, or has begun where it has none.
    #[track_caller]
    pub(crate) fn until_ready(&self, pod: &str) {
        let of = |arguments: &[&str]| {
            self.node
                .try_kubectl(&[&["--namespace", self.name], arguments].concat())
        };
        let waited = of(&["wait", "--for=condition=Ready", pod, "--timeout=60s"]);
        if !waited.success() {
            let (described, logs) = (
                of(&["describe", pod]),
                of(&["logs", pod, "--all-containers", "--prefix"]),
            );
            panic!(
                "{}\n{}\n{}{}",
                waited.stderr, described.stdout, logs.stdout, logs.stderr
            );
        }
    }

    /// Runs a command in the pod's agent.
    #[track_caller]
    pub(crate) fn exec(&self, pod: &str, command: &[&str]) -> String {
        self.kubectl(&[&["exec", pod, "--"], command].concat())
    }

    /// Tells the agent to end, which it may do before the command that tells it has.
    #[track_caller]
    pub(crate) fn tell_to_end(&self, pod: &str) {
        let told = ["--namespace", self.name, "exec", pod, "--", "touch", "/tmp/stop"];
        let ran = self.node.try_kubectl(&told);
        assert!(ran.success() || ran.stderr.contains("exit code 137"), "{}", ran.stderr);
    }

    /// Lets the agent end, and waits until the kubelet says that all went well.
    #[track_caller]
    pub(crate) fn stop(&self, pod: &str) {
        self.tell_to_end(pod);
        let succeeded = "--for=jsonpath={.status.phase}=Succeeded";
        self.kubectl(&["wait", succeeded, pod, "--timeout=40s"]);
    }
}
