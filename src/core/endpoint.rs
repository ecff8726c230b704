//! URLs of services that are sent a credential or asked for one.

use crate::allowed::Allowed;
use crate::host::{Host, HostPort, Url};
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::str::FromStr;

/// The node's metadata server, which no other machine can answer for.
pub const NODE_METADATA: &str = "169.254.169.254";

/// The URL of a service that may be sent a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Checks a URL: https, or plain http on loopback, without a query.
    ///
    /// # Errors
    /// Says what is wrong with it, as the end of a sentence; never the URL itself.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let endpoint = Self::with_query(url)?;
        if endpoint.has_query() {
            Err("has a query, which no endpoint needs")
        } else {
            Ok(endpoint)
        }
    }

    /// The same for a URL that may have a query, as those have from which CI platforms hand out identity tokens.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn with_query(url: &str) -> Result<Self, &'static str> {
        let url: Url = url.parse()?;
        if url.is_secure() || url.host().is_loopback() {
            Ok(Self(url))
        } else {
            Err("is plain http, which is accepted on loopback only")
        }
    }

    /// The metadata server of the node, `HOST` or `HOST:PORT`.
    ///
    /// # Errors
    /// Says which hosts it can be: plain http to any other could be answered by anybody.
    pub fn node_metadata(host: &str) -> Result<Self, String> {
        let address: HostPort = host.parse()?;
        if address.host.is_loopback() || address.host.to_string() == NODE_METADATA {
            Ok(Self(format!("http://{address}/computeMetadata/v1").parse()?))
        } else {
            Err(format!(
                "only {NODE_METADATA} and loopback addresses can be a node's metadata server"
            ))
        }
    }

    /// The metadata server of the node, at [`NODE_METADATA`].
    pub fn node() -> Self {
        Self(Url::plain(
            "http://169.254.169.254/computeMetadata/v1",
            Host::Address(Ipv4Addr::new(169, 254, 169, 254).into()),
        ))
    }

    /// A URL that a list of hosts lets have a credential.
    ///
    /// # Errors
    /// As [`Allowed::check`].
    pub fn listed(allowed: &Allowed, url: &str) -> Result<Self, String> {
        allowed.check(url).map(Self)
    }

    /// The same URL with another end; the same URL when it does not end so.
    #[must_use]
    pub fn sibling(&self, end: &str, other: &str) -> Self {
        let url = self.to_string();
        let sibling = url
            .strip_suffix(end)
            .and_then(|start| format!("{start}{other}").parse().ok());
        Self(sibling.unwrap_or_else(|| self.0.clone()))
    }

    /// The URL, without the slash that stands for an empty path.
    pub fn text(&self) -> String {
        let text = self.to_string();
        match text.strip_suffix('/') {
            Some(root) if self.is_bare() => root.to_owned(),
            _ => text,
        }
    }
}

impl Deref for Endpoint {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Self::parse(url)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, NODE_METADATA};

    #[test]
    fn the_nodes_metadata_server_is_the_one_that_its_address_names() {
        assert_eq!(Ok(Endpoint::node()), Endpoint::node_metadata(NODE_METADATA));
    }
}
