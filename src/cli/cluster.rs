//! Which cluster and which release a verb asks, and what a person sees meanwhile.

use super::inputs::read_operator;
use super::terminal::say;
use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at};
use vertex_injector_operate::world::World;
use vertex_injector_operate::{Cluster, WhichCluster, WhichRelease, audit};

/// After how long somebody who waits is told for what.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to reach the cluster.
#[derive(clap::Args, Debug)]
pub(super) struct Connection {
    /// How to reach the cluster [default: KUBECONFIG, else ~/.kube/config, else the ServiceAccount of the pod]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Connection {
    /// A client. Nothing is sent yet.
    pub(super) async fn connect(&self) -> anyhow::Result<Cluster> {
        let which = WhichCluster {
            kubeconfig: self.kubeconfig.as_deref(),
            context: self.context.as_deref(),
        };
        Cluster::connect(which).await
    }
}

/// Which release, for verbs whose --namespace is another one.
#[derive(clap::Args, Debug)]
struct Release {
    /// The release, where there are several
    #[arg(long, value_name = "NAME")]
    release: Option<String>,

    /// The namespace of the release
    #[arg(long, value_name = "NAMESPACE")]
    release_namespace: Option<String>,
}

impl Release {
    fn which(&self) -> WhichRelease<'_> {
        WhichRelease {
            release: self.release.as_deref(),
            namespace: self.release_namespace.as_deref(),
        }
    }
}

/// Which policies and settings, for verbs that compare with what the webhook would decide.
#[derive(clap::Args, Debug)]
pub(super) struct Installation {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    release: Release,

    /// The operator's settings from a file instead of the release's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Installation {
    /// The cluster, with its policies, its namespaces and the operator's settings.
    pub(super) async fn look(&self) -> anyhow::Result<(Cluster, World)> {
        let cluster = self.connection.connect().await?;
        let operator = match self.config() {
            Some(path) => read_operator(Some(path))?,
            None => audit::operator(&cluster, self.release.which()).await?,
        };
        let world = audit::world(&cluster, operator).await?;
        Ok((cluster, world))
    }

    /// The file of the operator's settings, if one was named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Runs what asks a cluster. Whoever waits at a terminal for more than a second is told what for, by what is in `now`.
pub(super) fn run<T>(now: &Cell<&'static str>, asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut asking = std::pin::pin!(asking);
        let mut tick = interval_at(tokio::time::Instant::now() + PATIENCE, PATIENCE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut told = "";
        loop {
            tokio::select! {
                done = &mut asking => return done,
                _ = tick.tick() => {
                    if io::stderr().is_terminal() && told != now.get() {
                        told = now.get();
                        say("looking at", told);
                    }
                }
            }
        }
    })
}
