//! A bound webhook, from its first request to the end of its last.

use super::ready::Part;
use super::serve::{Drain, Server};
use anyhow::bail;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

/// A webhook that is bound to its ports and ready to run.
pub struct Webhook {
    pub(crate) https: Server,
    pub(crate) admin: Server,
    pub(crate) addresses: Addresses,
    pub(crate) drain_time: Duration,
    /// Holds until the server drains.
    pub(crate) accepting: Part,
    pub(crate) tasks: JoinSet<&'static str>,
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
