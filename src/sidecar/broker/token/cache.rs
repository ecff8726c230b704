//! One refresh in flight, and the old token served while it lasts.
//!
//! A single task fetches and publishes; requests only look. So there are never two fetches at once, however many clients
//! ask, and a client that goes away cancels nothing.

use super::access::{AccessToken, TokenError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};
use vertex_injector_net::refresh::{BETWEEN, Schedule, due};

/// No token is handed out with less than this remaining.
const USELESS_BELOW: Duration = Duration::from_secs(10);

/// How long a request waits for the very first token.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known at a moment.
#[derive(Debug, Clone, Default)]
struct State {
    token: Option<AccessToken>,
    /// Why the last attempt failed, and when the next one is.
    failure: Option<(TokenError, Instant)>,
}

/// The answer to a request for a token.
#[derive(Debug, Clone)]
pub enum Supply {
    /// A token that lives.
    Token(AccessToken),
    /// Refused for good.
    Refused(TokenError),
    /// None at the moment; try again after so many seconds.
    Later(u64),
}

/// Hands out tokens.
#[derive(Debug, Clone)]
pub struct Supplier {
    state: watch::Receiver<State>,
    distrust: Arc<Notify>,
}

impl Supplier {
    /// Starts the task that keeps a token fresh; it ends with the last supplier. `fetch` makes one attempt; `jitter` gives numbers
    /// from 0 to 1.
    pub fn start<F, T>(fetch: F, jitter: impl Fn() -> f64 + Send + 'static) -> Self
    where
        F: Fn() -> T + Send + 'static,
        T: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    {
        let (publish, state) = watch::channel(State::default());
        let distrust = Arc::new(Notify::new());
        tokio::spawn(keep(fetch, jitter, publish, Arc::clone(&distrust)));
        Self { state, distrust }
    }

    /// The current token; waits a little for the first one.
    pub async fn get(&self) -> Supply {
        let mut state = self.state.clone();
        let known = timeout(
            PATIENCE,
            state.wait_for(|state| state.token.is_some() || state.failure.is_some()),
        )
        .await;
        match known {
            Ok(Ok(state)) => state.supply(),
            _ => Supply::Later(5),
        }
    }

    /// Google rejected this token, though it should still live: if it is the current one, another is fetched soon.
    pub fn distrust(&self, token: &AccessToken) {
        let current = self.state.borrow().token.as_ref().map(|token| token.fetched);
        if current == Some(token.fetched) {
            self.distrust.notify_one();
        }
    }
}

impl State {
    fn supply(&self) -> Supply {
        if let Some(token) = self.token.as_ref().filter(|token| token.remaining() > USELESS_BELOW) {
            return Supply::Token(token.clone());
        }
        match &self.failure {
            Some((error, _)) if error.refused => Supply::Refused(error.clone()),
            Some((_, next)) => Supply::Later(next.saturating_duration_since(Instant::now()).as_secs().max(1)),
            None => Supply::Later(1),
        }
    }
}

async fn keep<F, T>(fetch: F, jitter: impl Fn() -> f64, publish: watch::Sender<State>, distrust: Arc<Notify>)
where
    F: Fn() -> T,
    T: Future<Output = Result<AccessToken, TokenError>>,
{
    let mut schedule = Schedule::default();
    loop {
        let mut earliest = None;
        let next = match fetch().await {
            Ok(token) => {
                earliest = Some(token.fetched + BETWEEN);
                if schedule.succeeded() {
                    info!("tokens are available again");
                }
                let next = due(token.fetched, token.expires);
                publish.send_replace(State {
                    token: Some(token),
                    failure: None,
                });
                next
            }
            Err(failure) => {
                let (next, news) = schedule.failed(&failure, jitter());
                if news {
                    if failure.refused {
                        error!(hop = %failure.hop, detail = failure.detail, advice = failure.hop.advice(), "token refused");
                    } else {
                        warn!(hop = %failure.hop, detail = failure.detail, "no token at the moment, trying again");
                    }
                }
                publish.send_modify(|state| state.failure = Some((failure, next)));
                next
            }
        };
        // After a failure the pause stands, whatever is said of the old token.
        let distrusted = async {
            match earliest {
                Some(earliest) => {
                    distrust.notified().await;
                    warn!("Google rejected an access token before its end, fetching another");
                    sleep_until(earliest).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = distrusted => {}
            () = publish.closed() => return,
        }
    }
}
