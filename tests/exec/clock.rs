//! Time: when a credential is fetched again, and what happens while its source is away. Nothing here waits: time is paused, and
//! jumps.

use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use vertex_injector_sidecar::exec::fields::Fields;
use vertex_injector_sidecar::exec::mapping::{Mapping, Unusable};
use vertex_injector_sidecar::exec::refresh::{Outcome, Refresher, Request};
use vertex_injector_sidecar::exec::source::{Credential, FetchError};

const MINUTES_5: Duration = Duration::from_mins(5);

/// One answer of the source.
#[derive(Clone)]
enum Step {
    /// A token, for so many seconds if they are given.
    Token(&'static str, Option<u64>),
    /// A credential without the field that is needed, and whether it is incomplete.
    Without(bool),
    Down,
    Refused,
}

/// A source that answers by script; the last step is repeated.
#[derive(Clone, Default)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    fetches: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: Arc::new(Mutex::new(steps.into_iter().collect())),
            ..Self::default()
        }
    }

    fn becomes(&self, step: Step) {
        *self.steps.lock().unwrap() = [step].into();
    }

    fn next(&self) -> Result<Credential, FetchError> {
        self.fetches.lock().unwrap().push(Instant::now());
        let mut steps = self.steps.lock().unwrap();
        let step = if steps.len() > 1 {
            steps.pop_front()
        } else {
            steps.front().cloned()
        };
        let credential = |body: serde_json::Value, life: Option<u64>, incomplete| Credential {
            fields: Fields::from_json(body.to_string().as_bytes()).unwrap(),
            expires: life.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            incomplete,
        };
        let failure = |refused| FetchError {
            refused,
            detail: "away".to_owned(),
            advice: "wait",
        };
        match step.expect("a step") {
            Step::Token(token, life) => Ok(credential(json!({"token": token}), life, false)),
            Step::Without(incomplete) => Ok(credential(json!({"user": "u"}), None, incomplete)),
            Step::Down => Err(failure(false)),
            Step::Refused => Err(failure(true)),
        }
    }

    fn fetches(&self) -> usize {
        self.fetches.lock().unwrap().len()
    }
}

/// A refresher that runs.
struct Running {
    script: Script,
    credential: watch::Receiver<Option<Arc<Fields>>>,
    requests: mpsc::Sender<Request>,
    task: tokio::task::JoinHandle<Result<(), Unusable>>,
    start: Instant,
}

impl Running {
    fn start(script: Script) -> Self {
        let (publish, credential) = watch::channel(None);
        let (requests, asked) = mpsc::channel(1);
        let needs = Mapping {
            variables: vec!["TOKEN=token".parse().unwrap()],
            files: Vec::new(),
        };
        let source = script.clone();
        let refresher = Refresher {
            fetch: async move || source.next(),
            check: move |fields: &Fields| needs.of(fields).map(drop),
            interval: MINUTES_5,
            jitter: || 1.0,
            publish,
            requests: asked,
        };
        let local = tokio::task::LocalSet::new();
        let task = local.spawn_local(refresher.run());
        tokio::task::spawn_local(local);
        Self {
            script,
            credential,
            requests,
            task,
            start: Instant::now(),
        }
    }

    fn token(&self) -> Option<String> {
        let fields = self.credential.borrow().clone()?;
        fields.get("token").map(|token| token.expose().to_owned())
    }

    /// Until just after so many seconds since the start.
    async fn at(&self, seconds: u64) {
        sleep_until(self.start + Duration::from_secs(seconds) + Duration::from_millis(20)).await;
    }

    async fn ask(&self) -> Outcome {
        let (ask, outcome) = oneshot::channel();
        self.requests.send(ask).await.unwrap();
        outcome.await.unwrap()
    }
}

/// Runs a test where tasks need not be sendable.
async fn locally(test: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_fetched_again_before_it_ends_or_every_five_minutes() {
    locally(async {
        // Life → age at which it is replaced, in seconds. Very short ones keep a quarter.
        for (life, age) in [
            (None, 300),
            (Some(43_200), 30_240),
            (Some(3600), 2520),
            (Some(1800), 1200),
            (Some(900), 300),
            (Some(300), 75),
            (Some(8), 5),
        ] {
            let running = Running::start(Script::of([Step::Token("t", life)]));
            running.at(age - 1).await;
            assert_eq!(running.script.fetches(), 1, "a life of {life:?} s, before {age} s");
            running.at(age).await;
            assert_eq!(running.script.fetches(), 2, "a life of {life:?} s, after {age} s");
            running.task.abort();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_is_asked_ever_more_seldom_and_found_again() {
    locally(async {
        let running = Running::start(Script::of([Step::Down]));
        running.at(600).await;
        // 1, 2, 4, 8, 16, then every 30 s.
        assert!(
            (20..=26).contains(&running.script.fetches()),
            "{}",
            running.script.fetches()
        );
        assert_eq!(running.token(), None);
        assert!(!running.task.is_finished(), "it stays alive");
        running.script.becomes(Step::Token("t", None));
        running.at(631).await;
        assert_eq!(running.token().as_deref(), Some("t"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_asked_about_once_a_minute() {
    locally(async {
        let running = Running::start(Script::of([Step::Refused]));
        running.at(600).await;
        assert_eq!(running.script.fetches(), 11);
        running.script.becomes(Step::Token("t", None));
        running.at(660).await;
        assert_eq!(running.token().as_deref(), Some("t"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_old_credential_is_kept_while_it_lasts_and_not_longer() {
    locally(async {
        let running = Running::start(Script::of([Step::Token("old", Some(3600)), Step::Down]));
        running.at(3599).await;
        assert!(running.script.fetches() > 20, "it was tried");
        assert_eq!(running.token().as_deref(), Some("old"));
        running.at(3600).await;
        assert_eq!(running.token(), None);
        running.script.becomes(Step::Token("new", Some(3600)));
        running.at(3631).await;
        assert_eq!(running.token().as_deref(), Some("new"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_known_end_the_old_credential_stays() {
    locally(async {
        let running = Running::start(Script::of([Step::Token("old", None), Step::Refused]));
        running.at(24 * 3600).await;
        assert_eq!(running.token().as_deref(), Some("old"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn consumers_are_told_of_changes_only() {
    locally(async {
        let script = Script::of([Step::Token("a", None), Step::Token("a", None), Step::Token("b", None)]);
        let mut running = Running::start(script);
        running.at(1).await;
        assert!(running.credential.has_changed().unwrap());
        running.credential.mark_unchanged();
        running.at(301).await;
        assert_eq!(running.script.fetches(), 2);
        assert!(!running.credential.has_changed().unwrap(), "the same again");
        running.at(601).await;
        assert!(running.credential.has_changed().unwrap());
        assert_eq!(running.token().as_deref(), Some("b"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_refresh_is_told_what_came_of_it() {
    locally(async {
        let running = Running::start(Script::of([Step::Token("a", None)]));
        running.at(1).await;
        assert_eq!(running.ask().await, Outcome::Unchanged);
        running.script.becomes(Step::Token("b", None));
        assert_eq!(running.ask().await, Outcome::Changed);
        running.script.becomes(Step::Down);
        assert_eq!(running.ask().await, Outcome::Failed);
        assert_eq!(running.token().as_deref(), Some("b"));
        assert_eq!(running.script.fetches(), 4);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_the_pause_after_a_failure() {
    locally(async {
        let running = Running::start(Script::of([Step::Refused]));
        running.at(1).await;
        running.script.becomes(Step::Token("t", None));
        assert_eq!(running.ask().await, Outcome::Changed);
        assert_eq!(running.start.elapsed().as_secs(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_first_credential_without_a_needed_field_is_the_end() {
    locally(async {
        let running = Running::start(Script::of([Step::Without(false)]));
        let error = running.task.await.unwrap().expect_err("the end");
        assert_eq!(
            error.to_string(),
            "--env TOKEN=token: the credential has no field token; its fields are: user"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_field_that_may_still_come_is_waited_for() {
    locally(async {
        let running = Running::start(Script::of([Step::Without(true), Step::Token("t", None)]));
        running.at(0).await;
        assert_eq!(running.token(), None);
        running.at(1).await;
        assert_eq!(running.token().as_deref(), Some("t"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_later_credential_without_a_needed_field_does_not_replace_the_old_one() {
    locally(async {
        let running = Running::start(Script::of([Step::Token("old", None), Step::Without(false)]));
        running.at(3600).await;
        assert_eq!(running.token().as_deref(), Some("old"));
        assert!(!running.task.is_finished());
        sleep(Duration::from_secs(1)).await;
    })
    .await;
}
