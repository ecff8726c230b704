//! A whole Kubernetes cluster of one node for a test: real pods under a real kubelet.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::kube::Kubernetes;
use crate::kube::supervisor::{Size, Supervisor};
use crate::process::{Missing, Ran, or_explain, repository, run};

/// How long a command in the node's network may take.
const LIMIT: Duration = Duration::from_mins(2);
/// How long an image may take to compile.
const BUILD: Duration = Duration::from_mins(30);

/// A cluster of one node in a network namespace of its own: controllers, scheduler, kube-proxy,
/// kubelet, containerd and CoreDNS (10.96.0.10). Nothing outside it can be reached from it. It has
/// the image `localhost/busybox:1`.
#[derive(Debug)]
pub struct Node {
    client: Kubernetes,
    supervisor: Supervisor,
}

impl Node {
    /// Starts one (about 9 s). `None` where the machine cannot, which is said; in CI that is a
    /// failure.
    #[track_caller]
    pub fn start_or_explain() -> Option<Self> {
        or_explain(Self::start())
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// What this machine lacks for it: root, packages, Go.
    ///
    /// # Panics
    ///
    /// When the machine has everything and it does not start all the same.
    #[track_caller]
    pub fn start() -> Result<Self, Missing> {
        let supervisor = Supervisor::start(Size::Node)?;
        let mut net = OsString::from("--net=");
        net.push(supervisor.path("NETNS"));
        let client = Kubernetes::of(&supervisor, &["nsenter".into(), net, "--".into()]);
        Ok(Self { client, supervisor })
    }

    /// Gives the node an image from an archive: its name, for pods.
    #[track_caller]
    pub fn load_image(&self, archive: &Path) -> String {
        let mut load = Command::new(repository().join("hack/image/load"));
        load.arg(archive).arg(self.supervisor.path("CONTAINERD"));
        run(&mut load, "", LIMIT).output().trim().to_owned()
    }

    /// Runs a command where the node's own processes are: Services and pods can be reached, and
    /// `KUBECONFIG` is set.
    #[track_caller]
    pub fn in_netns(&self, command: &[&str]) -> Ran {
        let (program, arguments) = command.split_first().expect("a command");
        run(self.client.command(Path::new(program)).args(arguments), "", LIMIT)
    }

    /// Kills the kubelet and starts it again; returns when it is healthy. Pods go on.
    #[track_caller]
    pub fn restart_kubelet(&self) {
        self.supervisor.command("restart-kubelet");
    }

    /// Kills the API server and starts it again, with the same address and data; returns when it is
    /// ready.
    #[track_caller]
    pub fn restart_api_server(&self) {
        self.supervisor.command("restart-apiserver");
    }

    /// Makes host names lead to an address in all pods, such as `sts.googleapis.com` to the Service
    /// of a fake; replaces what an earlier call has set.
    #[track_caller]
    pub fn resolve(&self, names: &[&str], address: &str) {
        let patch = json!({"data": {"hosts": format!("{address} {}\n", names.join(" "))}});
        let patch = patch.to_string();
        let dns = ["--namespace", "kube-system"];
        self.kubectl(&[&dns[..], &["patch", "configmap", "coredns", "--patch", &patch]].concat());
        // The kubelet brings a changed ConfigMap to a running pod within a minute; to a new one, at once.
        self.kubectl(&[&dns[..], &["rollout", "restart", "deployment/coredns"]].concat());
        self.kubectl(&[&dns[..], &["rollout", "status", "deployment/coredns", "--timeout=60s"]].concat());
        for name in names {
            // kube-proxy may be a moment behind.
            let script =
                format!("until timeout 2 busybox nslookup {name} 10.96.0.10 | grep -qwF {address}; do :; done");
            self.in_netns(&["timeout", "30", "sh", "-c", &script]).output();
        }
    }

    /// The `hack/kube/cluster` behind it.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }
}

impl Deref for Node {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.client
    }
}

/// An image that `hack/image/build` has made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name, for a pod.
    pub name: String,
    /// The archive, for [`Node::load_image`].
    pub archive: PathBuf,
    /// The static binary in it, for an image with more in it.
    pub binary: PathBuf,
}

/// Builds the image of a package of this workspace, as it is checked out.
///
/// # Panics
///
/// When it does not build.
#[track_caller]
pub fn build_image(package: &str) -> Image {
    let mut build = Command::new(repository().join("hack/image/build"));
    let output = run(build.args(["dev", package]), "", BUILD).output();
    let fact = |name: &str| {
        output
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("hack/image/build has not told {name}: {output}"))
            .to_owned()
    };
    Image {
        name: fact("IMAGE"),
        archive: PathBuf::from(fact("ARCHIVE")),
        binary: PathBuf::from(fact("BINARY")),
    }
}
