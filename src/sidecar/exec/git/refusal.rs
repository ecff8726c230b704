//! What is not done, in words that git shows to people.
//!
//! git prints a body of `text/plain` as `remote: …` when the first request of a command fails. It must never get a 401 or a
//! `WWW-Authenticate`: it would ask for a password, and an agent could wait for one for ever.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use vertex_injector_core::git::config::GitHost;
use vertex_injector_core::git::rules::Rule;
use vertex_injector_core::git::target::{Misfit, Target};

/// Most rules that a refusal tells.
const MAX_TOLD: usize = 20;

/// What passes, for those who ask for something else.
const SMART: &str = "git's smart HTTP requests are answered, nothing else: GET /HOST/OWNER/REPO/info/refs with \
    ?service=git-upload-pack or ?service=git-receive-pack, and POST /HOST/OWNER/REPO/git-upload-pack or git-receive-pack";

/// Why a request is not answered by the host. Its message holds names and statuses, never what the host or the agent wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For the audit log.
    pub reason: &'static str,
    /// For the agent.
    pub status: StatusCode,
    message: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// Whether it is for Git LFS, which reads JSON.
    lfs: bool,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            reason,
            status,
            message: message.into(),
            retry_after: None,
            lfs: false,
        }
    }

    /// Something that passes.
    pub fn later(self, seconds: Option<u32>) -> Self {
        Self {
            retry_after: seconds,
            ..self
        }
    }

    /// The host is not one of ours.
    pub fn host(hosts: &[GitHost]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(GitHost::to_string).collect();
        let message = format!("this host is not served here, only: {}", hosts.join(", "));
        Self::new("host", StatusCode::FORBIDDEN, message)
    }

    /// No rule allows it.
    pub fn rules(target: &Target, rules: &[Rule]) -> Self {
        let mut told: Vec<String> = rules.iter().take(MAX_TOLD).map(Rule::to_string).collect();
        if let Some(more) = rules.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
            told.push(format!("and {more} more"));
        }
        let message = format!(
            "{} of {} is not allowed here; allowed (upper and lower case differ): {}",
            target.service,
            target.name(),
            told.join(" ")
        );
        Self::new("rules", StatusCode::FORBIDDEN, message)
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        let message = format!("vertex-injector: {}", self.message);
        let (content_type, body) = if self.lfs {
            let json = serde_json::json!({ "message": message });
            ("application/vnd.git-lfs+json", json.to_string())
        } else {
            ("text/plain; charset=utf-8", format!("{message}\n"))
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Misfit> for Refusal {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Form => Self::new("target", StatusCode::BAD_REQUEST, "a request's target is a path"),
            Misfit::Spelling => Self::new(
                "spelling",
                StatusCode::BAD_REQUEST,
                "the path is not spelled plainly: letters, digits, '.', '_' and '-' between single slashes, nothing encoded",
            ),
            Misfit::Repository => Self::new(
                "repository",
                StatusCode::BAD_REQUEST,
                "the path is not HOST/OWNER/REPO or HOST/GROUP/…/REPO, each a plain name",
            ),
            // Its answers hold URLs and headers with credentials of their own, which the agent would get.
            Misfit::Lfs => Self {
                lfs: true,
                ..Self::new(
                    "lfs",
                    StatusCode::NOT_IMPLEMENTED,
                    "Git LFS is not served here; with GIT_LFS_SKIP_SMUDGE=1 files stay pointers",
                )
            },
            Misfit::Request => Self::new("request", StatusCode::NOT_FOUND, SMART),
        }
    }
}
