//! The command line, and what makes its values usable.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use rustls::ServerConfig;
use serde::de::DeserializeOwned;

use crate::attacker::AttackerArguments;
use crate::certificate;
use crate::control_plane::ControlPlaneArguments;
use crate::google::Trust;
use crate::google::jwks::KeySource;
use crate::google::oauth::Known;
use crate::google::vertex::{Pace, Vertex};
use crate::mesh::{Additions, MeshArguments};

/// Strict stand-ins for the services that an injected pod talks to, for tests and demonstrations.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// Which service to stand in for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Google: the Security Token Service, IAM Credentials, OAuth and Vertex AI.
    ///
    /// Prints `LISTENING ADDRESS:PORT` when it is ready. Ends when its standard input closes (so
    /// it never outlives the test that started it), on SIGTERM and on SIGINT.
    ///
    /// DIRECTORY/ca.crt is the CA that its certificate comes from: trust it with
    /// REQUESTS_CA_BUNDLE (google-auth), SSL_CERT_FILE (httpx, the broker),
    /// CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE (gcloud) or NODE_EXTRA_CA_CERTS (Node), and let the hosts
    /// file point sts.googleapis.com, iamcredentials.googleapis.com, oauth2.googleapis.com,
    /// aiplatform.googleapis.com, REGION-aiplatform.googleapis.com and aiplatform.{us,eu}.rep.googleapis.com at the listening
    /// address.
    ///
    /// credentials.example.com is a platform's: GET /v1/tool gives a credential for a token of the issuer.
    ///
    /// Vertex takes only tokens that were issued here. Its models are claude-… of anthropic
    /// (rawPredict, streamRawPredict, count-tokens) and gemini-… of google (generateContent,
    /// streamGenerateContent, countTokens). All say "Hello from Vertex AI."
    ///
    /// DIRECTORY/journal.jsonl has one line of JSON for each request: what was asked, the claims
    /// that verified, the outcome. It never holds a token or a prompt; `token_sha256` tells which
    /// token was issued, `bearer_sha256` which one came with the request.
    Google(GoogleArguments),

    /// Vertex AI's models alone, for anybody: for benchmarks and demonstrations.
    ///
    /// Takes any token, or none, for any project, location and host; bodies are judged as by
    /// `google`. Prints `LISTENING ADDRESS:PORT` when it is ready; ends like `google`.
    Vertex(VertexArguments),

    /// An agent: takes what its environment gives it, as the clients of Google and Anthropic do, and asks a model once.
    ///
    /// Reads GOOGLE_APPLICATION_CREDENTIALS or GCE_METADATA_HOST, ANTHROPIC_VERTEX_PROJECT_ID, CLOUD_ML_REGION and
    /// ANTHROPIC_VERTEX_BASE_URL; trusts the CA in SSL_CERT_FILE. Prints one line of JSON: where the credential came from,
    /// where the model was asked, and what it said.
    Agent(AgentArguments),

    /// A hostile agent that is root: reads every packet of its pod, and answers on 127.0.0.1:443 in the name of Google's hosts.
    ///
    /// Its certificates come from a CA of its own, DIRECTORY/ca.crt. Prints `LISTENING ADDRESS:PORT` when it reads and answers;
    /// ends like `google`.
    Attacker(AttackerArguments),

    /// The Ambient Code platform: the control plane's token exchange, and the credentials of its API.
    ///
    /// Prints `LISTENING ADDRESS:PORT` when it is ready; ends like `google`. GET /token wants a session's
    /// name, encrypted for DIRECTORY/public-key.pem, as the bearer; what it mints opens
    /// /api/ambient/v1/credentials/ID and /api/ambient/v1/credentials/ID/token.
    ///
    /// DIRECTORY/journal.jsonl has one line of JSON for each request. It never holds a token.
    ControlPlane(ControlPlaneArguments),

    /// A mesh's mutating webhook: puts containers in front of those that a pod has.
    ///
    /// Prints `LISTENING ADDRESS:PORT` when it is ready; ends like `google`.
    Mesh(MeshArguments),
}

/// What the models alone listen on.
#[derive(Debug, Args)]
pub(crate) struct VertexArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub listen: SocketAddr,

    /// Serve over TLS, with the certificate of a CA that is written to ca.crt in this directory [default: plain HTTP]
    #[arg(long, value_name = "DIRECTORY")]
    pub tls_directory: Option<PathBuf>,

    #[command(flatten)]
    pub models: Models,
}

/// How the models answer.
#[derive(Debug, Args)]
pub(crate) struct Models {
    /// The time between two events of a stream.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10)]
    pause: u32,

    /// How many pieces of text an answer has; streamed, each is an event.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pieces: u16,
}

impl Models {
    /// Models that may be called in these projects; in any, when there are none.
    pub(crate) fn vertex(&self, projects: &[String]) -> Vertex {
        Vertex {
            projects: projects.to_vec(),
            pace: Pace {
                pause: Duration::from_millis(self.pause.into()),
                pieces: self.pieces.into(),
            },
        }
    }
}

/// What the agent asks for.
#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// The model
    #[arg(long, default_value = "claude-sonnet-4-5")]
    pub model: String,
}

/// What the fake Google listens on, and whom it trusts.
#[derive(Debug, Args)]
pub(crate) struct GoogleArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Allow an address other than loopback. Only for a network namespace of one's own.
    #[arg(long)]
    pub allow_non_loopback: bool,

    /// An existing directory that receives ca.crt and journal.jsonl.
    #[arg(long)]
    pub directory: PathBuf,

    /// A certificate for Google's hosts (PEM), instead of one of a CA of this run: the CA of clients that outlive a restart.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// The `iss` that subject tokens must carry: the cluster's ServiceAccount issuer.
    #[arg(long, value_name = "URL")]
    issuer: String,

    /// The workload identity provider, as `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    #[arg(long, value_parser = provider_name)]
    provider: String,

    /// An `aud` that subject tokens may carry; may be repeated [default: `https://iam.googleapis.com/` and the provider]
    #[arg(long, value_name = "AUDIENCE")]
    allowed_audience: Vec<String>,

    /// A file with the issuer's keys (what `kubectl get --raw /openid/v1/jwks` prints). Read anew at each exchange.
    #[arg(long, value_name = "FILE", required_unless_present = "jwks_url")]
    jwks_file: Option<PathBuf>,

    /// Where to fetch the issuer's keys, at each exchange.
    #[arg(long, value_name = "URL", conflicts_with = "jwks_file")]
    jwks_url: Option<url::Url>,

    /// The CA (PEM) of an https `--jwks-url`.
    #[arg(long, value_name = "FILE", requires = "jwks_url")]
    jwks_ca_file: Option<PathBuf>,

    /// A file with a bearer token for `--jwks-url`.
    #[arg(long, value_name = "FILE", requires = "jwks_url")]
    jwks_bearer_file: Option<PathBuf>,

    /// A service account that identities of the provider may impersonate; may be repeated.
    #[arg(long, value_name = "EMAIL")]
    service_account: Vec<String>,

    /// The longest lifetime of an impersonated token. More than 3600 is what the organisation policy
    /// constraints/iam.allowServiceAccountCredentialLifetimeExtension allows.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=43200))]
    max_lifetime: u32,

    /// A service account that has a key, and a file with its public keys (the JSON Web Key Set that Google would publish for it);
    /// may be repeated.
    #[arg(long, value_name = "EMAIL=FILE", value_parser = account_key)]
    account_key: Vec<(String, PathBuf)>,

    /// A person who has consented: a credential file of type authorized_user.
    #[arg(long, value_name = "FILE")]
    authorized_user: Option<PathBuf>,

    /// A project whose models may be called; may be repeated [default: any]
    #[arg(long, value_name = "ID")]
    project: Vec<String>,

    #[command(flatten)]
    models: Models,

    /// How long a federated token lives. Less than what Google gives lets a test see it refreshed.
    #[arg(long, value_name = "SECONDS", default_value_t = 3599, value_parser = clap::value_parser!(u32).range(1..=3599))]
    federated_lifetime: u32,
}

impl GoogleArguments {
    /// Refuses combinations that the parser cannot see.
    ///
    /// # Errors
    ///
    /// When the address is not loopback without leave, or the directory does not exist.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.listen.ip().is_loopback() && !self.allow_non_loopback {
            bail!(
                "--listen {}: not a loopback address; in a network namespace of its own, say so with --allow-non-loopback",
                self.listen
            );
        }
        if !self.directory.is_dir() {
            bail!(
                "--directory {}: not a directory; create it first",
                self.directory.display()
            );
        }
        Ok(())
    }

    /// The rules by which tokens are judged.
    pub(crate) fn trust(&self) -> Trust {
        let allowed_audiences = if self.allowed_audience.is_empty() {
            vec![format!("https://iam.googleapis.com/{}", self.provider)]
        } else {
            self.allowed_audience.clone()
        };
        Trust {
            issuer: self.issuer.clone(),
            provider: self.provider.clone(),
            allowed_audiences,
            service_accounts: self.service_account.clone(),
            max_lifetime_seconds: self.max_lifetime,
            federated_lifetime_seconds: self.federated_lifetime,
        }
    }

    /// The TLS settings of the server.
    ///
    /// # Errors
    ///
    /// When the given files cannot be used, or no certificate can be made.
    pub(crate) fn tls(&self) -> anyhow::Result<Arc<ServerConfig>> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(chain), Some(key)) => certificate::of_files(chain, key),
            _ => certificate::for_google(&self.directory),
        }
    }

    /// Who may have tokens without a cluster.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or used.
    pub(crate) fn known(&self) -> anyhow::Result<Known> {
        let mut accounts = Vec::new();
        for (email, file) in &self.account_key {
            accounts.push((email.clone(), json(file)?));
        }
        let person = self.authorized_user.as_deref().map(json).transpose()?;
        Ok(Known { accounts, person })
    }

    /// The models, and whose they are.
    pub(crate) fn vertex(&self) -> Vertex {
        self.models.vertex(&self.project)
    }

    /// Where the issuer's keys come from.
    ///
    /// # Errors
    ///
    /// When neither or an unusable source was given.
    pub(crate) fn keys(&self) -> anyhow::Result<KeySource> {
        match (&self.jwks_file, &self.jwks_url) {
            (Some(path), _) => Ok(KeySource::File(path.clone())),
            (None, Some(url)) => {
                KeySource::url(url.clone(), self.jwks_ca_file.as_deref(), self.jwks_bearer_file.clone())
            }
            (None, None) => None.context("give --jwks-file or --jwks-url"),
        }
    }
}

impl MeshArguments {
    /// The TLS settings of the server.
    ///
    /// # Errors
    ///
    /// When the files cannot be used.
    pub(crate) fn tls(&self) -> anyhow::Result<Arc<ServerConfig>> {
        certificate::of_files(&self.tls_certificate, &self.tls_key)
    }

    /// What each path adds.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or used.
    pub(crate) fn additions(&self) -> anyhow::Result<HashMap<String, Additions>> {
        json(&self.additions)
    }
}

/// A small file of JSON, which the person who starts us has chosen.
fn json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot use {}", file.display()))
}

fn account_key(value: &str) -> Result<(String, PathBuf), String> {
    match value.split_once('=') {
        Some((email, file)) if email.contains('@') && !file.is_empty() => Ok((email.to_owned(), PathBuf::from(file))),
        _ => Err("expected EMAIL=FILE".to_owned()),
    }
}

fn loopback(value: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = value.parse().map_err(|_| "expected ADDRESS:PORT")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("not a loopback address".to_owned())
    }
}

fn provider_name(value: &str) -> Result<String, String> {
    const SHAPE: &str = "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER";
    let parts: Vec<&str> = value.split('/').collect();
    let well_formed = match parts.as_slice() {
        [
            "projects",
            number,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] => {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !pool.is_empty()
                && !provider.is_empty()
        }
        _ => false,
    };
    if well_formed {
        Ok(value.to_owned())
    } else {
        Err(format!("expected {SHAPE}"))
    }
}
