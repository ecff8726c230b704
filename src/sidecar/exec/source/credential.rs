//! What a source brings, or why it does not, and the calls by which it is fetched.

use crate::exec::fields::Fields;
use std::time::Duration;
use tokio::time::Instant;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::refresh::Failure;
use vertex_injector_net::upstream::{self, Answer, Limits, Unanswered, Upstream};

/// What one call may take; Ambient's own client has the same limits.
pub(super) const LIMITS: Limits = Limits {
    answer: 1024 * 1024,
    deadline: Duration::from_secs(10),
};

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

impl Failure for FetchError {
    fn is_refusal(&self) -> bool {
        self.refused
    }

    fn is_like(&self, other: &Self) -> bool {
        self == other
    }
}

/// A client for these endpoints. Certificates are looked for only when one of them is https: an image for plain http inside
/// a cluster often has none.
///
/// # Errors
/// When they are needed and there are none.
pub(super) fn client(endpoints: &[&Endpoint], egress: &Egress) -> std::io::Result<Upstream> {
    let secure = endpoints.iter().any(|endpoint| endpoint.is_secure());
    Ok(if secure {
        Upstream::new(upstream::google(egress)?)
    } else {
        Upstream::new(upstream::plain())
    })
}

/// The answer, if it is a success. `what` begins the sentence that says why not.
pub(super) fn accept(
    what: &str,
    answer: Result<Answer, Unanswered>,
    advice: &'static str,
) -> Result<Answer, FetchError> {
    let answer = answer.map_err(|error| FetchError {
        refused: false,
        detail: format!("{what}: {error}"),
        advice,
    })?;
    let status = answer.status;
    if status == http::StatusCode::OK {
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
