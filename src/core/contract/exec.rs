//! What the wrapper of a credential sidecar's server is told.

use super::choice::{ToFile, ToVariable};
use super::git::{GIT_CREDENTIALS, GitCredentials, GitProxy};
use super::setting::{Given, Setting, Written, Wrong, by_name};
use crate::allowed::{Allowed, Listed, PlainHttp};
use crate::endpoint::Endpoint;
use std::path::PathBuf;
use std::str::FromStr;

/// The verb.
pub const VERB: &str = "exec";

/// [`Exec::source`].
pub const SOURCE: Setting = Setting::flag("source");
/// Of [`Source::Http`].
pub const TOKEN_FILE: Setting = Setting::flag("token-file");
/// [`Exec::allow_hosts`].
pub const ALLOW_HOST: Setting = Setting::flag("allow-host");
/// [`Exec::plain_http`].
pub const PLAIN_HTTP: Setting = Setting::flag("plain-http");
/// [`Exec::variables`].
pub const ENV: Setting = Setting::flag("env");
/// [`Exec::files`].
pub const FILE: Setting = Setting::flag("file");
/// [`Exec::on_refresh`].
pub const ON_REFRESH: Setting = Setting::flag("on-refresh");
/// [`Exec::grace_period`].
pub const GRACE_PERIOD: Setting = Setting::flag("grace-period");
/// [`Control::port`], which `probe` takes from the same variable.
pub const CONTROL_PORT: Setting = Setting::variable("control-port", "VERTEX_INJECTOR_CONTROL_PORT");

/// All that the wrapper is told, but for the server's own command, which follows `--`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Where the credential comes from.
    pub source: Source,
    /// Hosts that may be sent a credential.
    pub allow_hosts: Vec<Listed>,
    /// Whom of them it may be sent to without TLS.
    pub plain_http: PlainHttp,
    /// Variables of the server.
    pub variables: Vec<ToVariable>,
    /// Files for the server.
    pub files: Vec<ToFile>,
    /// What happens to the server when its credential has changed.
    pub on_refresh: OnRefresh,
    /// How many seconds the server may take to end before it is killed, from 1 to 3600.
    pub grace_period: GracePeriod,
    /// The control listener.
    pub control: Option<Control>,
    /// The git proxy.
    pub git: Option<GitProxy>,
}

/// Where a credential comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or a directory with a file for each field.
    File(PathBuf),
    /// An endpoint that takes a projected ServiceAccount token.
    Http {
        /// Where it is asked; one of the hosts that may be sent a credential.
        url: Endpoint,
        /// The token.
        token_file: PathBuf,
    },
    /// The token exchange of the Ambient Code platform, which its own variables describe.
    Ambient,
}

/// What happens to the server when its credential has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnRefresh {
    /// It is ended and started anew.
    #[default]
    Restart,
    /// It is sent a signal if only files have changed, else restarted.
    Signal(Signal),
    /// Nothing.
    None,
}

/// A signal that a server can take as a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGWINCH.
    Winch,
}

/// Seconds, from 1 to 3600.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracePeriod(u64);

/// The listener that shows how the wrapper is, and refreshes on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Who may read the credential there.
    pub git_credentials: Option<GitCredentials>,
}

impl Exec {
    /// Everything that it is told, by setting.
    pub fn settings(&self) -> Written {
        let Self {
            source,
            allow_hosts,
            plain_http,
            variables,
            files,
            on_refresh,
            grace_period,
            control,
            git,
        } = self;
        let mut written = match source {
            Source::File(path) => vec![(SOURCE, format!("file:{}", path.display()))],
            Source::Http { url, token_file } => {
                vec![(SOURCE, url.text()), (TOKEN_FILE, token_file.display().to_string())]
            }
            Source::Ambient => vec![(SOURCE, AMBIENT.to_owned())],
        };
        written.extend(allow_hosts.iter().map(|host| (ALLOW_HOST, host.to_string())));
        if *plain_http != PlainHttp::default() {
            written.push((PLAIN_HTTP, plain_http.to_string()));
        }
        written.extend(variables.iter().map(|variable| (ENV, variable.to_string())));
        written.extend(files.iter().map(|file| (FILE, file.to_string())));
        if *on_refresh != OnRefresh::default() {
            written.push((ON_REFRESH, on_refresh.to_string()));
        }
        if *grace_period != GracePeriod::default() {
            written.push((GRACE_PERIOD, grace_period.0.to_string()));
        }
        written.extend(git.iter().flat_map(GitProxy::settings));
        if let Some(Control { port, git_credentials }) = control {
            written.push((CONTROL_PORT, port.to_string()));
            written.extend(git_credentials.iter().flat_map(GitCredentials::settings));
        }
        written
    }

    /// What has a variable, for the container's environment: `probe` reads it too.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings().into_iter();
        settings
            .filter_map(|(setting, value)| Some((setting.variable?, value)))
            .collect()
    }

    /// The verb and the other settings as arguments, up to the server's command.
    pub fn arguments(&self) -> Vec<String> {
        let settings = self
            .settings()
            .into_iter()
            .filter(|(setting, _)| setting.variable.is_none());
        let flags = settings.flat_map(|(setting, value)| [setting.to_string(), value]);
        let verb = std::iter::once(VERB.to_owned());
        verb.chain(flags).chain(std::iter::once("--".to_owned())).collect()
    }

    /// Reads what was written, or what a person wrote.
    ///
    /// # Errors
    /// When a setting is missing, cannot be understood or would not be used.
    pub fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        let allow_hosts: Vec<Listed> = given.list(ALLOW_HOST)?;
        let plain_http = given.one(PLAIN_HTTP)?.unwrap_or_default();
        let variables: Vec<ToVariable> = given.each(ENV)?;
        let files: Vec<ToFile> = given.each(FILE)?;
        if let Some(name) = twice(variables.iter().map(ToVariable::name)) {
            return Err(Wrong(format!("{ENV} {name}: given twice")));
        }
        if let Some(path) = twice(files.iter().map(ToFile::path)) {
            return Err(Wrong(format!("{FILE} {}: given twice", path.display())));
        }
        Ok(Self {
            source: Source::read(given, &Allowed::new(allow_hosts.clone(), plain_http))?,
            allow_hosts,
            plain_http,
            variables,
            files,
            on_refresh: given.one(ON_REFRESH)?.unwrap_or_default(),
            grace_period: given.one(GRACE_PERIOD)?.unwrap_or_default(),
            control: Control::read(given)?,
            git: GitProxy::read(given)?,
        })
    }
}

/// The exchange's name as a source.
const AMBIENT: &str = "ambient";

/// A source as it is named.
enum Named {
    File(PathBuf),
    Http(String),
    Ambient,
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == AMBIENT => Ok(Self::Ambient),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("http" | "https", _)) => Ok(Self::Http(text.to_owned())),
            _ => Err("not a source: file:PATH, https://URL or ambient"),
        }
    }
}

impl Source {
    fn read(given: &Given<'_>, allowed: &Allowed) -> Result<Self, Wrong> {
        let token_file: Option<PathBuf> = given.one(TOKEN_FILE)?;
        match (given.needed(SOURCE)?, token_file) {
            (Named::Http(url), token_file) => {
                let url =
                    Endpoint::listed(allowed, &url).map_err(|problem| Wrong(format!("{SOURCE}: the URL {problem}")))?;
                let missing = || format!("an https source needs {TOKEN_FILE} FILE: the pod's projected token for it");
                let token_file = token_file.ok_or_else(|| Wrong(missing()))?;
                Ok(Self::Http { url, token_file })
            }
            (Named::File(_) | Named::Ambient, Some(_)) => Err(Wrong(format!(
                "{TOKEN_FILE} is for an https source; it would not be used"
            ))),
            (Named::File(path), None) => Ok(Self::File(path)),
            (Named::Ambient, None) => Ok(Self::Ambient),
        }
    }
}

impl Control {
    fn read(given: &Given<'_>) -> Result<Option<Self>, Wrong> {
        let git_credentials = GitCredentials::read(given)?;
        match (given.port(CONTROL_PORT)?, git_credentials) {
            (Some(port), git_credentials) => Ok(Some(Self { port, git_credentials })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Wrong(format!(
                "{GIT_CREDENTIALS} needs {CONTROL_PORT}, where it is asked for"
            ))),
        }
    }
}

impl OnRefresh {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Restart,
        Self::Signal(Signal::Hup),
        Self::Signal(Signal::Usr1),
        Self::Signal(Signal::Usr2),
        Self::Signal(Signal::Winch),
        Self::None,
    ];

    /// As the setting writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Signal(Signal::Hup) => "signal:HUP",
            Self::Signal(Signal::Usr1) => "signal:USR1",
            Self::Signal(Signal::Usr2) => "signal:USR2",
            Self::Signal(Signal::Winch) => "signal:WINCH",
            Self::None => "none",
        }
    }
}

by_name!(OnRefresh, PlainHttp);

impl GracePeriod {
    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for GracePeriod {
    fn default() -> Self {
        Self(10)
    }
}

impl FromStr for GracePeriod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
        seconds
            .map(Self)
            .ok_or_else(|| format!("{text} is not in 1..=3600, in seconds"))
    }
}

fn twice<T: PartialEq>(mut items: impl Iterator<Item = T> + Clone) -> Option<T> {
    while let Some(item) = items.next() {
        if items.clone().any(|other| other == item) {
            return Some(item);
        }
    }
    None
}
