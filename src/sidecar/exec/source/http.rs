//! A credential from an endpoint that accepts the pod's projected token: a JSON object of fields, with `expires_in` (seconds)
//! or `expires_at` (RFC 3339, or seconds since 1970) if its end is known.

use super::credential::{Credential, FetchError, LIMITS, accept, client};
use super::file;
use crate::exec::fields::Fields;
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::Upstream;

/// Longest that reading the token may take.
const READ: Duration = Duration::from_secs(5);

/// Longest life that is believed. Beyond it, and beyond what a clock can hold, the end does not matter.
const LONGEST: u64 = 366 * 24 * 3600;

const ADVICE: &str =
    "check the URL, that the endpoint trusts this cluster's issuer, and the audience of the projected token";

/// The endpoint and the token's file.
pub struct HttpSource {
    url: Endpoint,
    token_file: PathBuf,
    upstream: Upstream,
}

impl HttpSource {
    /// Asks `url` with the token in `token_file`, which is read at each attempt because the kubelet renews it.
    ///
    /// # Errors
    /// When there are no trusted certificates for https.
    pub fn new(url: Endpoint, token_file: PathBuf, egress: &Egress) -> std::io::Result<Self> {
        let upstream = client(&[&url], egress)?;
        Ok(Self::over(url, token_file, upstream))
    }

    /// The same over a client of one's own.
    pub fn over(url: Endpoint, token_file: PathBuf, upstream: Upstream) -> Self {
        Self {
            url,
            token_file,
            upstream: upstream.limited(LIMITS),
        }
    }

    pub(super) fn place(&self) -> String {
        self.url.host().to_string()
    }

    pub(super) async fn fetch(&self) -> Result<Credential, FetchError> {
        let passing = |detail: String| FetchError {
            refused: false,
            detail,
            advice: "check that the token's volume is mounted in this container",
        };
        let token = timeout(READ, file::read(&self.token_file))
            .await
            .map_err(|_| passing(format!("--token-file could not be read within {} s", READ.as_secs())))?
            .map_err(|problem| passing(format!("--token-file {problem}")))?;
        let token = Secret::new(token.trim());
        if token.expose().is_empty() {
            return Err(passing(format!("--token-file {} is empty", self.token_file.display())));
        }
        let what = format!("the credential's endpoint {}", self.place());
        let asked = Instant::now();
        let answer = accept(&what, self.upstream.get(&self.url, &token).await, ADVICE)?;
        let wrong = |problem: &str| FetchError {
            refused: true,
            detail: format!("{what}: its answer of {} bytes {problem}", answer.body.len()),
            advice: "it must be a JSON object of strings, with expires_in or expires_at if the credential ends",
        };
        let fields = Fields::from_json(&answer.body).map_err(|problem| wrong(&problem))?;
        if fields.get("error").is_some_and(|error| !error.expose().is_empty()) {
            return Err(wrong("tells an error beside its fields"));
        }
        let expires = match life(&fields, Timestamp::now()).map_err(wrong)? {
            Some(0) => return Err(passing(format!("{what}: the credential has ended already"))),
            // Counted from the question: the answer may have been on its way for a while.
            Some(seconds) => Some(asked + Duration::from_secs(seconds.min(LONGEST))),
            None => None,
        };
        Ok(Credential {
            fields,
            expires,
            incomplete: false,
        })
    }
}

impl std::fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpSource({})", self.place())
    }
}

/// For how many more seconds a credential lasts; `None` when it does not say.
fn life(fields: &Fields, now: Timestamp) -> Result<Option<u64>, &'static str> {
    if let Some(seconds) = fields.get("expires_in") {
        let seconds = seconds.expose().parse::<u64>();
        return seconds
            .map(Some)
            .map_err(|_| "has an expires_in that is no number of seconds");
    }
    let Some(end) = fields.get("expires_at") else {
        return Ok(None);
    };
    let end = match end.expose().parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => end
            .expose()
            .parse::<Timestamp>()
            .map_err(|_| "has an expires_at that is neither RFC 3339 nor a number of seconds")?
            .as_second(),
    };
    Ok(Some(u64::try_from(end.saturating_sub(now.as_second())).unwrap_or(0)))
}
