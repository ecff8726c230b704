//! Where a credential comes from: [`file`], [`http`], or [`ambient`]'s exchange. Each makes one bounded attempt; when to make
//! the next is [`super::refresh`]'s business.

pub mod ambient;
mod credential;
pub mod file;
pub mod http;

pub use credential::{Credential, FetchError};

use ambient::Ambient;
use ambient::bootstrap::Bootstrap;
use anyhow::{Context, anyhow};
use file::FileSource;
use http::HttpSource;
use std::time::Duration;
use vertex_injector_core::allowed::Allowed;
use vertex_injector_core::contract::exec::Source as Told;
use vertex_injector_net::egress::Egress;

/// A source, ready to be asked.
#[derive(Debug)]
pub enum Source {
    /// Files, such as a mounted Secret.
    File(FileSource),
    /// An endpoint that accepts the pod's projected token.
    Http(HttpSource),
    /// Ambient's token exchange.
    Ambient(Ambient),
}

impl Source {
    /// A source as it is told of, on the way out that `egress` gives; `get` reads a variable.
    ///
    /// # Errors
    /// Says what is missing or cannot be used; never with a content.
    pub fn of(
        told: Told,
        allowed: &Allowed,
        egress: &Egress,
        get: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        const NO_CERTIFICATES: &str = "cannot find the system's trusted certificates";
        Ok(match told {
            Told::File(path) => Self::File(FileSource::new(path)),
            Told::Http { url, token_file } => {
                Self::Http(HttpSource::new(url, token_file, egress).context(NO_CERTIFICATES)?)
            }
            Told::Ambient => {
                let bootstrap = Bootstrap::read(get, allowed)
                    .map_err(|problems| anyhow!("--source ambient cannot begin:\n{problems}"))?;
                Self::Ambient(Ambient::new(bootstrap, egress).context(NO_CERTIFICATES)?)
            }
        })
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// When there is no credential at the moment, or none at all.
    pub async fn fetch(&self) -> Result<Credential, FetchError> {
        match self {
            Self::File(source) => source.fetch().await,
            Self::Http(source) => source.fetch().await,
            Self::Ambient(source) => source.fetch().await,
        }
    }

    /// How often to look for another credential while the end of this one is not known.
    pub fn interval(&self) -> Duration {
        match self {
            // Reading is cheap; the kubelet needs up to a minute to bring a changed Secret.
            Self::File(_) => Duration::from_secs(10),
            Self::Http(_) | Self::Ambient(_) => Duration::from_mins(5),
        }
    }

    /// The kind, for the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Ambient(_) => "ambient",
        }
    }

    /// Whence, for the log: a path or host names.
    pub fn place(&self) -> String {
        match self {
            Self::File(source) => source.place(),
            Self::Http(source) => source.place(),
            Self::Ambient(source) => source.place(),
        }
    }
}
