//! Where a credential comes from: [`file`], [`http`], or [`ambient`]'s exchange. Each makes one bounded attempt; when to make
//! the next is [`super::refresh`]'s business.

pub mod ambient;
pub mod file;
pub mod http;

use super::fields::Fields;
use ambient::Ambient;
use ambient::bootstrap::Bootstrap;
use anyhow::{Context, anyhow};
use file::FileSource;
use http::HttpSource;
use std::time::Duration;
use tokio::time::Instant;
use vertex_injector_core::allowed::{Allowed, Listed};
use vertex_injector_core::contract::exec::Source as Told;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::upstream::{self, Answer, Limits, Unanswered, Upstream};

/// What one call may take; Ambient's own client has the same limits.
const LIMITS: Limits = Limits {
    answer: 1024 * 1024,
    deadline: Duration::from_secs(10),
};

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

/// A credential, fetched.
#[derive(Debug)]
pub struct Credential {
    /// What it consists of.
    pub fields: Fields,
    /// When it ends, if that is known.
    pub expires: Option<Instant>,
    /// An optional part could not be fetched: what is missing may come later.
    pub incomplete: bool,
}

/// Why there is no credential: never with what was sent or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct FetchError {
    /// Whether somebody has to change something, so that trying again soon is of no use.
    pub refused: bool,
    /// What failed, and how.
    pub detail: String,
    /// What to check.
    pub advice: &'static str,
}

impl Source {
    /// A source as it is told of; `get` reads a variable.
    ///
    /// # Errors
    /// Says what is missing or cannot be used; never with a content.
    pub fn of(told: Told, hosts: Vec<Listed>, get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        const NO_CERTIFICATES: &str = "cannot find the system's trusted certificates";
        Ok(match told {
            Told::File(path) => Self::File(FileSource::new(path)),
            Told::Http { url, token_file } => {
                Self::Http(HttpSource::new(url, token_file, &Egress::of(get)?).context(NO_CERTIFICATES)?)
            }
            Told::Ambient => {
                let egress = Egress::of(&get)?;
                let bootstrap = Bootstrap::read(get, &Allowed::new(hosts))
                    .map_err(|problems| anyhow!("--source ambient cannot begin:\n{problems}"))?;
                Self::Ambient(Ambient::new(bootstrap, &egress).context(NO_CERTIFICATES)?)
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

/// A client for these endpoints. Certificates are looked for only when one of them is https: an image for plain http inside
/// a cluster often has none.
///
/// # Errors
/// When they are needed and there are none.
pub fn client(endpoints: &[&Endpoint], egress: &Egress) -> std::io::Result<Upstream> {
    let secure = endpoints.iter().any(|endpoint| endpoint.is_secure());
    Ok(if secure {
        Upstream::new(upstream::google(egress)?)
    } else {
        Upstream::new(upstream::plain())
    })
}

/// The answer, if it is a success. `what` begins the sentence that says why not.
fn accept(what: &str, answer: Result<Answer, Unanswered>, advice: &'static str) -> Result<Answer, FetchError> {
    let answer = answer.map_err(|error| FetchError {
        refused: false,
        detail: format!("{what}: {error}"),
        advice,
    })?;
    let status = answer.status;
    if status == ::http::StatusCode::OK {
        return Ok(answer);
    }
    let redirect = if status.is_redirection() {
        "; redirects are not followed"
    } else {
        ""
    };
    Err(FetchError {
        refused: (status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429)) || status.is_redirection(),
        // An answer may repeat what it was sent, so it is only measured.
        detail: format!(
            "{what}: status {}, {} bytes{redirect}",
            status.as_u16(),
            answer.body.len()
        ),
        advice,
    })
}
