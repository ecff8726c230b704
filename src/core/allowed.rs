//! Which hosts may have a credential: loopback, and those that are listed one by one. No patterns, no suffixes: whoever may
//! create a namespace `evil` owns everything that ends in `.evil.svc`.

use http::Uri;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host that may have the credential, as `--allow-host` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    name: String,
    /// `None`: the port that the URL's scheme stands for.
    port: Option<u16>,
}

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(parse_port(port)?)),
            _ => (text, None),
        };
        match Host::parse(host)? {
            Host::Name(name) => Ok(Self { name, port }),
            Host::Loopback => Err("is loopback, which is always accepted".to_owned()),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// All hosts that may have the credential.
#[derive(Debug, Clone, Default)]
pub struct Allowed(Vec<Listed>);

impl Allowed {
    /// Loopback, and these.
    pub fn new(hosts: Vec<Listed>) -> Self {
        Self(hosts)
    }

    /// Checks a URL that is to be sent a credential. Plain http is accepted on loopback and, because few clusters have
    /// certificates inside, for listed services of the cluster.
    ///
    /// # Errors
    /// Says what is wrong with it, as the end of a sentence; of the URL only a well-formed host is shown.
    pub fn check(&self, url: &str) -> Result<Uri, String> {
        let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
        let authority = uri.authority().ok_or("is not an absolute URL")?;
        if authority.as_str().contains('@') {
            return Err("has a user, which no endpoint needs".to_owned());
        }
        if url.contains('#') {
            return Err("has a fragment, which no endpoint needs".to_owned());
        }
        if climbs(uri.path()) {
            return Err("has '.' or '..' in its path".to_owned());
        }
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("is neither https nor http".to_owned()),
        };
        let port = match authority.as_str().get(authority.host().len()..) {
            Some("") | None => None,
            Some(rest) => Some(parse_port(rest.trim_start_matches(':'))?),
        };
        if let Host::Name(name) = Host::parse(authority.host())? {
            let default = if secure { 443 } else { 80 };
            let wanted = port.unwrap_or(default);
            let listed = |listed: &Listed| listed.name == name && listed.port.unwrap_or(default) == wanted;
            if !self.0.iter().any(listed) {
                return Err(format!(
                    "leads to {name}:{wanted}, which is not listed; if it may have the credential, add --allow-host {name}:{wanted}"
                ));
            }
            if !secure && !is_service(&name) {
                return Err(format!(
                    "is plain http to {name}, which is accepted on loopback and for services of the cluster \
                     (NAME.NAMESPACE.svc) only; use https"
                ));
            }
        }
        Ok(uri)
    }
}

/// A host, well-formed.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Loopback,
    /// In lower case.
    Name(String),
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let address = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => Some(
                inner
                    .parse::<Ipv6Addr>()
                    .map_err(|_| "has no well-formed host")?
                    .is_loopback(),
            ),
            None => text.parse::<Ipv4Addr>().ok().map(|address| address.is_loopback()),
        };
        match address {
            Some(true) => return Ok(Self::Loopback),
            Some(false) => return Err("has an address for a host; other than on loopback, use its name".to_owned()),
            None => {}
        }
        let name = text.to_ascii_lowercase();
        if name == "localhost" {
            return Ok(Self::Loopback);
        }
        if name.ends_with('.') {
            return Err("has a host that ends in a dot; write it without".to_owned());
        }
        let label = |label: &str| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(known)
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err("has no well-formed host".to_owned());
        }
        // What ends in a number is an address to some clients: 0x7f.1, 2130706433.
        let last = name.rsplit('.').next().unwrap_or_default();
        let number = last.strip_prefix("0x").unwrap_or(last);
        if number.bytes().all(|b| b.is_ascii_digit())
            || (number != last && number.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err("has a host that ends in a number, which is no name".to_owned());
        }
        Ok(Self::Name(name))
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err("has a port that is no number from 1 to 65535".to_owned()),
    }
}

/// `NAME.NAMESPACE.svc`, with or without the cluster's usual domain.
pub fn is_service(name: &str) -> bool {
    let name = name.strip_suffix(".cluster.local").unwrap_or(name);
    name.strip_suffix(".svc").is_some_and(|rest| rest.contains('.'))
}

fn climbs(path: &str) -> bool {
    path.to_ascii_lowercase()
        .replace("%2e", ".")
        .split(['/', '\\'])
        .any(|segment| matches!(segment, "." | ".."))
}
