//! The way out: by an HTTP proxy where networks let programs out by one only, and to whom certificates of a private CA are shown.

use anyhow::Context;
use futures::future::{BoxFuture, TryFutureExt};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use tokio::net::TcpStream;
use tower::Service;
use vertex_injector_core::contract::CA_FILES;
use vertex_injector_core::host::{Host, proxy_address};

/// Why there is no connection.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How connections are made: straight, or by the proxy that `HTTPS_PROXY` names, except to the hosts of `NO_PROXY`.
///
/// Only TLS goes by the proxy (CONNECT, RFC 9110 section 9.3.6), which learns a host and a port and no more. Loopback is never reached
/// by it.
#[derive(Clone, Default)]
pub struct Egress {
    proxy: Option<Arc<Proxy>>,
    ca_files: Vec<PathBuf>,
}

struct Proxy {
    matcher: Matcher,
    /// Without the user and the password.
    address: String,
}

impl Egress {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn from_env() -> anyhow::Result<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Reads [`CA_FILES`], and `HTTPS_PROXY` and `NO_PROXY`, or the same in lower case. Entries of the latter are domains, which
    /// stand for their subdomains, too, addresses, networks, or `*`.
    ///
    /// # Errors
    /// When the proxy is none that can be spoken to. The value is not repeated, because it may have a password.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let either = |upper, lower| {
            variable(upper)
                .or_else(|| variable(lower))
                .filter(|value| !value.is_empty())
        };
        let ca_files = variable(CA_FILES).unwrap_or_default();
        let ca_files = ca_files.split(',').filter(|file| !file.is_empty()).map(PathBuf::from);
        let ca_files = ca_files.collect();
        let Some(url) = either("HTTPS_PROXY", "https_proxy") else {
            return Ok(Self { proxy: None, ca_files });
        };
        let address = proxy_address(&url).context(
            "HTTPS_PROXY has to be http://HOST:PORT, with USER:PASSWORD@ before the host if the proxy wants them; TLS to a proxy, and SOCKS, are not spoken",
        )?;
        let excepted = either("NO_PROXY", "no_proxy").unwrap_or_default();
        let address = address.to_string();
        let matcher = Matcher::builder().https(url).no(excepted).build();
        let proxy = Some(Arc::new(Proxy { matcher, address }));
        Ok(Self { proxy, ca_files })
    }

    /// The proxy as `HOST:PORT`, for the log.
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref().map(|proxy| proxy.address.as_str())
    }

    /// Files of certificates that are trusted beside the system's.
    pub fn ca_files(&self) -> &[PathBuf] {
        &self.ca_files
    }

    /// The proxy that a connection to `to` goes by, as `HOST:PORT`.
    pub fn proxy_to(&self, to: &Uri) -> Option<&str> {
        self.intercept(to).and_then(|_| self.proxy())
    }

    /// One connection to `to`, made as those of [`Self::route`] are.
    ///
    /// # Errors
    /// As whoever stands in between says.
    pub async fn connect(&self, to: &Uri) -> Result<TcpStream, BoxError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let stream = self.route(http).call(to.clone()).await?;
        Ok(stream.into_inner())
    }

    fn intercept(&self, to: &Uri) -> Option<Intercept> {
        let is_loopback = |host: &str| host.parse().is_ok_and(|host: Host| host.is_loopback());
        let proxy = self.proxy.as_deref();
        let proxy = proxy.filter(|_| !to.host().is_some_and(is_loopback));
        proxy?.matcher.intercept(to)
    }

    /// What makes the connections.
    pub fn route(&self, http: HttpConnector) -> Route {
        Route {
            egress: self.clone(),
            http,
        }
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Egress").field(&self.proxy()).finish()
    }
}

/// Connects to hosts, straight or by the proxy.
#[derive(Debug, Clone)]
pub struct Route {
    egress: Egress,
    http: HttpConnector,
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Task<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Some(proxy) = self.egress.intercept(&to) else {
            return Box::pin(self.http.call(to).map_err(Into::into));
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        Box::pin(tunnel.call(to).map_err(Into::into))
    }
}
