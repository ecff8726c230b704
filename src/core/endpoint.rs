//! URLs of services that are sent a credential or asked for one.

use crate::allowed::Allowed;
use http::Uri;
use std::fmt;

/// The node's metadata server, which no other machine can answer for.
pub const NODE_METADATA: &str = "169.254.169.254";

/// The URL of a service, checked: https, or plain http on loopback; no user, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl Endpoint {
    /// Checks a URL.
    ///
    /// # Errors
    /// Says what is wrong with it, as the end of a sentence; never the URL itself.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
        let authority = uri.authority().ok_or("is not an absolute URL")?;
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err("has a user, a query or a fragment, which no endpoint needs");
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if is_loopback(authority.host()) => Ok(Self(uri)),
            Some("http") => Err("is plain http, which is accepted on loopback only"),
            _ => Err("is not https"),
        }
    }

    /// The metadata server of the node, `HOST` or `HOST:PORT`.
    ///
    /// # Errors
    /// Says which hosts it can be: plain http to any other could be answered by anybody.
    pub fn node_metadata(host: &str) -> Result<Self, String> {
        let uri: Uri = format!("http://{host}/computeMetadata/v1")
            .parse()
            .map_err(|_| "not HOST or HOST:PORT")?;
        match uri.host() {
            Some(host) if host == NODE_METADATA || is_loopback(host) => Ok(Self(uri)),
            _ => Err(format!(
                "only {NODE_METADATA} and loopback addresses can be a node's metadata server"
            )),
        }
    }

    /// A URL that a list of hosts lets have a credential.
    ///
    /// # Errors
    /// As [`Allowed::check`].
    pub fn listed(allowed: &Allowed, url: &str) -> Result<Self, String> {
        allowed.check(url).map(Self)
    }

    /// The host, for messages.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// The same URL with another end; the same URL when it does not end so.
    #[must_use]
    pub fn sibling(&self, end: &str, other: &str) -> Self {
        let url = self.0.to_string();
        let sibling = url
            .strip_suffix(end)
            .and_then(|start| format!("{start}{other}").parse().ok());
        Self(sibling.unwrap_or_else(|| self.0.clone()))
    }

    /// The URL.
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a host can only be this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
