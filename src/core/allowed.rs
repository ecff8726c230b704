//! Which hosts may have a credential: loopback, and those that are listed one by one. No patterns, no suffixes: whoever may
//! create a namespace `evil` owns everything that ends in `.evil.svc`.

use crate::host::{Host, HostPort, Url};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const ADDRESS: &str = "has an address for a host; other than on loopback, use its name";

/// A host that may have the credential, as `--allow-host` and `credentialHosts` name it: a DNS name.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(try_from = "HostPort", into = "HostPort")]
pub struct Listed(HostPort);

impl Listed {
    /// Whether a URL leads to it.
    pub fn covers(&self, url: &Url) -> bool {
        self.0.covers(url)
    }
}

impl TryFrom<HostPort> for Listed {
    type Error = &'static str;

    fn try_from(address: HostPort) -> Result<Self, Self::Error> {
        match &address.host {
            Host::Name(_) => Ok(Self(address)),
            host if host.is_loopback() => Err("is loopback, which is always accepted and of no use in a list"),
            Host::Localhost | Host::Address(_) => Err(ADDRESS),
        }
    }
}

impl From<Listed> for HostPort {
    fn from(Listed(address): Listed) -> Self {
        address
    }
}

impl FromStr for Listed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<HostPort>()?.try_into()
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a credential may be sent to without TLS. Whoever owns the network of a pod (its agent does: `/etc/hosts`, raw sockets)
/// reads it along, or answers in the name of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Loopback only.
    #[default]
    Loopback,
    /// Services of the cluster (NAME.NAMESPACE.svc), too, because few clusters have certificates inside: with `isolation: BestEffort`.
    Services,
}

impl PlainHttp {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Loopback, Self::Services];

    /// As a setting writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Services => "services",
        }
    }

    /// Checks the scheme of a URL to another host than loopback.
    ///
    /// # Errors
    /// Says what would do, as the end of a sentence.
    pub fn check(self, url: &Url) -> Result<(), &'static str> {
        match self {
            _ if url.is_secure() => Ok(()),
            Self::Services if url.host().is_service() => Ok(()),
            Self::Services => Err(
                "is plain http, which is accepted on loopback and for services of the cluster (NAME.NAMESPACE.svc) only; use https",
            ),
            Self::Loopback => Err(
                "is plain http, which the agent can read and answer, because the pod's network is its own; use https",
            ),
        }
    }
}

/// All hosts that may have the credential.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    hosts: Vec<Listed>,
    plain_http: PlainHttp,
}

impl Allowed {
    /// Loopback, and these.
    pub fn new(hosts: Vec<Listed>, plain_http: PlainHttp) -> Self {
        Self { hosts, plain_http }
    }

    /// Checks a URL that is to be sent a credential.
    ///
    /// # Errors
    /// Says what is wrong with it, as the end of a sentence; of the URL only a well-formed host is shown.
    pub fn check(&self, url: &str) -> Result<Url, String> {
        let url: Url = url.parse()?;
        let name = match url.host() {
            host if host.is_loopback() => return Ok(url),
            Host::Name(_) => url.host(),
            Host::Localhost | Host::Address(_) => return Err(ADDRESS.to_owned()),
        };
        if !self.hosts.iter().any(|listed| listed.covers(&url)) {
            let wanted = format!("{name}:{}", url.port());
            return Err(format!(
                "leads to {wanted}, which is not listed; if it may have the credential, add --allow-host {wanted}"
            ));
        }
        self.plain_http.check(&url)?;
        Ok(url)
    }
}
