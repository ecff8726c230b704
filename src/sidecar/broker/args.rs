//! The flags of `vertex-injector broker`, and what they mean together.

use super::credentials::{Credentials, MAX_FILE};
use super::proxy::rules::Rules;
use super::proxy::target::is_region;
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use vertex_injector_core::api::{Feature, Publisher};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_core::glob::Glob;
use vertex_injector_net::telemetry::{DEFAULT_LEVELS, LogFormat};
use zeroize::Zeroizing;

/// Port of the metadata server unless another is chosen.
pub const METADATA_PORT: u16 = 8470;

/// Port of the Vertex proxy unless another is chosen.
pub const PROXY_PORT: u16 = 8471;

/// Hold a pod's Google credential, so that its agent does not have to.
///
/// It runs as a sidecar and listens on 127.0.0.1 only.
///
/// --mode metadata emulates the metadata server of Google Compute Engine. With GCE_METADATA_HOST, GCE_METADATA_IP and
/// GCE_METADATA_ROOT set to 127.0.0.1:PORT, Google's client libraries and gcloud take short-lived access tokens from it. What
/// these are exchanged for (an identity token, a key) stays here.
///
/// --mode proxy keeps the access tokens here as well. It forwards model calls to Vertex AI and adds the token, if project, region,
/// publisher and model are allowed, and if the body asks for nothing that makes the provider fetch, search, run or call out unless
/// --allow names it. Clients find it with ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1:PORT/v1 and
/// GOOGLE_VERTEX_BASE_URL=http://127.0.0.1:PORT. What is not allowed is answered with 403 and what would be. The metadata server
/// runs beside it and hands out placeholders, which Google refuses, because client libraries want a token from somewhere; ID tokens
/// only for --id-token-audiences.
///
/// The broker is ready as soon as it listens, whatever Google does; while Google cannot be reached it answers 503, and it never
/// ends because of that. SIGTERM ends it at once with exit code 0.
///
/// Where Google is reached by an HTTP proxy only, HTTPS_PROXY=http://HOST:PORT names it, and NO_PROXY the hosts that are reached
/// without it. Certificates are the system's, or those in SSL_CERT_FILE.
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

    /// Port of the Vertex proxy on 127.0.0.1; 0 lets the system choose. Only in mode proxy [default: 8471]
    #[arg(long, env = "VERTEX_INJECTOR_PROXY_PORT", value_name = "N")]
    pub proxy_port: Option<u16>,

    /// Locations that may be called: regions, global, us, eu. Mode proxy needs one at least
    #[arg(
        long,
        env = "VERTEX_INJECTOR_REGIONS",
        value_name = "REGION",
        value_delimiter = ',',
        value_parser = region
    )]
    pub regions: Vec<String>,

    /// Models that may be called, as patterns in which * stands for any characters. Only in mode proxy [default: *]
    #[arg(long, env = "VERTEX_INJECTOR_MODELS", value_name = "GLOB", value_delimiter = ',')]
    pub models: Vec<Glob>,

    /// Whose models may be called. Only in mode proxy [default: anthropic,google]
    #[arg(
        long,
        env = "VERTEX_INJECTOR_PUBLISHERS",
        value_name = "PUBLISHER",
        value_enum,
        value_delimiter = ','
    )]
    pub publishers: Vec<Publisher>,

    /// What a call may make the provider do on the agent's behalf. Only in mode proxy [default: none]
    #[arg(
        long,
        env = "VERTEX_INJECTOR_ALLOW",
        value_name = "FEATURE",
        value_enum,
        value_delimiter = ','
    )]
    pub allow: Vec<Feature>,

    /// Where Vertex AI is reached instead of at Google's public hosts, as with Private Service Connect: an https URL, or http on
    /// loopback. Only in mode proxy
    #[arg(
        long,
        env = "VERTEX_INJECTOR_VERTEX_ENDPOINT",
        value_name = "URL",
        value_parser = endpoint
    )]
    pub vertex_endpoint: Option<Endpoint>,

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
    /// Forward model calls to Vertex AI and add the token, which the agent never sees
    Proxy,
}

/// What the flags of mode proxy say.
#[derive(Debug, Clone)]
pub struct ProxyArgs {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// What may be called.
    pub rules: Rules,
    /// Instead of Google's public hosts.
    pub endpoint: Option<Endpoint>,
}

impl Args {
    /// What the proxy does; `None` in mode metadata.
    ///
    /// # Errors
    /// When a flag is missing or belongs to the other mode: none is ignored.
    pub fn proxy(&self) -> anyhow::Result<Option<ProxyArgs>> {
        if self.mode == Mode::Metadata {
            let given = [
                ("--proxy-port", self.proxy_port.is_some()),
                ("--regions", !self.regions.is_empty()),
                ("--models", !self.models.is_empty()),
                ("--publishers", !self.publishers.is_empty()),
                ("--allow", !self.allow.is_empty()),
                ("--vertex-endpoint", self.vertex_endpoint.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((flag, _)) => bail!("{flag} belongs to --mode proxy, but the mode is metadata"),
                None => Ok(None),
            };
        }
        if self.regions.is_empty() {
            bail!("--mode proxy needs --regions: the locations that may be called, for example us-east5,global");
        }
        let or = |given: &[Publisher], default: &[Publisher]| if given.is_empty() { default } else { given }.to_vec();
        let models = match self.models.as_slice() {
            [] => vec![Glob::any()],
            models => models.to_vec(),
        };
        Ok(Some(ProxyArgs {
            port: self.proxy_port.unwrap_or(PROXY_PORT),
            rules: Rules {
                project: self.project.clone(),
                publishers: or(&self.publishers, &Publisher::ALL),
                regions: self.regions.clone(),
                models,
                allow: self.allow.clone(),
            },
            endpoint: self.vertex_endpoint.clone(),
        }))
    }

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

fn region(id: &str) -> Result<String, &'static str> {
    if is_region(id) {
        Ok(id.to_owned())
    } else {
        Err("not a location: a region such as us-east5, or global, us or eu")
    }
}

fn endpoint(url: &str) -> Result<Endpoint, &'static str> {
    Endpoint::parse(url)
}

fn project(id: &str) -> Result<String, &'static str> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    if !id.is_empty() && id.len() <= 63 && id.bytes().all(known) {
        Ok(id.to_owned())
    } else {
        Err("not a project ID: lower-case letters, digits and hyphens")
    }
}
