//! The API server as seen from here: how to reach it, how long to wait for it, what its errors mean.

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use kube::{Client, Config};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};
use vertex_injector_core::causes::with_causes;

/// How long one call may take; watches are bounded by [`WATCH_SECONDS`].
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the API server keeps a watch open. A connection that died in silence is noticed after this and five
/// seconds, so it is shorter than kube's 290 s: until then policies would be stale.
const WATCH_SECONDS: u32 = 60;

/// How long to wait for bytes of a response, the next event of a watch included.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// First and longest pause of [`Pause`].
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Without a failure for so long, [`Pause`] starts again.
const QUIET: Duration = Duration::from_secs(30);

/// A client, and the namespace that its configuration names.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the configuration: the given file, else `KUBECONFIG` or `~/.kube/config`, else the ServiceAccount of the
    /// pod. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no configuration, or it cannot be used.
    pub(crate) async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = match kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot use the file of --kubeconfig, {}", path.display()))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .with_context(|| format!("cannot use the file of --kubeconfig, {}", path.display()))?
            }
            None => Config::infer().await.context(
                "no cluster is configured: run in a pod, set KUBECONFIG or give --kubeconfig; or, without a cluster, \
                 give --policy-dir, --tls-cert-file and --tls-key-file",
            )?,
        };
        // Every caller retries by itself; kube's own retry would wait up to 1000 s while an API server restarts.
        config.default_retry = false;
        config.read_timeout = Some(READ_TIMEOUT);
        // Else the time for which a connection was idle counts against the next response.
        config.reset_reader_on_write = true;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("cannot use the configuration of the cluster")?;
        Ok(Self { client, namespace })
    }
}

/// Whether this is a name that Kubernetes allows for a namespace: a DNS label (RFC 1123).
pub(crate) fn is_namespace(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_subdomain(name)
}

/// Whether this is a name that Kubernetes allows for most objects: a DNS subdomain (RFC 1123).
pub(crate) fn is_subdomain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.copied().is_some_and(is_letter))
            && bytes.iter().all(|byte| is_letter(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Configuration of every watch.
pub(crate) fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The API server refused or could not be reached. No source: `explain` has said all of it.
    #[error("{}", explain(.0))]
    Api(kube::Error),
    /// No answer within the limit.
    #[error("the API server did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
}

impl CallError {
    /// Whether the API server answered that somebody else was faster; of a JSON patch, that a test of it failed.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.code(), Some(409 | 422))
    }

    /// Whether the API server answered at all.
    pub(crate) fn is_answer(&self) -> bool {
        self.code().is_some()
    }

    /// Whether the API server answered that there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The HTTP status. Not kube's own predicates: those miss what is no `Status` object, such as the answer for a
    /// resource that is not served.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

/// Waits for a call, at most [`CALL_TIMEOUT`].
///
/// # Errors
/// When it fails or takes longer.
pub(crate) async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result.map_err(CallError::Api),
        Err(_) => Err(CallError::Timeout(CALL_TIMEOUT)),
    }
}

/// An error in words: what the API server says, which for missing rights names verb, resource and account.
pub(crate) fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{}; the chart's RBAC grants it", status.message)
        }
        kube::Error::Api(status) if status.message.is_empty() => format!("{} ({})", status.reason, status.code),
        kube::Error::Api(status) => status.message.clone(),
        other => with_causes(other),
    }
}

/// The same for a watch of `resource`. Not found means that the resource is not served.
pub(crate) fn explain_watch(error: &watcher::Error, resource: &str) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) if status.code == 404 => {
                "the API server does not serve them; install the CustomResourceDefinitions (`vertex-injector crds`)"
                    .to_owned()
            }
            error => explain(error),
        },
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => "the API server sent no resourceVersion".to_owned(),
    };
    format!("cannot watch {resource}: {cause}")
}

/// Pauses after failures, doubling, with an end that is short enough for policies to be fresh soon after the API
/// server is back. Starts again after half a minute without failures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pause {
    last: Option<(Instant, Duration)>,
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let pause = match self.last {
            Some((at, pause)) if now.duration_since(at) < pause + QUIET => (pause * 2).min(PAUSES.1),
            _ => PAUSES.0,
        };
        self.last = Some((now, pause));
        Some(pause)
    }
}

impl Backoff for Pause {
    /// Nothing: kube calls it for every event, and a relist begins with one before it can fail.
    fn reset(&mut self) {}
}

/// Says a problem once, however often it is met, and says when it is over.
#[derive(Debug)]
pub(crate) struct Trouble {
    what: &'static str,
    known: Option<String>,
}

impl Trouble {
    /// None yet with `what`, a sentence such as `cannot keep the certificate`.
    pub(crate) fn with(what: &'static str) -> Self {
        Self { what, known: None }
    }

    /// It happened.
    pub(crate) fn met(&mut self, problem: &str) {
        if self.known.as_deref() != Some(problem) {
            warn!(error = problem, "{}", self.what);
            self.known = Some(problem.to_owned());
        }
    }

    /// It does not happen any more.
    pub(crate) fn over(&mut self) {
        if self.known.take().is_some() {
            info!("no longer: {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_kubernetes_allows_reaches_a_url() {
        assert!(is_namespace("team-a") && is_subdomain("agent-7.team-a"));
        for name in [
            "",
            "..",
            "a/b",
            "a%2fb",
            "A",
            "a?watch=1",
            "-a",
            "a-",
            "ä",
            &"a".repeat(254),
        ] {
            assert!(!is_namespace(name) && !is_subdomain(name), "{name:?} was taken");
        }
        assert!(!is_namespace("a.b") && !is_namespace(&"a".repeat(64)));
    }
}
