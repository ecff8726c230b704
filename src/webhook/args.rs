//! The flags of `vertex-injector webhook`.

use super::certs::Lifetime;
use super::clock::Clock;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::path::PathBuf;
use vertex_injector_net::telemetry::{DEFAULT_LEVELS, LogFormat};

/// Serve admission reviews over HTTPS.
///
/// Policies come from the cluster or from a directory, the certificate from the cluster or from files; with both from
/// files no cluster is needed.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// Where admission reviews are served over HTTPS (POST /mutate of pods, POST /validate of policies)
    #[arg(
        long,
        env = "VERTEX_INJECTOR_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:8443"
    )]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served over plain HTTP
    #[arg(
        long,
        env = "VERTEX_INJECTOR_ADMIN_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub admin_listen: SocketAddr,

    /// The operator's settings: a YAML file with agentSelectors, sidecarImages, presetImages, credentialHosts, endpointHosts,
    /// apiServerAudiences, broker
    #[arg(long, env = "VERTEX_INJECTOR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Our own ServiceAccount token: beside apiServerAudiences, no policy may project a token for its audiences. Without such a
    /// file, as outside of a cluster, there are none
    #[arg(
        long,
        env = "VERTEX_INJECTOR_SERVICE_ACCOUNT_TOKEN_FILE",
        value_name = "FILE",
        default_value = super::own_token::TOKEN
    )]
    pub service_account_token_file: PathBuf,

    /// Take policies and namespaces from the YAML and JSON files of this directory instead of from the cluster;
    /// changed files are read again within a second or two, and while one is broken the last good policies stay
    #[arg(long, env = "VERTEX_INJECTOR_POLICY_DIR", value_name = "DIR")]
    pub policy_dir: Option<PathBuf>,

    /// Serve this certificate chain (PEM) instead of a self-made one; read again when its content changes
    #[arg(
        long,
        env = "VERTEX_INJECTOR_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "tls_key_file"
    )]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key (PEM) of --tls-cert-file
    #[arg(
        long,
        env = "VERTEX_INJECTOR_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "tls_cert_file"
    )]
    pub tls_key_file: Option<PathBuf>,

    /// Serve only clients with a certificate that one of these authorities (PEM) has signed. The API server has one when its
    /// AdmissionConfiguration says so [default: anybody who can connect]
    #[arg(long, env = "VERTEX_INJECTOR_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// The Secret in which the self-made certificate is kept, shared by all replicas
    #[arg(
        long,
        env = "VERTEX_INJECTOR_TLS_SECRET",
        value_name = "NAME",
        default_value = "vertex-injector-tls"
    )]
    pub tls_secret: String,

    /// The Secret in which its authorities are kept, and the key of the newest
    #[arg(
        long,
        env = "VERTEX_INJECTOR_CA_SECRET",
        value_name = "NAME",
        default_value = "vertex-injector-ca"
    )]
    pub ca_secret: String,

    /// How long a self-made certificate authority is good; it stops signing when what it signs could outlive it
    #[arg(
        long,
        env = "VERTEX_INJECTOR_CA_LIFETIME",
        value_name = "TIME",
        default_value = "365d"
    )]
    pub ca_lifetime: Lifetime,

    /// How long a self-made certificate is good; at most 15/16 of --ca-lifetime. It is renewed after half of its life
    #[arg(
        long,
        env = "VERTEX_INJECTOR_CERTIFICATE_LIFETIME",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub certificate_lifetime: Lifetime,

    /// How long a new authority stands in every caBundle before it signs what is served: the time in which every API server
    /// learns of it
    #[arg(long, env = "VERTEX_INJECTOR_CA_SETTLE", value_name = "TIME", default_value = "10m")]
    pub ca_settle: Lifetime,

    /// The time of day.
    #[arg(skip)]
    pub clock: Clock,

    /// A DNS name or IP address by which the API server calls us, for the self-made certificate; may be repeated
    /// [default: vertex-injector.NAMESPACE.svc]
    #[arg(
        long,
        env = "VERTEX_INJECTOR_TLS_SAN",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = server_name
    )]
    pub tls_san: Vec<ServerName<'static>>,

    /// The MutatingWebhookConfiguration and the ValidatingWebhookConfiguration of this name, whose caBundle is kept in
    /// agreement with the self-made certificate
    #[arg(
        long,
        env = "VERTEX_INJECTOR_WEBHOOK_CONFIGURATION",
        value_name = "NAME",
        default_value = "vertex-injector"
    )]
    pub webhook_configuration: String,

    /// Our own namespace [default: that of the ServiceAccount or of the kubeconfig's context]
    #[arg(short, long, env = "VERTEX_INJECTOR_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// How to reach the cluster [default: KUBECONFIG, else ~/.kube/config, else the ServiceAccount of the pod]
    #[arg(long, env = "VERTEX_INJECTOR_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// How log lines look [default: human on a terminal, else json]
    #[arg(long, env = "VERTEX_INJECTOR_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is logged: a comma-separated list of LEVEL and TARGET=LEVEL
    #[arg(long, env = "VERTEX_INJECTOR_LOG", value_name = "LEVELS", default_value = DEFAULT_LEVELS)]
    pub log: String,

    /// How long to go on serving after SIGTERM, while the cluster learns that this replica leaves
    #[arg(
        long,
        env = "VERTEX_INJECTOR_DRAIN_SECONDS",
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(0..=3600)
    )]
    pub drain_seconds: u64,
}

fn server_name(name: &str) -> Result<ServerName<'static>, &'static str> {
    ServerName::try_from(name.to_owned()).map_err(|_| "neither a DNS name nor an IP address")
}
