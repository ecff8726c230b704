//! The flags of `vertex-injector exec`, and what they mean together.

use super::child::Launch;
use super::control::GitCredentials;
use super::fields::Choice;
use super::mapping::{Mapping, ToFile, ToVariable};
use super::source::Source;
use super::source::ambient::bootstrap::{self, Bootstrap};
use super::source::{ambient::Ambient, file::FileSource, http::HttpSource};
use anyhow::{Context, anyhow, bail};
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use vertex_injector_core::allowed::{Allowed, Listed};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::telemetry::{DEFAULT_LEVELS, LogFormat};

/// Every variable of ours begins so.
const OURS: &str = "VERTEX_INJECTOR_";

/// Run a server with a credential that is fetched, handed to it alone, and kept fresh.
///
/// It is the entrypoint of a credential sidecar, around a server that reads its credential from its environment or from a file.
/// COMMAND starts with the first credential. It gets this process's environment without what the credential is fetched with,
/// and its standard streams; signals are passed on, and its exit code is ours (128 + N after signal N).
///
/// The credential has named fields. --env NAME=FIELD and --file PATH=FIELD say what COMMAND gets; FIELD may name alternatives, as
/// in apiToken|token. When what it gets changes, files are replaced at once, and --on-refresh says what else happens.
///
/// While the source is down it stays alive and not ready. What is missing at the start, be it a variable or a field, ends it with
/// exit code 2. SIGTERM ends COMMAND and then itself, with exit code 0.
///
/// What is fetched over https, and git's hosts, are reached by the HTTP proxy that HTTPS_PROXY names, but for the hosts in NO_PROXY.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the credential comes from:
    /// file:PATH (a file, JSON or one token; or a directory with a file for each field, such as a mounted Secret),
    /// https://URL (asked with the token of --token-file; answers a JSON object of fields, with expires_in or expires_at), or
    /// ambient (the token exchange of the Ambient Code platform, described by SESSION_ID, AMBIENT_API_URL, AMBIENT_CP_TOKEN_URL,
    /// AMBIENT_CP_TOKEN_PUBLIC_KEY and CREDENTIAL_IDS)
    #[arg(long, value_name = "SOURCE")]
    pub source: Wanted,

    /// The projected ServiceAccount token for an https source; read at each fetch
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// A host that may be sent a credential; may be repeated. Exactly this host, and the port that the URL's scheme stands for
    /// unless one is given. Loopback needs no listing. Plain http is accepted for NAME.NAMESPACE.svc only
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub allow_host: Vec<Listed>,

    /// A variable of COMMAND; may be repeated
    #[arg(long, value_name = "NAME=FIELD")]
    pub env: Vec<ToVariable>,

    /// A file for COMMAND, with mode 0600 in a directory that exists; may be repeated
    #[arg(long, value_name = "PATH=FIELD")]
    pub file: Vec<ToFile>,

    /// What happens to COMMAND when its credential has changed: restart; signal:HUP (also USR1, USR2, WINCH) if only files have
    /// changed, else restart; none
    #[arg(long, value_name = "ACTION", default_value = "restart")]
    pub on_refresh: OnRefresh,

    /// How long COMMAND may take to end before it is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub grace_period: u64,

    /// Port of the control listener on 127.0.0.1: GET /healthz, GET /readyz, POST /refresh (at most every 30 s); 0 lets the
    /// system choose [default: none]
    #[arg(long, env = "VERTEX_INJECTOR_CONTROL_PORT", value_name = "N")]
    pub control_port: Option<u16>,

    /// Hand the credential to git helpers that ask GET /git-credentials?host=HOST; may be repeated. The agent can read it then
    #[arg(long, value_name = "HOST", value_delimiter = ',', requires = "control_port", value_parser = git_host)]
    pub git_credentials: Vec<String>,

    /// The user name for --git-credentials
    #[arg(long, value_name = "NAME", default_value = "x-access-token", value_parser = git_user)]
    pub git_credentials_user: String,

    /// The field for --git-credentials
    #[arg(long, value_name = "FIELD", default_value = "token")]
    pub git_credentials_field: Choice,

    /// The git proxy
    #[command(flatten)]
    pub git: super::git::Args,

    /// How log lines look [default: human on a terminal, else json]
    #[arg(long, env = "VERTEX_INJECTOR_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is logged: a comma-separated list of LEVEL and TARGET=LEVEL
    #[arg(long, env = "VERTEX_INJECTOR_LOG", value_name = "LEVELS", default_value = DEFAULT_LEVELS)]
    pub log: String,

    /// The server and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// The source as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `file:PATH`
    File(PathBuf),
    /// `https://…` or `http://…`
    Http(String),
    /// `ambient`
    Ambient,
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "ambient" => Ok(Self::Ambient),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("http" | "https", _)) => Ok(Self::Http(text.to_owned())),
            _ => Err("not a source: file:PATH, https://URL or ambient"),
        }
    }
}

/// What happens to the child when its credential has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefresh {
    /// It is ended and started anew.
    Restart,
    /// It is sent a signal if only files have changed, else restarted.
    Signal(Signal),
    /// Nothing.
    None,
}

impl FromStr for OnRefresh {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "restart" => Self::Restart,
            "none" => Self::None,
            "signal:HUP" => Self::Signal(Signal::HUP),
            "signal:USR1" => Self::Signal(Signal::USR1),
            "signal:USR2" => Self::Signal(Signal::USR2),
            "signal:WINCH" => Self::Signal(Signal::WINCH),
            _ => return Err("not one of restart, signal:HUP, signal:USR1, signal:USR2, signal:WINCH, none"),
        })
    }
}

impl Args {
    /// What the child gets.
    ///
    /// # Errors
    /// When it cannot be given.
    pub fn mapping(&self) -> anyhow::Result<Mapping> {
        let mapping = Mapping {
            variables: self.env.clone(),
            files: self.file.clone(),
        };
        mapping.check().map_err(|problem| anyhow!(problem))?;
        Ok(mapping)
    }

    /// The source, checked; `get` reads a variable.
    ///
    /// # Errors
    /// Says what is missing or cannot be used; never with a content.
    pub fn source(&self, get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Source> {
        const NO_CERTIFICATES: &str = "cannot find the system's trusted certificates";
        let allowed = Allowed::new(self.allow_host.clone());
        if self.token_file.is_some() && !matches!(self.source, Wanted::Http(_)) {
            bail!("--token-file is for an https source; it would not be used");
        }
        Ok(match &self.source {
            Wanted::File(path) => Source::File(FileSource::new(path.clone())),
            Wanted::Http(url) => {
                let url = Endpoint::listed(&allowed, url).map_err(|problem| anyhow!("--source: the URL {problem}"))?;
                let Some(token_file) = self.token_file.clone() else {
                    bail!("an https source needs --token-file FILE: the pod's projected token for it");
                };
                Source::Http(HttpSource::new(url, token_file, &Egress::of(get)?).context(NO_CERTIFICATES)?)
            }
            Wanted::Ambient => {
                let egress = Egress::of(&get)?;
                let bootstrap = Bootstrap::read(get, &allowed)
                    .map_err(|problems| anyhow!("--source ambient cannot begin:\n{problems}"))?;
                Source::Ambient(Ambient::new(bootstrap, &egress).context(NO_CERTIFICATES)?)
            }
        })
    }

    /// How to start the child in the environment `ours`: without our own variables, nor those that a credential can be fetched
    /// with.
    ///
    /// # Errors
    /// When there is no command.
    pub fn launch(&self, ours: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Launch> {
        let (program, arguments) = self.command.split_first().context("no COMMAND after --")?;
        let kept = |name: &OsString| {
            let name = name.to_string_lossy();
            let secret = self.source == Wanted::Ambient && bootstrap::VARIABLES.contains(&&*name);
            !name.starts_with(OURS) && !secret
        };
        Ok(Launch {
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment: ours.filter(|(name, _)| kept(name)).collect(),
        })
    }

    /// For whom `/git-credentials` exists.
    pub fn git_credentials(&self) -> Option<GitCredentials> {
        (!self.git_credentials.is_empty()).then(|| GitCredentials {
            hosts: self.git_credentials.clone(),
            username: self.git_credentials_user.clone(),
            field: self.git_credentials_field.clone(),
        })
    }

    /// How long the child may take to end.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_period)
    }
}

fn git_host(text: &str) -> Result<String, &'static str> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
    if !text.is_empty() && text.len() <= 253 && text.bytes().all(known) {
        Ok(text.to_owned())
    } else {
        Err("not HOST or HOST:PORT")
    }
}

fn git_user(text: &str) -> Result<String, &'static str> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("not a user name")
    }
}
