//! The admission server: everything around [`crate::admission::review`].
//!
//! The request path is `serve` (connections) → `body` (bytes) → `mutate` (answer), and touches nothing but an
//! immutable snapshot of the policies. Everything else runs beside it: `policy_watch` or `policy_dir` make the
//! snapshots of `policies`, `certs` or `tls_files` the certificate of `tls`; `status` and `gke` tell the cluster.

mod admin;
mod args;
mod body;
mod certs;
mod gke;
mod kubernetes;
mod miss;
mod mutate;
mod policies;
mod policy_dir;
mod policy_watch;
mod ready;
mod serve;
mod status;
mod table;
mod tls;
mod tls_files;

use crate::admission::PolicySet;
use crate::manifest;
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::telemetry;
use admin::Admin;
use anyhow::{Context, anyhow, bail};
use body::Bodies;
use certs::{Keeper, Places};
use gke::Reconciler;
use kubernetes::Cluster;
use miss::LiveList;
use mutate::Admission;
use policies::Current;
use policy_dir::PolicyDir;
use policy_watch::Watch;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use ready::{Part, Readiness};
use rustls_pki_types::ServerName;
use serve::{Drain, Limits, Server};
use status::Queue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::{Certificate, HotCert};
use tls_files::TlsFiles;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

pub use args::Args;

/// Bounds of the HTTPS port. Every API server of a cluster holds some tens of connections.
const HTTPS_LIMITS: Limits = Limits {
    connections: 1024,
    idle: Duration::from_mins(2),
    grace: Duration::from_secs(mutate::REQUEST_TIMEOUT.as_secs() + 1),
};

/// Bounds of the port for probes and metrics.
const ADMIN_LIMITS: Limits = Limits {
    connections: 64,
    idle: Duration::from_secs(30),
    grace: Duration::from_secs(1),
};

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
        let parts = Parts::read(args).await?;
        parts.bind().await
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

/// Everything that the arguments name, read and checked.
struct Parts {
    args: Args,
    operator: Arc<Operator>,
    /// None when neither policies nor certificate come from a cluster.
    cluster: Option<Cluster>,
    tls_files: Option<(TlsFiles, Certificate)>,
    policy_dir: Option<(PolicyDir, PolicySet)>,
    namespace: String,
}

impl Parts {
    async fn read(args: Args) -> anyhow::Result<Self> {
        let operator = match &args.config {
            Some(path) => manifest::operator(path).map_err(|errors| {
                let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
                anyhow!("cannot use the file of --config: {}", errors.join("\n"))
            })?,
            None => Operator::default(),
        };
        let operator = Arc::new(operator);
        let tls_files = match (&args.tls_cert_file, &args.tls_key_file) {
            (Some(certificate), Some(key)) => Some(TlsFiles::open(certificate.clone(), key.clone())?),
            _ => None,
        };
        let cluster = match (&tls_files, &args.policy_dir) {
            (Some(_), Some(_)) => None,
            _ => Some(Cluster::connect(args.kubeconfig.as_deref()).await?),
        };
        let named = args
            .namespace
            .clone()
            .or_else(|| cluster.as_ref().map(|cluster| cluster.namespace.clone()));
        let namespace = named.unwrap_or_else(|| "default".to_owned());
        let policy_dir = match &args.policy_dir {
            Some(directory) => Some(PolicyDir::open(
                directory.clone(),
                namespace.clone(),
                Arc::clone(&operator),
            )?),
            None => None,
        };
        Ok(Self {
            args,
            operator,
            cluster,
            tls_files,
            policy_dir,
            namespace,
        })
    }

    async fn bind(self) -> anyhow::Result<Webhook> {
        let Self {
            args,
            operator,
            cluster,
            tls_files,
            policy_dir,
            namespace,
        } = self;
        let https = listen(args.listen, "--listen").await?;
        let admin = listen(args.admin_listen, "--admin-listen").await?;
        let addresses = Addresses {
            https: https.local_addr()?,
            admin: admin.local_addr()?,
        };

        let metrics = Arc::new(Metrics::new());
        let readiness = Arc::new(Readiness::default());
        let waiting = |name| readiness.part(name, "waiting for the first answer of the API server");
        let accepting = readiness.part("server", "starting");
        let current = Arc::new(Current::new(Arc::clone(&metrics)));
        let hot = Arc::new(HotCert::new(metrics.certificate_expiry.clone()));
        let client = cluster.map(|cluster| cluster.client);
        let mut tasks = JoinSet::new();

        match (tls_files, &client) {
            (Some((files, first)), _) => {
                hot.serve(&first);
                let part = readiness.part("certificate", "starting");
                let follow = files.follow(Arc::clone(&hot), metrics.certificate_reload_failures.clone(), part);
                tasks.spawn(named("certificate files", follow));
            }
            (None, Some(client)) => {
                let places = Places {
                    names: names(args.tls_san, &namespace)?,
                    namespace,
                    secret: args.tls_secret,
                    configuration: args.webhook_configuration,
                };
                let keeper = Keeper::new(client.clone(), places, Arc::clone(&hot), waiting);
                tasks.spawn(named("self-made certificate", keeper.run()));
            }
            (None, None) => bail!("neither certificate files nor a cluster; this is a bug"),
        }
        let live = match (policy_dir, client) {
            (Some((dir, first)), _) => {
                current.publish(first, 0);
                let part = readiness.part("policy directory", "starting");
                tasks.spawn(named(
                    "policy directory",
                    dir.follow(Arc::clone(&current), Arc::clone(&metrics), part),
                ));
                None
            }
            (None, Some(client)) => {
                let status = Arc::new(Queue::default());
                let watch = Watch::new(
                    client.clone(),
                    Arc::clone(&operator),
                    Arc::clone(&current),
                    Arc::clone(&status),
                    waiting,
                );
                tasks.spawn(named("watch of policies", watch.run()));
                tasks.spawn(named("status of policies", status.write(client.clone())));
                let gke = Reconciler::new(client.clone(), Arc::clone(&current), Arc::clone(&metrics));
                tasks.spawn(named("GKE workload identity", gke.run()));
                Some(LiveList::new(client, operator, Arc::clone(&metrics)))
            }
            (None, None) => bail!("neither a policy directory nor a cluster; this is a bug"),
        };

        let admission = Admission {
            policies: current,
            live,
            bodies: Bodies::new(),
            metrics: Arc::clone(&metrics),
        };
        Ok(Webhook {
            https: Server {
                listener: https,
                tls: Some(Arc::new(tls::server_config(hot)?)),
                router: mutate::router(Arc::new(admission)),
                limits: HTTPS_LIMITS,
                open: metrics.connections.clone(),
                handshake_failures: metrics.handshake_failures.clone(),
            },
            admin: Server {
                listener: admin,
                tls: None,
                router: admin::router(Arc::new(Admin { readiness, metrics })),
                limits: ADMIN_LIMITS,
                open: Gauge::default(),
                handshake_failures: Counter::default(),
            },
            addresses,
            drain_time: Duration::from_secs(args.drain_seconds),
            accepting,
            tasks,
        })
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

async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({flag})"))
}

/// The names of the self-made certificate.
fn names(given: Vec<ServerName<'static>>, namespace: &str) -> anyhow::Result<Vec<ServerName<'static>>> {
    if !given.is_empty() {
        return Ok(given);
    }
    let service = format!("vertex-injector.{namespace}.svc");
    let name =
        ServerName::try_from(service).with_context(|| format!("{namespace:?} is no namespace; give --tls-san"))?;
    Ok(vec![name])
}

/// A task that is never to end, with the name by which it is reported if it does.
async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}
