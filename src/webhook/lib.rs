//! The admission server: everything around [`vertex_injector_core::admission::review`] and
//! [`vertex_injector_core::validation::review`].
//!
//! The request path is `serve` → `reviews`, `body` and `work` (bytes) → `mutate` or `validate` (answer), and
//! touches nothing but an immutable snapshot of the policies. Everything else runs beside it: `policy_watch` or `policy_dir` make the
//! snapshots of `policies`, `certs` or `tls_files` the certificate of `tls`; `status`, `events` and `gke` tell the cluster.

mod admin;
mod args;
mod assembly;
mod body;
mod certs;
mod clock;
mod decode;
mod events;
mod gke;
mod kubernetes;
mod listing;
mod live_list;
pub mod metrics;
mod mutate;
mod own_token;
mod policies;
mod policy_dir;
mod policy_watch;
mod ready;
mod refusal;
mod reviews;
mod serve;
mod shown;
mod status;
mod tls;
mod tls_files;
mod validate;
mod webhook;
mod work;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;
use vertex_injector_net::telemetry;

pub use args::Args;
pub use clock::Clock;
pub use webhook::{Addresses, Webhook};

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
