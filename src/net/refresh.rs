//! When a credential is fetched again: before its end, and after failures in growing pauses.
//!
//! Whoever fetches is one task, so that there are never two fetches at once, and serves the old credential while it lasts.

use std::time::Duration;
use tokio::time::Instant;

/// A credential is replaced when less than this remains, or 30 % of its life, whichever comes first: clients treat a token
/// as stale with up to 5 minutes left.
const REFRESH_BEFORE: Duration = Duration::from_mins(10);

/// Shortest time between two fetches that nobody asked for.
const SHORTEST: Duration = Duration::from_secs(5);

/// First and longest pause between attempts while the source is down.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Pause after a refusal: somebody has to change something, but may do so without restarting us.
const AFTER_REFUSAL: Duration = Duration::from_mins(1);

/// Shortest time between two fetches that are asked for before the credential's end: whoever asks is the agent or moved by
/// it, and the source is shared.
pub const BETWEEN: Duration = Duration::from_secs(30);

/// A failed attempt to fetch.
pub trait Failure {
    /// Whether somebody has to change something, so that trying again soon is of no use.
    fn is_refusal(&self) -> bool;

    /// Whether this is the same trouble as that: one line in the log stands for each kind, not for each attempt.
    fn is_like(&self, other: &Self) -> bool;
}

/// The schedule of one credential.
#[derive(Debug)]
pub struct Schedule<F> {
    pause: Duration,
    /// The trouble that was told last.
    told: Option<F>,
}

impl<F> Default for Schedule<F> {
    fn default() -> Self {
        Self {
            pause: BACKOFF.0,
            told: None,
        }
    }
}

impl<F: Failure + Clone> Schedule<F> {
    /// A fetch succeeded. Whether it ends trouble that was told.
    pub fn succeeded(&mut self) -> bool {
        self.pause = BACKOFF.0;
        self.told.take().is_some()
    }

    /// A fetch failed: when to try again, and whether the failure is to be told. The pause is between half and all of what
    /// it has grown to, by a `jitter` from 0 to 1, so that many of us do not come back at once.
    pub fn failed(&mut self, failure: &F, jitter: f64) -> (Instant, bool) {
        let wait = if failure.is_refusal() {
            AFTER_REFUSAL
        } else {
            self.pause
        };
        self.pause = (self.pause * 2).min(BACKOFF.1);
        let news = self.told.as_ref().is_none_or(|told| !told.is_like(failure));
        if news {
            self.told = Some(failure.clone());
        }
        let next = Instant::now() + wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        (next, news)
    }
}

/// When a credential that was asked for at `asked` is replaced: when less than 600 s or 30 % of its life remain, whichever
/// comes first; but not within its first quarter, so that those of few minutes are not fetched in a loop.
pub fn due(asked: Instant, expires: Instant) -> Instant {
    let life = expires.saturating_duration_since(asked);
    let early = life.saturating_sub(REFRESH_BEFORE).min(life.mul_f64(0.7));
    asked + early.max(life / 4).max(SHORTEST)
}
