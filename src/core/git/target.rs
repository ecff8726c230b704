//! What one request asks for: read from its target exactly as it arrived, so that nothing means one thing here and another at
//! the host.
//!
//! Contract: gitprotocol-http(5). The three smart requests are all that passes.

use http::{Method, Uri};
use std::fmt;

/// Longest path of a repository.
const MAX_PATH: usize = 1024;

/// Most parts of a repository's path; GitLab nests groups twenty deep.
const MAX_PARTS: usize = 21;

/// What git asks a host for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `git-upload-pack`: clone, fetch, ls-remote.
    Fetch,
    /// `git-receive-pack`: push.
    Push,
}

/// Which of the service's two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `GET …/info/refs?service=…`: what is there.
    Advertisement,
    /// `POST …/git-…-pack`: the exchange itself.
    Exchange,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `HOST` or `HOST:PORT`, as written.
    pub host: String,
    /// `OWNER/REPO`, without `.git` at its end.
    pub repository: String,
    /// The service.
    pub service: Service,
    /// The request of it.
    pub step: Step,
}

/// Why a request is none of git's smart ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The target is not a plain path.
    Form,
    /// The path is not spelled plainly.
    Spelling,
    /// The path is no repository's.
    Repository,
    /// Git LFS.
    Lfs,
    /// Another path, query or method below a repository.
    Request,
}

impl Service {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "git-upload-pack",
            Self::Push => "git-receive-pack",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Fetch, Self::Push]
            .into_iter()
            .find(|service| service.name() == name)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetch => "fetch",
            Self::Push => "push",
        })
    }
}

impl Target {
    /// Reads `/HOST/OWNER/REPO/info/refs?service=…` and `/HOST/OWNER/REPO/git-…-pack`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(method: &Method, uri: &Uri) -> Result<Self, Misfit> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(Misfit::Form);
        }
        let path = uri.path().strip_prefix('/').ok_or(Misfit::Form)?;
        if path.bytes().any(|b| !is_plain(b) && b != b'/' && b != b':') {
            return Err(Misfit::Spelling);
        }
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| part.bytes().all(|b| b == b'.')) {
            return Err(Misfit::Spelling);
        }
        if is_lfs(&parts) {
            return Err(Misfit::Lfs);
        }
        let (host, repository, service, step) = match (&*parts, method, uri.query()) {
            ([host, repository @ .., "info", "refs"], &Method::GET, Some(query)) => {
                let service = query.strip_prefix("service=").and_then(Service::named);
                (host, repository, service, Step::Advertisement)
            }
            ([host, repository @ .., service], &Method::POST, None) => {
                (host, repository, Service::named(service), Step::Exchange)
            }
            _ => return Err(Misfit::Request),
        };
        Ok(Self {
            service: service.ok_or(Misfit::Request)?,
            host: (*host).to_owned(),
            repository: repository_of(repository)?,
            step,
        })
    }

    /// The rest of an `https` URL for this request. A repository has one spelling there, with `.git`, which all forges know:
    /// what was checked is what is asked for, and GitLab does not redirect.
    pub fn path_and_query(&self) -> String {
        let Self {
            repository, service, ..
        } = self;
        match self.step {
            Step::Advertisement => format!("/{repository}.git/info/refs?service={}", service.name()),
            Step::Exchange => format!("/{repository}.git/{}", service.name()),
        }
    }

    /// `HOST/OWNER/REPO`, as rules name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

/// `OWNER/REPO` of the parts of a path.
fn repository_of(parts: &[&str]) -> Result<String, Misfit> {
    let (last, groups) = parts.split_last().ok_or(Misfit::Repository)?;
    let last = last.strip_suffix(".git").unwrap_or(last);
    let mut parts = groups.iter().chain([&last]);
    let usable = |part: &&str| {
        // A server that finds a repository before the end takes the rest for something in it, and GitLab has its own pages
        // below `-`.
        !part.bytes().all(|b| b == b'.' || b == b'-') && !ends_in_git(part) && part.bytes().all(is_plain)
    };
    let path = [groups, &[last]].concat().join("/");
    if groups.is_empty() || groups.len() >= MAX_PARTS || path.len() > MAX_PATH || !parts.all(usable) {
        return Err(Misfit::Repository);
    }
    Ok(path)
}

/// Whether a name ends in `.git`, in whichever case.
pub(super) fn ends_in_git(part: &str) -> bool {
    part.len()
        .checked_sub(".git".len())
        .and_then(|at| part.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(".git"))
}

/// What names of owners and repositories consist of, at GitHub and GitLab. Nothing that a server could decode.
pub(super) fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')
}

fn is_lfs(parts: &[&str]) -> bool {
    parts.windows(2).any(|two| two == ["info", "lfs"])
}
