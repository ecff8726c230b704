//! Hosts, `HOST[:PORT]` and URLs: one parser for each, with rules that hold everywhere.
//!
//! Refused is what two programs could read as two hosts: a dot at the end, numbers that some take for an address, characters
//! that no DNS name has. What only some places accept (an address, plain http, a query) is asked of the parsed value there.
//! Problems are the ends of sentences; they never repeat the text, which may hold a password.

use http::Uri;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A well-formed host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name.
    Name(DnsName),
    /// `localhost`.
    Localhost,
    /// An address; of version 6 it stands in brackets.
    Address(IpAddr),
}

/// A DNS name in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsName(String);

impl Host {
    /// Whether it can only be this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Localhost => true,
            Self::Address(address) => address.is_loopback(),
        }
    }

    /// The DNS name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(DnsName(name)) => Some(name),
            Self::Localhost | Self::Address(_) => None,
        }
    }

    /// Whether it is a Service of the cluster: `NAME.NAMESPACE.svc`, with or without the usual domain of clusters.
    pub fn is_service(&self) -> bool {
        let name = self.name().unwrap_or_default();
        let name = name.strip_suffix(".cluster.local").unwrap_or(name);
        name.strip_suffix(".svc").is_some_and(|rest| rest.contains('.'))
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MALFORMED: &str = "has no well-formed host";
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| MALFORMED)?;
            return Ok(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let name = text.to_ascii_lowercase();
        if name == "localhost" {
            return Ok(Self::Localhost);
        }
        if name.ends_with('.') {
            return Err("has a host that ends in a dot; write it without");
        }
        let label = |label: &str| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(known)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(MALFORMED);
        }
        // What ends in a number is an address to some clients: 0x7f.1, 2130706433.
        let last = name.rsplit('.').next().unwrap_or_default();
        let number = last.strip_prefix("0x").unwrap_or(last);
        if number.bytes().all(|b| b.is_ascii_digit())
            || (number != last && number.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err("has a host that ends in a number, which is no name");
        }
        Ok(Self::Name(DnsName(name)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(DnsName(name)) => f.write_str(name),
            Self::Localhost => f.write_str("localhost"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// `HOST` or `HOST:PORT`. Without a port it is the one that a URL's scheme stands for.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, not 0.
    pub port: Option<u16>,
}

impl HostPort {
    /// Whether a URL leads here.
    pub fn covers(&self, url: &Url) -> bool {
        self.host == url.address.host && self.port.unwrap_or(url.default_port()) == url.port()
    }
}

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let digits = |port: &&str| !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        let number = |port| Some(port).filter(digits)?.parse().ok();
        let port = port
            .map(|port| number(port).ok_or("has a port that is no number from 1 to 65535"))
            .transpose()?;
        let host = host.parse()?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for HostPort {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(host: HostPort) -> Self {
        host.to_string()
    }
}

/// An absolute URL, https or http, without a user, a fragment, or `.` and `..` in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    secure: bool,
    address: HostPort,
}

impl Url {
    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.address.host
    }

    /// The host and the port as they are written.
    pub fn address(&self) -> &HostPort {
        &self.address
    }

    /// The port, be it the scheme's.
    pub fn port(&self) -> u16 {
        self.address.port.unwrap_or(self.default_port())
    }

    /// Whether it ends behind the host and the port, or with one slash there.
    pub fn is_bare(&self) -> bool {
        self.uri.path() == "/" && !self.has_query()
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.uri.query().is_some()
    }

    /// The same for HTTP libraries.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// A URL that is written in this program, of plain http to this host.
    pub(crate) fn plain(url: &'static str, host: Host) -> Self {
        Self {
            uri: Uri::from_static(url),
            secure: false,
            address: HostPort { host, port: None },
        }
    }

    fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let authority = uri.authority().ok_or("is not an absolute URL")?.as_str();
        if authority.contains('@') {
            return Err("has a user, which no endpoint needs");
        }
        if text.contains('#') {
            return Err("has a fragment, which no endpoint needs");
        }
        let path = uri.path().to_ascii_lowercase().replace("%2e", ".");
        if path.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
            return Err("has '.' or '..' in its path");
        }
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("is not usable: it is neither https nor http"),
        };
        let address = authority.parse()?;
        Ok(Self { uri, secure, address })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// `HOST:PORT` of the HTTP proxy that a process's own variable names, as clients read it: `[http://][USER[:PASSWORD]@]HOST[:PORT]`,
/// with port 80 unless it says another. Unlike elsewhere there may be a user, and a dot at the end of the host: it is
/// compared with nothing.
pub fn proxy_address(url: &str) -> Option<HostPort> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let plain =
        matches!(uri.scheme_str(), None | Some("http")) && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host).parse().ok()?;
    let port = Some(authority.port_u16().unwrap_or(80));
    plain.then_some(HostPort { host, port })
}

#[cfg(test)]
mod tests {
    use super::{Host, HostPort, Url, proxy_address};

    #[test]
    fn a_host_has_one_spelling() {
        for (text, shown) in [
            ("GitHub.com", "github.com"),
            ("github.com:8443", "github.com:8443"),
            ("localhost:1", "localhost:1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:80", "[::1]:80"),
            ("[fd00::1]", "[fd00::1]"),
        ] {
            let host: HostPort = text.parse().expect(text);
            assert_eq!(host.to_string(), shown);
        }
        for text in [
            "",
            ".",
            "a.",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b",
            "*.a",
            "a b",
            "a\n",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "127.1",
            "0x7f000001",
            "2130706433",
            "a:",
            "a:0",
            "a:065",
            "a:+1",
            "a:65536",
            "a:80:80",
            "a@b",
            "https://a",
            "a/b",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_contains_it() {
        let is_loopback = |text: &str| text.parse::<Host>().expect(text).is_loopback();
        for text in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "localhost.evil.com",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_host_without_a_port_covers_the_port_of_the_scheme_only() {
        let covers = |host: &str, url: &str| {
            let host: HostPort = host.parse().expect(host);
            host.covers(&url.parse::<Url>().expect(url))
        };
        assert!(covers("a.example", "https://A.example/x"));
        assert!(covers("a.example", "https://a.example:443"));
        assert!(covers("a.example", "http://a.example:80"));
        assert!(covers("a.example:8443", "https://a.example:8443/x?y"));
        assert!(covers("a.example:443", "https://a.example"));
        assert!(!covers("a.example", "https://a.example:80"));
        assert!(!covers("a.example:443", "http://a.example"));
        assert!(!covers("a.example", "https://sub.a.example"));
    }

    #[test]
    fn only_the_proxy_of_a_process_may_have_a_user() {
        assert!("http://me:s3cr3t@proxy:3128".parse::<Url>().is_err());
        let address = |url| proxy_address(url).map(|address| address.to_string());
        assert_eq!(address("http://me:s3cr3t@proxy.:3128/").as_deref(), Some("proxy:3128"));
        assert_eq!(address("proxy").as_deref(), Some("proxy:80"));
        for url in [
            "https://proxy:3128",
            "socks5://proxy:1",
            "http://evil/@proxy:1",
            "http://a_b/",
            "",
        ] {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
