//! Keeps one credential fresh: one task fetches and publishes, consumers only look.

use super::fields::Fields;
use super::mapping::Unusable;
use super::source::{Credential, FetchError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};
use vertex_injector_net::refresh::{BETWEEN, Schedule, due};

/// What came of a fetch that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a credential that differs from the one before.
    Changed,
    /// The credential is still the same.
    Unchanged,
    /// There is no other credential at the moment.
    Failed,
}

/// Somebody asks for a fetch, and is told what came of it.
pub type Request = oneshot::Sender<Outcome>;

/// Asks for fetches, from wherever it is cloned to not too often.
#[derive(Debug, Clone)]
pub struct Asking {
    requests: mpsc::Sender<Request>,
    /// When one was last asked for.
    last: Arc<Mutex<Option<Instant>>>,
}

/// Why a fetch cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// One was asked for; the next may be after so long.
    TooOften(Duration),
    /// One is under way.
    UnderWay,
}

impl Asking {
    /// Asks whoever receives the requests.
    pub fn new(requests: mpsc::Sender<Request>) -> Self {
        Self {
            requests,
            last: Arc::default(),
        }
    }

    /// Asks for a fetch, of whose outcome one may be told.
    ///
    /// # Errors
    /// When none may be asked for at the moment.
    pub fn ask(&self) -> Result<oneshot::Receiver<Outcome>, NotNow> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = last.map(|last| (last + BETWEEN).saturating_duration_since(Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(NotNow::TooOften(wait));
        }
        *last = Some(Instant::now());
        let (ask, outcome) = oneshot::channel();
        self.requests.try_send(ask).map_err(|_| NotNow::UnderWay)?;
        Ok(outcome)
    }
}

/// Fetches and publishes.
pub struct Refresher<F, C, J> {
    /// Makes one attempt.
    pub fetch: F,
    /// Whether all consumers find what they need.
    pub check: C,
    /// How often to fetch while the end of the credential is not known.
    pub interval: Duration,
    /// Gives numbers from 0 to 1.
    pub jitter: J,
    /// Where the credential goes; `None` when it has ended.
    pub publish: watch::Sender<Option<Arc<Fields>>>,
    /// Who asks for a fetch.
    pub requests: mpsc::Receiver<Request>,
}

/// What is remembered between two attempts.
struct Memory {
    expires: Option<Instant>,
    schedule: Schedule<FetchError>,
    asked: Option<Request>,
    /// Whether there ever was a credential.
    started: bool,
}

impl<F, C, J> Refresher<F, C, J>
where
    F: AsyncFn() -> Result<Credential, FetchError>,
    C: Fn(&Fields) -> Result<(), Unusable>,
    J: Fn() -> f64,
{
    /// Goes on until dropped, whatever the source does.
    ///
    /// # Errors
    /// When the very first credential lacks what a consumer needs: then the flags and the source do not fit each other.
    pub async fn run(mut self) -> Result<(), Unusable> {
        let mut memory = Memory {
            expires: None,
            schedule: Schedule::default(),
            asked: None,
            started: false,
        };
        loop {
            let asked = Instant::now();
            let fetched = {
                let fetch = (self.fetch)();
                let mut fetch = std::pin::pin!(fetch);
                loop {
                    tokio::select! {
                        fetched = &mut fetch => break fetched,
                        () = end(memory.expires) => expire(&self.publish, &mut memory),
                    }
                }
            };
            let (outcome, next) = match fetched {
                Ok(credential) => self.take(credential, asked, &mut memory)?,
                Err(failure) => (Outcome::Failed, self.failed(&failure, &mut memory)),
            };
            if let Some(asked) = memory.asked.take() {
                // Who asked may have gone.
                let _ = asked.send(outcome);
            }
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    Some(asked) = self.requests.recv() => {
                        memory.asked = Some(asked);
                        break;
                    }
                    () = end(memory.expires) => expire(&self.publish, &mut memory),
                }
            }
        }
    }

    fn take(
        &self,
        credential: Credential,
        asked: Instant,
        memory: &mut Memory,
    ) -> Result<(Outcome, Instant), Unusable> {
        let Credential {
            fields,
            expires,
            incomplete,
        } = credential;
        if let Err(unusable) = (self.check)(&fields) {
            if !memory.started && !incomplete {
                return Err(unusable);
            }
            let failure = FetchError {
                refused: !incomplete,
                detail: unusable.to_string(),
                advice: "check what the source answers, and the fields that --env and --file name",
            };
            return Ok((Outcome::Failed, self.failed(&failure, memory)));
        }
        if memory.schedule.succeeded() {
            info!("the credential can be fetched again");
        }
        memory.started = true;
        memory.expires = expires;
        let fields = Arc::new(fields);
        let changed = self.publish.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|current| !current.same(&fields));
            if changed {
                *current = Some(fields);
            }
            changed
        });
        let outcome = if changed { Outcome::Changed } else { Outcome::Unchanged };
        let next = expires.map_or(asked + self.interval, |expires| due(asked, expires));
        Ok((outcome, next))
    }

    /// When to try again.
    fn failed(&self, failure: &FetchError, memory: &mut Memory) -> Instant {
        let (next, news) = memory.schedule.failed(failure, (self.jitter)());
        if news {
            let has = self.publish.borrow().is_some();
            if failure.refused {
                error!(
                    detail = failure.detail,
                    advice = failure.advice,
                    keeps_old = has,
                    "credential refused"
                );
            } else {
                warn!(
                    detail = failure.detail,
                    advice = failure.advice,
                    keeps_old = has,
                    "no credential at the moment, trying again"
                );
            }
        }
        next
    }
}

async fn end(expires: Option<Instant>) {
    match expires {
        Some(expires) => sleep_until(expires).await,
        None => std::future::pending().await,
    }
}

fn expire(publish: &watch::Sender<Option<Arc<Fields>>>, memory: &mut Memory) {
    memory.expires = None;
    publish.send_replace(None);
    warn!("the credential has ended before there was another");
}
