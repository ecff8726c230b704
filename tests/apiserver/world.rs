//! A control plane with the chart installed and the webhook running beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::webhook::{Webhook, free_port};
use harness::kube::ControlPlane;
use harness::process::{or_explain, repository, run};

/// Names of the release, its namespace, and whatever the chart names after it.
pub(crate) const RELEASE: &str = "vertex-injector";
/// What the operator allows policies to run.
pub(crate) const SIDECAR_IMAGES: &str = "registry.example.com/mcp-*";

/// ServiceAccounts of the systems' pods; a pod whose account does not exist is not admitted.
const ACCOUNTS: [&str; 5] = [
    "kartograph-agent",
    "fracta-agent",
    "openshell-sandbox",
    "session-2xyzabcdefghijklmnopqrstuvw-sa",
    "session-2xyz0novertex0000000000000-sa",
];

/// The one that tests share which break nothing: each works in namespaces of its own. It ends with this process.
static SHARED: LazyLock<Option<World>> = LazyLock::new(World::start_or_explain);

/// The shared world; `None` where the machine cannot have one, which is said.
pub(crate) fn world() -> Option<&'static World> {
    SHARED.as_ref()
}

/// An API server, the chart in it, and the webhook that it calls.
#[derive(Debug)]
pub(crate) struct World {
    pub cluster: ControlPlane,
    /// `None` while it is not running.
    webhook: Mutex<Option<Webhook>>,
    /// How the chart's notes start the webhook.
    arguments: Vec<String>,
    /// The webhook's own identity, with the chart's permissions and no more.
    kubeconfig: PathBuf,
    port: u16,
    folder: PathBuf,
}

impl World {
    /// Starts everything. `None` where the machine cannot, which is said; in CI that is a failure.
    #[track_caller]
    pub(crate) fn start_or_explain() -> Option<Self> {
        Self::with_values(&[])
    }

    /// The same with more `--set-json` for the chart.
    #[track_caller]
    pub(crate) fn with_values(values: &[&str]) -> Option<Self> {
        // A named cluster could not call a webhook on our loopback.
        or_explain(ControlPlane::start_own()).map(|cluster| Self::around(cluster, values))
    }

    #[track_caller]
    fn around(cluster: ControlPlane, values: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apiserver-{number}"));
        // An earlier run's.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the world");

        let port = free_port();
        let chart = repository().join("charts/vertex-injector");
        let more: Vec<&str> = values.iter().flat_map(|value| ["--set-json", value]).collect();
        let installed = [
            "install",
            RELEASE,
            chart.to_str().expect("UTF-8"),
            "--namespace",
            RELEASE,
            "--create-namespace",
            "--set",
            &url(port),
            "--set",
            &format!("policyLimits.sidecarImages={{{SIDECAR_IMAGES}}}"),
            "--set",
            "policyLimits.credentialHosts={tokens.example.com}",
            "--set",
            "gkeWorkloadIdentity.enabled=true",
        ];
        let notes = cluster.helm(&[&installed[..], &more].concat());
        let kubeconfig = identity(&cluster, &folder);
        let arguments = follow(&notes, &cluster, &folder);
        let world = Self {
            cluster,
            webhook: Mutex::new(None),
            arguments,
            kubeconfig,
            port,
            folder,
        };
        world.start_webhook();
        world
    }

    /// Starts the webhook where the API server looks for it, and returns when it is ready.
    #[track_caller]
    pub(crate) fn start_webhook(&self) {
        *self.lock() = Some(self.another_webhook(self.port));
    }

    /// Starts one more webhook with the same Secret and configuration, on another port.
    #[track_caller]
    pub(crate) fn another_webhook(&self, port: u16) -> Webhook {
        Webhook::start(&self.arguments, &self.kubeconfig, port, &self.folder)
    }

    /// Kills the webhook with SIGKILL.
    #[track_caller]
    pub(crate) fn kill_webhook(&self) {
        self.lock().take().expect("it is running").kill();
    }

    /// A folder for the tests' files; `operator.yaml` in it are the operator's settings.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the webhook says about itself.
    #[track_caller]
    pub(crate) fn ask_webhook<T>(&self, question: impl FnOnce(&Webhook) -> T) -> T {
        question(self.lock().as_ref().expect("the webhook is running"))
    }

    /// Makes the API server call the webhook on another port, as an operator would.
    #[track_caller]
    pub(crate) fn move_webhook_to(&self, port: u16) {
        self.cluster.upgrade(RELEASE, &url(port));
    }

    /// A new namespace that has opted in, with everything that the systems' pods name.
    #[track_caller]
    pub(crate) fn opted_in(&self, name: &str) -> Namespace<'_> {
        self.namespace(name, &[("vertex-injector.dev/injection", "enabled")])
    }

    /// A new namespace with these labels.
    #[track_caller]
    pub(crate) fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Namespace<'_> {
        self.cluster.create_namespace(name, labels);
        let account = |name| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let accounts = json!({"apiVersion": "v1", "kind": "List", "items": ACCOUNTS.map(account)});
        self.cluster.kubectl_stdin(
            &["--namespace", name, "create", "--filename", "-"],
            &accounts.to_string(),
        );
        Namespace {
            world: self,
            name: name.to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Webhook>> {
        self.webhook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A namespace of one test.
#[derive(Debug)]
pub(crate) struct Namespace<'a> {
    pub world: &'a World,
    pub name: String,
}

impl Namespace<'_> {
    /// kubectl in this namespace; it has to succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.world
            .cluster
            .kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// `kubectl get … --output json` in this namespace.
    #[track_caller]
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        self.world
            .cluster
            .get(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Writes an `InjectionPolicy` with this spec (YAML in braces or block style) and waits until the webhook serves it.
    #[track_caller]
    pub(crate) fn policy(&self, name: &str, spec: &str) {
        self.write_policy(name, spec);
        let policy = format!("injectionpolicy/{name}");
        self.kubectl(&["wait", "--for=condition=Ready", &policy, "--timeout=10s"]);
    }

    /// Writes an `InjectionPolicy` and does not wait for anything.
    #[track_caller]
    pub(crate) fn write_policy(&self, name: &str, spec: &str) {
        self.world.cluster.apply(&self.policy_object(name, spec));
    }

    /// Tries to write an `InjectionPolicy` and returns what the API server says.
    #[track_caller]
    pub(crate) fn refused_policy(&self, name: &str, spec: &str) -> String {
        let create = ["create", "--dry-run=server", "--filename", "-"];
        let ran = self
            .world
            .cluster
            .try_kubectl_stdin(&create, &self.policy_object(name, spec));
        ran.error()
    }

    fn policy_object(&self, name: &str, spec: &str) -> String {
        let spec = crate::pods::document(spec);
        let policy = json!({
            "apiVersion": "vertex-injector.dev/v1alpha1",
            "kind": "InjectionPolicy",
            "metadata": {"name": name, "namespace": self.name},
            "spec": spec,
        });
        policy.to_string()
    }
}

fn url(port: u16) -> String {
    format!("webhook.url=https://127.0.0.1:{port}/mutate")
}

/// A kubeconfig of the ServiceAccount that the chart has made for the webhook.
fn identity(cluster: &ControlPlane, folder: &Path) -> PathBuf {
    let token = cluster.kubectl(&["--namespace", RELEASE, "create", "token", RELEASE]);
    let admin = fs::read_to_string(cluster.kubeconfig()).expect("the administrator's kubeconfig");
    let mut config = crate::pods::document(&admin);
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = folder.join("webhook.kubeconfig");
    fs::write(&file, config.to_string()).expect("the webhook's kubeconfig");
    file
}

/// Does what the chart's notes say, and returns the arguments with which they start the webhook.
fn follow(notes: &str, cluster: &ControlPlane, folder: &Path) -> Vec<String> {
    let (_, rest) = notes
        .split_once("The webhook is outside the cluster.")
        .expect("how to start it");
    let commands: Vec<&str> = rest
        .lines()
        .skip_while(|line| !line.starts_with("  "))
        .take_while(|line| line.starts_with("  "))
        .collect();
    // Stands in for the program, because the program would stay.
    let script = format!(
        "set -eu\nvertex-injector() {{ printf '%s\\n' \"$@\"; }}\nkubectl() {{ command {} \"$@\"; }}\n{}",
        kubectl(),
        commands.join("\n")
    );
    let mut bash = cluster.command(Path::new("bash"));
    bash.args(["-c", &script]).current_dir(folder);
    let arguments = run(&mut bash, "", Duration::from_secs(30)).output();
    let file = |word: &str| match word {
        "operator.yaml" => folder.join(word).to_str().expect("UTF-8").to_owned(),
        _ => word.to_owned(),
    };
    arguments.lines().map(file).collect()
}

/// The program.
pub(crate) fn kubectl() -> String {
    let built = repository().join("hack/kube/bin/kubectl");
    match std::env::var("KUBEBUILDER_ASSETS") {
        Ok(assets) if !assets.is_empty() => format!("{assets}/kubectl"),
        _ => built.to_str().expect("UTF-8").to_owned(),
    }
}

/// The program under test, run once: its standard output.
#[track_caller]
pub(crate) fn vertex_injector(arguments: &[&str], input: &str) -> harness::process::Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    run(command.args(arguments), input, Duration::from_secs(30))
}
