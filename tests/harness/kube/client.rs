//! kubectl and helm against one cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::supervisor::Supervisor;
use crate::process::{Ran, repository, run, scratch};

/// How long one command may take. Commands that wait for something should have a shorter
/// `--timeout` of their own, because theirs tells what was waited for.
const LIMIT: Duration = Duration::from_mins(3);

/// A cluster, as seen by its administrator.
#[derive(Debug)]
pub struct Kubernetes {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    /// Where kubectl and helm keep what they know of this cluster: the next one with the same
    /// address has other resources.
    cache: PathBuf,
    /// What every command is run by, such as `nsenter`.
    within: Vec<OsString>,
}

impl Kubernetes {
    /// A cluster of ours; `within` is the command by which it is reached.
    pub fn of(supervisor: &Supervisor, within: &[OsString]) -> Self {
        Self {
            kubeconfig: supervisor.path("KUBECONFIG").to_owned(),
            kubectl: supervisor.path("KUBECTL").to_owned(),
            helm: supervisor.path("HELM").to_owned(),
            cache: supervisor.path("DIR").join("client"),
            within: within.to_vec(),
        }
    }

    /// A cluster that the user has named.
    pub fn named(kubeconfig: &Path, kubectl: PathBuf, helm: PathBuf) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            kubectl,
            helm,
            cache: scratch().join("named-cluster"),
            within: Vec::new(),
        }
    }

    /// The administrator's kubeconfig. On a node it is of use only inside its network namespace.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl, which has to succeed: its standard output.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).output()
    }

    /// Runs kubectl, which may fail.
    #[track_caller]
    pub fn try_kubectl(&self, arguments: &[&str]) -> Ran {
        self.try_kubectl_stdin(arguments, "")
    }

    /// Runs kubectl with `input` on its standard input; it has to succeed: its standard output.
    #[track_caller]
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> String {
        self.try_kubectl_stdin(arguments, input).output()
    }

    /// Runs kubectl with `input` on its standard input; it may fail.
    #[track_caller]
    pub fn try_kubectl_stdin(&self, arguments: &[&str], input: &str) -> Ran {
        run(self.command(&self.kubectl).args(arguments), input, LIMIT)
    }

    /// `kubectl apply` of one or more documents, which have to be accepted: what kubectl says.
    #[track_caller]
    pub fn apply(&self, manifests: &str) -> String {
        self.try_apply(manifests).output()
    }

    /// `kubectl apply` of one or more documents, which may be refused.
    #[track_caller]
    pub fn try_apply(&self, manifests: &str) -> Ran {
        self.try_kubectl_stdin(&["apply", "--filename", "-"], manifests)
    }

    /// `kubectl get … --output json`, which has to find something.
    #[track_caller]
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "--output", "json"], arguments].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// Makes a namespace with its `default` ServiceAccount, without which no pod is admitted. (In a
    /// control plane there is no controller to make that; elsewhere it may be a moment late.)
    #[track_caller]
    pub fn create_namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect();
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        self.kubectl_stdin(&["create", "--filename", "-"], &namespace.to_string());
        let account = self.try_kubectl(&["--namespace", name, "create", "serviceaccount", "default"]);
        assert!(
            account.success() || account.stderr.contains("already exists"),
            "{}",
            account.stderr
        );
    }

    /// Runs helm, which has to succeed: its standard output.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> String {
        self.try_helm(arguments).output()
    }

    /// Upgrades a release, in the namespace of its name, to the chart as it is, with one value that is another.
    #[track_caller]
    pub fn upgrade(&self, release: &str, value: &str) {
        let chart = repository().join("charts/vertex-injector");
        let chart = chart.to_str().expect("UTF-8");
        let arguments = [
            "upgrade",
            release,
            chart,
            "--namespace",
            release,
            "--reuse-values",
            "--set",
            value,
        ];
        self.helm(&arguments);
    }

    /// Runs helm, which may fail.
    #[track_caller]
    pub fn try_helm(&self, arguments: &[&str]) -> Ran {
        run(self.command(&self.helm).args(arguments), "", LIMIT)
    }

    /// A command with this cluster's kubeconfig in its environment, run where the cluster is
    /// reached.
    pub fn command(&self, program: &Path) -> Command {
        let mut words = self.within.iter().cloned().chain([program.as_os_str().to_owned()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("HELM_")) {
                command.env_remove(name); // the user's own release namespace, plugins, …
            }
        }
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.cache.join("kube"))
            .env("HELM_CACHE_HOME", self.cache.join("helm-cache"))
            .env("HELM_CONFIG_HOME", self.cache.join("helm-config"))
            .env("HELM_DATA_HOME", self.cache.join("helm-data"));
        command
    }
}
