//! A real kube-apiserver for a test: started by `hack/kube/cluster`, gone with the test.
//!
//! ```ignore
//! let Some(cluster) = ControlPlane::start_or_explain() else { return };
//! cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}");
//! ```

mod client;
pub mod supervisor;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use self::client::Kubernetes;
use self::supervisor::{Size, Supervisor};
use crate::process::{Missing, or_explain, repository, run};

/// Names the kubeconfig of a cluster that the tests may use instead of starting one. Never
/// `KUBECONFIG`: that may be a production cluster.
pub const NAMED_CLUSTER: &str = "VERTEX_INJECTOR_TEST_KUBECONFIG";

/// etcd and kube-apiserver on a loopback port of their own, or the cluster that the user has named.
///
/// No controllers run in it: a Deployment makes no pods, a deleted namespace stays, and a new
/// namespace has no ServiceAccount (see [`Kubernetes::create_namespace`]). The binaries are those of
/// `KUBEBUILDER_ASSETS`, where that is set.
#[derive(Debug)]
pub struct ControlPlane {
    client: Kubernetes,
    /// `None` for a cluster that is not ours.
    supervisor: Option<Supervisor>,
}

impl ControlPlane {
    /// Starts one (2 to 3 s; the first time, `hack/kube/install` builds it, which takes minutes).
    /// `None` where the machine cannot, which is said; in CI that is a failure.
    #[track_caller]
    pub fn start_or_explain() -> Option<Self> {
        or_explain(Self::start())
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// What this machine lacks for it.
    ///
    /// # Panics
    ///
    /// When the machine has everything and it does not start all the same, or when the cluster that
    /// the user has named does not answer.
    #[track_caller]
    pub fn start() -> Result<Self, Missing> {
        if let Some(kubeconfig) = std::env::var_os(NAMED_CLUSTER).filter(|path| !path.is_empty()) {
            return Self::named(Path::new(&kubeconfig));
        }
        Self::start_own()
    }

    /// Starts one even if the user has named a cluster.
    ///
    /// # Errors
    ///
    /// What this machine lacks for it.
    ///
    /// # Panics
    ///
    /// When the machine has everything and it does not start all the same.
    #[track_caller]
    pub fn start_own() -> Result<Self, Missing> {
        let supervisor = Supervisor::start(Size::ControlPlane)?;
        let client = Kubernetes::of(&supervisor, &[]);
        Ok(Self {
            client,
            supervisor: Some(supervisor),
        })
    }

    /// Kills the API server and starts it again, with the same address and data; returns when it is
    /// ready.
    ///
    /// # Errors
    ///
    /// In a cluster that the user has named: that one is not ours to restart.
    #[track_caller]
    pub fn restart_api_server(&self) -> Result<(), Missing> {
        self.own()?.command("restart-apiserver");
        Ok(())
    }

    /// The API server's log of what ServiceAccounts asked for, one JSON object in a line.
    ///
    /// # Errors
    ///
    /// In a cluster that the user has named.
    pub fn audit_log(&self) -> Result<PathBuf, Missing> {
        Ok(self.own()?.path("DIR").join("audit.log"))
    }

    /// The `hack/kube/cluster` behind it, if it is ours.
    pub fn supervisor(&self) -> Option<&Supervisor> {
        self.supervisor.as_ref()
    }

    fn own(&self) -> Result<&Supervisor, Missing> {
        self.supervisor.as_ref().ok_or_else(|| {
            Missing(format!(
                "{NAMED_CLUSTER} names a cluster whose API server is not this test's to restart or to look into; unset it"
            ))
        })
    }

    #[track_caller]
    fn named(kubeconfig: &Path) -> Result<Self, Missing> {
        let client = Kubernetes::named(kubeconfig, program("kubectl")?, program("helm")?);
        let answer = client.try_kubectl(&["get", "--raw", "/readyz"]);
        assert!(
            answer.success(),
            "the cluster that {NAMED_CLUSTER} names ({}) does not answer: {}",
            kubeconfig.display(),
            answer.stderr
        );
        Ok(Self {
            client,
            supervisor: None,
        })
    }
}

impl Deref for ControlPlane {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.client
    }
}

/// A client program for a cluster that we have not started: our own build, else the user's.
fn program(name: &str) -> Result<PathBuf, Missing> {
    let install = repository().join("hack/kube/install");
    let built = run(Command::new(install).arg(name), "", Duration::from_hours(1));
    if built.success() {
        return Ok(repository().join("hack/kube/bin").join(name));
    }
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            Missing(format!(
                "no {name} in PATH, and it cannot be built: {}",
                built.stderr.trim()
            ))
        })
}
