//! An access token, or why there is none.

use super::complaint::Said;
use super::words::clean;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use vertex_injector_net::refresh::Failure;
use vertex_injector_net::secret::Secret;

/// An access token with the moment at which it ends.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// When it was fetched.
    pub fetched: Instant,
    /// When it ends.
    pub expires: Instant,
}

impl AccessToken {
    /// A token that was just fetched and lives for `lifetime`.
    pub fn new(secret: Secret, lifetime: Duration) -> Self {
        let fetched = Instant::now();
        Self {
            secret,
            fetched,
            expires: fetched + lifetime,
        }
    }

    /// How long it still lives.
    pub fn remaining(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }
}

/// The step of an exchange that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// Reading the subject token's file.
    TokenFile,
    /// Asking the subject token's URL.
    TokenUrl,
    /// The Security Token Service.
    Sts,
    /// The IAM Credentials API.
    Impersonation,
    /// Google's OAuth token endpoint.
    OAuth,
    /// The metadata server below us.
    Metadata,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// Where it failed.
    pub hop: Hop,
    /// Whether Google refused for good: trying again changes nothing until somebody changes something.
    pub refused: bool,
    /// What happened, fit for anybody's eyes: capped and without tokens.
    pub detail: String,
    /// What the service answered, where it did.
    pub said: Option<Said>,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenFile => "token file",
            Self::TokenUrl => "token URL",
            Self::Sts => "token exchange",
            Self::Impersonation => "impersonation",
            Self::OAuth => "OAuth token endpoint",
            Self::Metadata => "metadata server",
        })
    }
}

impl Hop {
    /// What to check when this step is refused.
    pub fn advice(self) -> &'static str {
        match self {
            Self::TokenFile => "check that the token volume is mounted in the broker",
            Self::TokenUrl => {
                "check credential_source.url and its headers; what a CI platform lends to a job ends with the job"
            }
            Self::Sts => {
                "check that the provider accepts the token's audience, that its issuer and keys are this cluster's, and that \
                 its attribute condition admits this namespace and ServiceAccount"
            }
            Self::Impersonation => {
                "check that the federated identity has roles/iam.serviceAccountTokenCreator or workloadIdentityUser on the \
                 service account, and that the service account exists and is enabled"
            }
            Self::OAuth => "check that the key or refresh token is still valid",
            Self::Metadata => "check that the node runs the GKE metadata server and the ServiceAccount is annotated",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.hop, self.detail)
    }
}

impl Failure for TokenError {
    fn is_refusal(&self) -> bool {
        self.refused
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.hop, self.refused) == (other.hop, other.refused)
    }
}

impl std::error::Error for TokenError {}

impl TokenError {
    /// A failure that may pass.
    pub fn passing(hop: Hop, detail: impl Into<String>) -> Self {
        Self {
            hop,
            refused: false,
            detail: clean(&detail.into()),
            said: None,
        }
    }

    /// A refusal.
    pub fn refused(hop: Hop, detail: impl Into<String>) -> Self {
        Self {
            hop,
            refused: true,
            detail: clean(&detail.into()),
            said: None,
        }
    }
}
