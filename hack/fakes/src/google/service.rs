//! Which of Google's services a host name stands for.

use super::credential;
use super::vertex::Location;

/// The largest prompt, in bytes: it may hold images.
pub(super) const LARGEST_PROMPT: usize = 32 * 1024 * 1024;

/// A service that is played here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// `sts.googleapis.com`.
    Sts,
    /// `iamcredentials.googleapis.com`.
    IamCredentials,
    /// `oauth2.googleapis.com`.
    OAuth,
    /// `credentials.example.com`, a platform's own.
    Credential,
    /// The Vertex hosts, each for one location.
    Vertex(Location),
}

impl Service {
    /// The service of a host, if it is played here.
    pub(super) fn of(host: &str) -> Option<Self> {
        match host {
            "sts.googleapis.com" => Some(Self::Sts),
            "iamcredentials.googleapis.com" => Some(Self::IamCredentials),
            "oauth2.googleapis.com" => Some(Self::OAuth),
            credential::HOST => Some(Self::Credential),
            _ => Location::of(host).map(Self::Vertex),
        }
    }

    /// Its name in the journal.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::IamCredentials => "iamcredentials",
            Self::OAuth => "oauth2",
            Self::Credential => "credential",
            Self::Vertex(_) => "aiplatform",
        }
    }

    /// The largest body that it takes, in bytes. Subject tokens are below 8 KiB.
    pub(super) fn largest_body(&self) -> usize {
        match self {
            Self::Vertex(_) => LARGEST_PROMPT,
            Self::Sts | Self::IamCredentials | Self::OAuth | Self::Credential => 64 * 1024,
        }
    }
}
