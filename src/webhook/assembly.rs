//! What the arguments come to: files read, ports bound, tasks started.

use super::admin::{self, Admin};
use super::args::Args;
use super::certs::{Keeper, Places, Plan};
use super::events;
use super::gke::Reconciler;
use super::kubernetes::Cluster;
use super::live_list::LiveList;
use super::mutate::Admission;
use super::own_token::OwnToken;
use super::policies::Current;
use super::policy_dir::PolicyDir;
use super::policy_watch::Watch;
use super::ready::Readiness;
use super::reviews::{self, Reviews};
use super::serve::{Limits, Server};
use super::status::Queue;
use super::tls::{self, Certificate, HotCert};
use super::tls_files::{self, TlsFiles};
use super::validate::Validation;
use super::webhook::{Addresses, Webhook};
use super::work::Work;
use crate::metrics::Metrics;
use anyhow::{Context, anyhow};
use kube::Client;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use vertex_injector_core::admission::PolicySet;
use vertex_injector_core::manifest;
use vertex_injector_core::operator::Operator;

/// Bounds of the HTTPS port. An API server has at most some hundred reviews under way, and holds some tens of connections.
const HTTPS_LIMITS: Limits = Limits {
    connections: 1024,
    waiting_of_a_peer: 512,
    idle: Duration::from_mins(2),
    grace: Duration::from_secs(reviews::REQUEST_TIMEOUT.as_secs() + 1),
};

/// Bounds of the port for probes and metrics.
const ADMIN_LIMITS: Limits = Limits {
    connections: 256,
    waiting_of_a_peer: 64,
    idle: Duration::from_secs(30),
    grace: Duration::from_secs(1),
};

/// Our namespace when neither an argument nor a cluster names one.
const DEFAULT_NAMESPACE: &str = "default";

/// Everything that the arguments name, read and checked.
struct Assembly {
    args: Args,
    operator: Arc<Operator>,
    own_token: OwnToken,
    certificate: CertificateSource,
    /// When self-made certificates are renewed.
    plan: Plan,
    /// Who may call, if not everybody.
    clients: Option<Arc<RootCertStore>>,
    policies: PolicySource,
    namespace: String,
}

/// Where the certificate comes from.
enum CertificateSource {
    Files(TlsFiles, Certificate),
    /// It is self-made and shared by a Secret of this cluster.
    Cluster(Client),
}

/// Where policies and namespaces come from.
enum PolicySource {
    Directory(PolicyDir, PolicySet),
    Cluster(Client),
}

impl Webhook {
    /// Reads everything that the arguments name, then binds the ports and starts what runs beside them.
    ///
    /// # Errors
    /// As [`run`](super::run). What can be wrong is found before a port is bound.
    pub async fn bind(args: Args) -> anyhow::Result<Self> {
        Assembly::read(args).await?.bind().await
    }
}

impl Assembly {
    /// Reads and checks everything; nothing is bound or sent yet.
    ///
    /// # Errors
    /// At the first thing that cannot be used.
    async fn read(args: Args) -> anyhow::Result<Self> {
        let plan = Plan::new(args.ca_lifetime, args.certificate_lifetime, args.ca_settle)?;
        let mut operator = match &args.config {
            Some(path) => manifest::operator(path).map_err(|errors| {
                let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
                anyhow!("cannot use the file of --config: {}", errors.join("\n"))
            })?,
            None => Operator::default(),
        };
        let own_token = OwnToken::read(&args.service_account_token_file)?;
        operator.api_server_audiences.extend_from_slice(&own_token.audiences);
        let operator = Arc::new(operator);
        let kubeconfig = args.kubeconfig.as_deref();
        let mut namespace = args.namespace.clone();
        let certificate = match (&args.tls_cert_file, &args.tls_key_file) {
            (Some(certificate), Some(key)) => {
                let (files, first) = TlsFiles::open(certificate.clone(), key.clone())?;
                CertificateSource::Files(files, first)
            }
            _ => {
                let cluster = Cluster::connect(kubeconfig).await?;
                namespace.get_or_insert(cluster.namespace);
                CertificateSource::Cluster(cluster.client)
            }
        };
        let policies = match (&args.policy_dir, &certificate) {
            (Some(directory), _) => {
                let namespace = namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
                let (directory, first) = PolicyDir::open(directory.clone(), namespace, Arc::clone(&operator))?;
                PolicySource::Directory(directory, first)
            }
            (None, CertificateSource::Cluster(client)) => PolicySource::Cluster(client.clone()),
            (None, CertificateSource::Files(..)) => {
                let cluster = Cluster::connect(kubeconfig).await?;
                namespace.get_or_insert(cluster.namespace);
                PolicySource::Cluster(cluster.client)
            }
        };
        let clients = args.client_ca_file.as_deref().map(tls_files::authorities).transpose()?;
        Ok(Self {
            operator,
            own_token,
            certificate,
            plan,
            clients,
            policies,
            namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            args,
        })
    }

    /// Binds both ports and starts what runs beside them.
    ///
    /// # Errors
    /// When a port cannot be bound.
    async fn bind(self) -> anyhow::Result<Webhook> {
        let Self {
            args,
            operator,
            own_token,
            certificate,
            plan,
            clients,
            policies,
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
        let current = Arc::new(Current::new(Arc::clone(&operator), Arc::clone(&metrics)));
        let hot = Arc::new(HotCert::new(metrics.certificate_expiry.clone()));
        let mut tasks = JoinSet::new();

        match certificate {
            CertificateSource::Files(files, first) => {
                hot.serve(&first);
                let part = readiness.part("certificate", "starting");
                let follow = files.follow(Arc::clone(&hot), metrics.certificate_reload_failures.clone(), part);
                tasks.spawn(named("certificate files", follow));
            }
            CertificateSource::Cluster(client) => {
                let places = Places {
                    owner: own_token.owner_in(&namespace),
                    names: names(args.tls_san, &namespace)?,
                    namespace,
                    secret: args.tls_secret,
                    authority_secret: args.ca_secret,
                    configuration: args.webhook_configuration,
                };
                let keeper = Keeper::new(client, places, (plan, args.clock), Arc::clone(&hot), waiting);
                tasks.spawn(named("self-made certificate", keeper.run()));
            }
        }
        let (live, events) = match policies {
            PolicySource::Directory(dir, first) => {
                current.publish(first);
                let part = readiness.part("policy directory", "starting");
                tasks.spawn(named(
                    "policy directory",
                    dir.follow(Arc::clone(&current), Arc::clone(&metrics), part),
                ));
                (None, None)
            }
            PolicySource::Cluster(client) => {
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
                let (events, writer) = events::channel(&metrics);
                tasks.spawn(named("events", writer.write(client.clone())));
                let live = LiveList::new(client, Arc::clone(&operator), Arc::clone(&metrics));
                (Some(live), Some(events))
            }
        };

        let work = Work::new();
        let reviews = Reviews {
            admission: Admission {
                policies: Arc::clone(&current),
                live,
                events,
                metrics: Arc::clone(&metrics),
                work: work.clone(),
            },
            validation: Validation {
                operator,
                metrics: Arc::clone(&metrics),
                work: work.clone(),
            },
            work,
            metrics: Arc::clone(&metrics),
        };
        Ok(Webhook {
            https: Server {
                listener: https,
                tls: Some(Arc::new(tls::server_config(hot, clients)?)),
                router: reviews::router(Arc::new(reviews)),
                limits: HTTPS_LIMITS,
                open: metrics.connections.clone(),
                dropped: metrics.dropped_connections.clone(),
                handshake_failures: metrics.handshake_failures.clone(),
            },
            admin: Server {
                listener: admin,
                tls: None,
                dropped: metrics.dropped_connections.clone(),
                router: admin::router(Arc::new(Admin {
                    readiness,
                    metrics,
                    policies: Arc::clone(&current),
                })),
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
