//! The admission server: everything around [`vertex_injector_core::admission::review`].
//!
//! The request path is `serve` (connections) → `body` (bytes) → `mutate` (answer), and touches nothing but an
//! immutable snapshot of the policies. Everything else runs beside it: `policy_watch` or `policy_dir` make the
//! snapshots of `policies`, `certs` or `tls_files` the certificate of `tls`; `status` and `gke` tell the cluster.

mod admin;
mod args;
mod assembly;
mod body;
mod certs;
mod decode;
mod gke;
mod kubernetes;
mod listing;
mod live_list;
pub mod metrics;
mod mutate;
mod policies;
mod policy_dir;
mod policy_watch;
mod ready;
mod serve;
mod status;
mod tls;
mod tls_files;

use anyhow::{Context, bail};
use assembly::Assembly;
use ready::Part;
use serve::{Drain, Server};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;
use vertex_injector_net::telemetry;

pub use args::Args;

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends it at once.
///
/// # Errors
/// When the arguments or the files that they name cannot be used, a port cannot be bound, or a part of the server
/// stops although nobody asked it to.
pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::init(args.log_format, &args.log)?;
    let mut signals = Signals::new()?;
    let webhook = Webhook::bind(args).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let serving = webhook.run(async {
        // An error means that nobody will ever ask: then there is nothing to wait for.
        let _ = stopped.await;
    });
    let asked = async {
        let name = signals.next().await;
        info!(signal = name, "asked to stop; draining");
        let _ = stop.send(());
        signals.next().await
    };
    tokio::select! {
        result = serving => result,
        name = asked => bail!("stopped at once by a second signal, {name}"),
    }
}

/// A webhook that is bound to its ports and ready to run.
pub struct Webhook {
    https: Server,
    admin: Server,
    addresses: Addresses,
    drain_time: Duration,
    /// Holds until the server drains.
    accepting: Part,
    tasks: JoinSet<&'static str>,
}

/// Where a webhook listens; useful when the port was chosen by the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Reviews.
    pub https: SocketAddr,
    /// Probes and metrics.
    pub admin: SocketAddr,
}

impl Webhook {
    /// Reads everything that the arguments name, then binds the ports and starts what runs beside them.
    ///
    /// # Errors
    /// As [`run`]. What can be wrong is found before a port is bound.
    pub async fn bind(args: Args) -> anyhow::Result<Self> {
        Assembly::read(args).await?.bind().await
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `stop`, then drains: not ready, still serving for the drain time, then finishing what is open.
    ///
    /// # Errors
    /// When a part of the server stops before.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            https,
            admin,
            addresses,
            drain_time,
            accepting,
            mut tasks,
        } = self;
        let (drain, admin_drain) = (Drain::default(), Drain::default());
        let mut serving = tokio::spawn(https.run(drain.clone()));
        let admin = tokio::spawn(admin.run(admin_drain.clone()));
        accepting.met();
        info!(https = %addresses.https, admin = %addresses.admin, "serving");
        tokio::select! {
            () = stop => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok(name) => bail!("the task `{name}` ended, which is a bug"),
                Err(error) => bail!("a task failed, which is a bug: {error}"),
            },
            ended = &mut serving => bail!("the HTTPS server ended, which is a bug: {ended:?}"),
        }
        accepting.missing("draining");
        drain.leaving.cancel();
        sleep(drain_time).await;
        drain.closing.cancel();
        serving.await?;
        admin_drain.closing.cancel();
        admin.await?;
        info!("drained");
        Ok(())
    }
}

/// The signals that ask to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
