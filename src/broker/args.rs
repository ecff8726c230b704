//! The flags of `vertex-injector broker`, and what they mean together.

use super::credentials::{Credentials, MAX_FILE};
use crate::net::upstream::Endpoint;
use crate::telemetry::{DEFAULT_LEVELS, LogFormat};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Port of the metadata server unless another is chosen.
pub const METADATA_PORT: u16 = 8470;

/// Hold a pod's Google credential, so that its agent does not have to.
///
/// It runs as a sidecar and listens on 127.0.0.1 only.
///
/// --mode metadata emulates the metadata server of Google Compute Engine. With GCE_METADATA_HOST, GCE_METADATA_IP and
/// GCE_METADATA_ROOT set to 127.0.0.1:PORT, Google's client libraries and gcloud take short-lived access tokens from it. What
/// these are exchanged for (an identity token, a key) stays here.
///
/// The broker is ready as soon as it listens, whatever Google does; while Google cannot be reached it answers 503, and it never
/// ends because of that. SIGTERM ends it at once with exit code 0.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do for the agent
    #[arg(long, env = "VERTEX_INJECTOR_MODE", value_enum)]
    pub mode: Mode,

    /// The credential configuration: a JSON file as gcloud or the console writes it, or - for standard input.
    /// Its type is external_account (with a token file), service_account, authorized_user or impersonated_service_account
    #[arg(
        long,
        env = "VERTEX_INJECTOR_CREDENTIALS",
        value_name = "FILE",
        conflicts_with_all = ["credentials_json", "node_metadata_server"]
    )]
    pub credentials: Option<PathBuf>,

    /// The same JSON as text. Only external_account, because others hold secrets, and an environment is not the place for these
    #[arg(
        long,
        env = "VERTEX_INJECTOR_CREDENTIALS_JSON",
        value_name = "JSON",
        conflicts_with = "node_metadata_server",
        hide_env_values = true
    )]
    pub credentials_json: Option<String>,

    /// Take tokens from the metadata server of the node instead, as on GKE with workload identity
    #[arg(
        long,
        env = "VERTEX_INJECTOR_NODE_METADATA_SERVER",
        value_name = "HOST[:PORT]",
        num_args = 0..=1,
        default_missing_value = "169.254.169.254",
        value_parser = Endpoint::node_metadata
    )]
    pub node_metadata_server: Option<Endpoint>,

    /// The project ID that clients are told
    #[arg(long, env = "VERTEX_INJECTOR_PROJECT", value_name = "ID", value_parser = project)]
    pub project: String,

    /// The project number that clients are told [default: that of the workload identity provider]. Without any, gcloud does not
    /// recognise the metadata server
    #[arg(long, env = "VERTEX_INJECTOR_PROJECT_NUMBER", value_name = "N")]
    pub project_number: Option<u64>,

    /// Port of the metadata server on 127.0.0.1; 0 lets the system choose
    #[arg(long, env = "VERTEX_INJECTOR_METADATA_PORT", value_name = "N", default_value_t = METADATA_PORT)]
    pub metadata_port: u16,

    /// Audiences for which clients may have ID tokens, if the identity is a service account; may be repeated [default: none]
    #[arg(
        long,
        env = "VERTEX_INJECTOR_ID_TOKEN_AUDIENCES",
        value_name = "AUDIENCE",
        value_delimiter = ','
    )]
    pub id_token_audiences: Vec<String>,

    /// Where /metrics and /livez are served over plain HTTP; no token can be reached there [default: nowhere]
    #[arg(long, env = "VERTEX_INJECTOR_METRICS_LISTEN", value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// How log lines look [default: human on a terminal, else json]
    #[arg(long, env = "VERTEX_INJECTOR_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is logged: a comma-separated list of LEVEL and TARGET=LEVEL
    #[arg(long, env = "VERTEX_INJECTOR_LOG", value_name = "LEVELS", default_value = DEFAULT_LEVELS)]
    pub log: String,
}

/// What a broker does for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Hand out short-lived access tokens, as the metadata server of Google Compute Engine does
    Metadata,
}

impl Args {
    /// Reads the credential that the flags name.
    ///
    /// # Errors
    /// When there is none, or it cannot be read or used; never with its content.
    pub fn read_credentials(&self) -> anyhow::Result<Credentials> {
        match (&self.credentials, &self.credentials_json, &self.node_metadata_server) {
            (Some(path), _, _) => {
                let json = read(path).with_context(|| format!("cannot read --credentials {}", path.display()))?;
                Credentials::parse(&json).with_context(|| format!("cannot use --credentials {}", path.display()))
            }
            (_, Some(json), _) => match Credentials::parse(json.as_bytes()) {
                Ok(credentials @ Credentials::ExternalAccount(_)) => Ok(credentials),
                Ok(_) => bail!(
                    "cannot use --credentials-json (VERTEX_INJECTOR_CREDENTIALS_JSON): only type external_account is \
                     without secrets; give others as a file with --credentials"
                ),
                Err(error) => Err(error).context("cannot use --credentials-json (VERTEX_INJECTOR_CREDENTIALS_JSON)"),
            },
            (_, _, Some(server)) => Ok(Credentials::Metadata(server.clone())),
            (None, None, None) => bail!(
                "no credential: give --credentials FILE (or -), --credentials-json JSON or --node-metadata-server, or set \
                 VERTEX_INJECTOR_CREDENTIALS, VERTEX_INJECTOR_CREDENTIALS_JSON or VERTEX_INJECTOR_NODE_METADATA_SERVER"
            ),
        }
    }
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut json = Zeroizing::new(Vec::new());
    // One byte more than allowed: whoever parses it sees that it is too long.
    let limit = MAX_FILE as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut json)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut json)?;
    }
    Ok(json)
}

fn project(id: &str) -> Result<String, &'static str> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    if !id.is_empty() && id.len() <= 63 && id.bytes().all(known) {
        Ok(id.to_owned())
    } else {
        Err("not a project ID: lower-case letters, digits and hyphens")
    }
}
