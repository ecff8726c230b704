//! Events on what made a pod: who waits for the pods of a Job looks there, and never saw the answer that the pod's creation got.
//!
//! Whoever reaches the webhook can make it tell of reviews that no API server sent. So there are few a second, in our words only,
//! and nothing of the pod but names.

use super::kubernetes::{Trouble, call, is_namespace, is_subdomain};
use crate::metrics::{Event as Outcome, Metrics};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval};
use vertex_injector_core::admission::{self, Decision, Owner, Reason, Review};
use vertex_injector_core::names::GROUP;

/// Most events that wait to be written.
const WAITING: usize = 64;

/// Pause between two writes: a Deployment whose pods are refused must not crowd out other writers.
const PACE: Duration = Duration::from_millis(200);

/// How long the same is not told of the same owner again: a ReplicaSet tries many times a minute.
const SILENCE: Duration = Duration::from_mins(1);

/// Most owners that are remembered for [`SILENCE`].
const MAX_REMEMBERED: usize = 4096;

/// Longest name of an owner: the event's name has 20 characters more, and 253 are the most.
const MAX_NAME: usize = 233;

/// Longest of what else names an owner; Kubernetes' own are shorter.
const MAX_WORD: usize = 128;

/// Where reviews are told.
pub(crate) struct Events {
    sender: Sender<Told>,
    recent: Mutex<HashMap<(Owner, Reason), Instant>>,
    metrics: Arc<Metrics>,
}

/// What is written of them.
pub(crate) struct Writer {
    receiver: Receiver<Told>,
    metrics: Arc<Metrics>,
}

/// One event.
struct Told {
    about: ObjectReference,
    event: Event,
}

/// Both ends.
pub(crate) fn channel(metrics: &Arc<Metrics>) -> (Events, Writer) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let events = Events {
        sender,
        recent: Mutex::default(),
        metrics: Arc::clone(metrics),
    };
    let metrics = Arc::clone(metrics);
    (events, Writer { receiver, metrics })
}

impl Events {
    /// Tells the pod's owner, if it has one and the decision [concerns it](Decision::concerns_owner). Never waits.
    pub(crate) fn tell(&self, review: &Review) {
        let Some(owner) = review.owner.as_ref().filter(|_| !review.dry_run) else {
            return;
        };
        if !is_namespace(&review.namespace) || !is_plausible(owner) || !self.is_news(owner, review.decision.reason) {
            return;
        }
        let told = Told {
            about: ObjectReference {
                api_version: Some(owner.api_version.clone()),
                kind: Some(owner.kind.clone()),
                name: Some(owner.name.clone()),
                namespace: Some(review.namespace.clone()),
                uid: Some(owner.uid.clone()),
                ..ObjectReference::default()
            },
            event: event(&review.decision),
        };
        if self.sender.try_send(told).is_err() {
            self.metrics.told(Outcome::Dropped);
        }
    }

    fn is_news(&self, owner: &Owner, reason: Reason) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.clone(), reason);
        if recent.get(&key).is_some_and(|at| at.elapsed() < SILENCE) {
            return false;
        }
        if recent.len() >= MAX_REMEMBERED {
            recent.retain(|_, at| at.elapsed() < SILENCE);
        }
        let has_room = recent.len() < MAX_REMEMBERED;
        if has_room {
            recent.insert(key, Instant::now());
        } else {
            self.metrics.told(Outcome::Dropped);
        }
        has_room
    }
}

impl Writer {
    /// Writes what is told until the task is dropped. What fails is counted, and not tried again: it will be told again.
    pub(crate) async fn write(mut self, client: Client) {
        let recorder = Recorder::new(client, Reporter::from(GROUP));
        let mut trouble = Trouble::with("cannot write an event");
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(Told { about, event }) = self.receiver.recv().await {
            pace.tick().await;
            match call(recorder.publish(&event, &about)).await {
                Ok(()) => {
                    trouble.over();
                    self.metrics.told(Outcome::Written);
                }
                Err(error) => {
                    self.metrics.told(Outcome::Failed);
                    // Its namespace may be gone, which is nobody's trouble.
                    if !error.is_not_found() {
                        trouble.met(&error.to_string());
                    }
                }
            }
        }
    }
}

fn event(decision: &Decision) -> Event {
    let (type_, happened) = match decision.outcome {
        admission::Outcome::Denied => (EventType::Warning, "A pod was refused"),
        admission::Outcome::Skipped => (EventType::Normal, "A pod was left as it is"),
        admission::Outcome::Injected => (EventType::Normal, "A pod was injected"),
    };
    let policy = (decision.policy.as_deref()).map_or_else(String::new, |policy| format!(" by policy {policy}"));
    let words = decision.reason.words();
    Event {
        type_,
        reason: decision.reason.to_string(),
        note: Some(format!(
            "{happened}{policy}: {words} To see field and remedy, give the pod's manifest to `kubectl vertex-injector explain`."
        )),
        action: "Inject".to_owned(),
        secondary: None,
    }
}

/// Whether an API server could have sent it; the name becomes part of a URL.
fn is_plausible(owner: &Owner) -> bool {
    let words = [&owner.api_version, &owner.kind, &owner.uid];
    is_subdomain(&owner.name)
        && owner.name.len() <= MAX_NAME
        && words.iter().all(|word| (1..=MAX_WORD).contains(&word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::EventLabels;
    use tokio::time::advance;

    fn review(owner: &str) -> Review {
        let mut decision = Decision::denied(Reason::NotIsolated, "the message with a value of the pod");
        decision.policy = Some("team/agents@3".to_owned());
        Review {
            uid: String::new(),
            namespace: "team".to_owned(),
            pod: "agent-*".to_owned(),
            dry_run: false,
            owner: Some(Owner {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: owner.to_owned(),
                uid: "1234".to_owned(),
            }),
            decision,
            stale: false,
            response: Vec::new(),
        }
    }

    fn waiting(writer: &mut Writer) -> Vec<Told> {
        std::iter::from_fn(|| writer.receiver.try_recv().ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_a_minute_and_in_our_words() {
        let (events, mut writer) = channel(&Arc::default());
        for _ in 0..100 {
            events.tell(&review("job"));
        }
        let told = waiting(&mut writer);
        assert_eq!(told.len(), 1);
        let note = told[0].event.note.as_deref().unwrap();
        assert!(note.starts_with("A pod was refused by policy team/agents@3: The agent could get around the broker"));
        assert!(!note.contains("value of the pod"), "{note}");
        assert!(note.len() < 1024, "{note}");
        advance(SILENCE).await;
        events.tell(&review("job"));
        assert_eq!(waiting(&mut writer).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dry_run_and_a_pod_without_an_owner_are_not_told() {
        let (events, mut writer) = channel(&Arc::default());
        let dry_run = true;
        events.tell(&Review {
            dry_run,
            ..review("job")
        });
        events.tell(&Review {
            owner: None,
            ..review("job")
        });
        assert!(waiting(&mut writer).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_api_server_sends_does_not_reach_a_url() {
        let (events, mut writer) = channel(&Arc::default());
        for name in ["", "..", "a/../b", "a?b", "A", &"a".repeat(MAX_NAME + 1)] {
            events.tell(&review(name));
        }
        let namespace = "a/b".to_owned();
        events.tell(&Review {
            namespace,
            ..review("job")
        });
        assert!(waiting(&mut writer).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_owners_there_are_little_is_held_and_the_rest_is_counted() {
        let metrics = Arc::new(Metrics::new());
        let (events, mut writer) = channel(&metrics);
        let all = MAX_REMEMBERED + 1000;
        for i in 0..all {
            events.tell(&review(&format!("job-{i}")));
        }
        let kept = waiting(&mut writer).len();
        assert_eq!(kept, WAITING);
        assert_eq!(events.recent.lock().unwrap().len(), MAX_REMEMBERED);
        let labels = EventLabels {
            result: Outcome::Dropped,
        };
        assert_eq!(metrics.events.get_or_create(&labels).get(), (all - kept) as u64);
    }
}
