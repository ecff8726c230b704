//! What the author of a policy is told: the `Ready` condition, written only when it changes.

use super::kubernetes::{CallError, Pause, Trouble, call};
use super::policies::{not_opted_in, state};
use crate::metrics::PolicyState;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use vertex_injector_core::admission::{Policy, PolicyName, PolicySet};
use vertex_injector_core::api::{ClusterInjectionPolicy, InjectionPolicy, PolicyStatus};
use vertex_injector_core::names::FIELD_MANAGER;
use vertex_injector_core::operator::Operator;

/// Type of the only condition.
const READY: &str = "Ready";

/// What is said before the fields that this version does not know.
const NEWER: &str = "this version of vertex-injector does not know all that the policy says, and refuses the pods that it selects; \
                     upgrade vertex-injector, or leave this out:";

/// Most characters of its message; the API server allows eight times as many.
const MAX_MESSAGE: usize = 4096;

/// Most writes at the same time: ten thousand policies must neither take minutes nor crowd out others.
const AT_ONCE: usize = 16;

/// How long the same verdict is not written twice. While two versions of the webhook run, they may word a verdict
/// differently; without this, each would correct the other for ever.
const INSISTENCE: Duration = Duration::from_mins(10);

/// What we think of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: PolicyState,
    /// For its author: what to change, or what to know.
    pub(crate) message: Cow<'static, str>,
}

/// Verdicts that are not written yet, the latest of each policy.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    pending: BTreeMap<PolicyName, Task>,
    /// Policies whose status is being written: what is newer must not overtake it.
    busy: HashSet<PolicyName>,
    written: HashMap<PolicyName, (i64, Verdict, Instant)>,
    /// The last one tried: the next comes after it, so that one that always fails does not keep back the others.
    last: Option<PolicyName>,
}

#[derive(Debug, Clone)]
struct Task {
    generation: i64,
    verdict: Verdict,
    /// When the condition last changed between true and false, and what it was then.
    since: Option<(String, Time)>,
}

impl Verdict {
    /// The verdict on a policy, beside the namespaces of a set.
    pub(crate) fn of(policy: &Policy, set: &PolicySet, operator: &Operator) -> Self {
        let state = state(policy, set, operator);
        let errors = || {
            let errors: Vec<_> = policy.errors().0.iter().map(ToString::to_string).collect();
            errors.join("\n")
        };
        let message = match state {
            PolicyState::Ready if policy.name().namespace.is_none() && operator.namespace_selector.is_some() => {
                let first = "agent pods of namespaces that opted in are served by this policy".to_owned();
                let notes = policy.notes().iter().cloned();
                [first].into_iter().chain(notes).collect::<Vec<_>>().join("\n").into()
            }
            PolicyState::Ready if policy.notes().is_empty() => "agent pods are served by this policy".into(),
            PolicyState::Ready => policy.notes().join("\n").into(),
            PolicyState::Unreachable => policy.unreachable().unwrap_or_default().to_owned().into(),
            PolicyState::NotOptedIn => not_opted_in(policy, set, operator).unwrap_or_default().into(),
            PolicyState::Unusable => errors().into(),
            PolicyState::Unreadable => format!("{NEWER}\n{}", errors()).into(),
        };
        Self { state, message }
    }

    fn condition(&self, generation: i64, since: Option<(String, Time)>) -> Condition {
        let status = if self.state == PolicyState::Ready {
            "True"
        } else {
            "False"
        };
        Condition {
            type_: READY.to_owned(),
            status: status.to_owned(),
            reason: self.reason().to_owned(),
            message: self.shown(),
            observed_generation: Some(generation),
            last_transition_time: match since {
                Some((before, at)) if before == status => at,
                _ => Time(jiff::Timestamp::now()),
            },
        }
    }

    fn reason(&self) -> &'static str {
        match self.state {
            PolicyState::Ready => "Accepted",
            PolicyState::Unusable => "Invalid",
            PolicyState::Unreachable => "Unreachable",
            PolicyState::NotOptedIn => "NamespaceNotOptedIn",
            PolicyState::Unreadable => "Unreadable",
        }
    }

    fn shown(&self) -> String {
        match self.message.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => format!("{}…", self.message.get(..end).unwrap_or_default()),
            None => self.message.clone().into_owned(),
        }
    }

    /// Whether `status` says so already.
    fn is_in(&self, status: &PolicyStatus, generation: i64) -> bool {
        status.observed_generation == Some(generation)
            && ready(status).is_some_and(|shown| {
                let wanted = self.condition(generation, None);
                (&shown.status, &shown.reason, &shown.message, shown.observed_generation)
                    == (
                        &wanted.status,
                        &wanted.reason,
                        &wanted.message,
                        wanted.observed_generation,
                    )
            })
    }
}

impl Queue {
    /// Takes a verdict, unless the policy's status says so already.
    pub(crate) fn offer(&self, name: &PolicyName, generation: i64, verdict: Verdict, shown: Option<&PolicyStatus>) {
        let mut inner = self.lock();
        let insisted = inner
            .written
            .get(name)
            .is_some_and(|(written, what, at)| *written == generation && *what == verdict && at.elapsed() < INSISTENCE);
        if insisted || shown.is_some_and(|status| verdict.is_in(status, generation)) {
            inner.pending.remove(name);
            return;
        }
        let task = Task {
            generation,
            verdict,
            since: shown
                .and_then(ready)
                .map(|ready| (ready.status.clone(), ready.last_transition_time.clone())),
        };
        inner.pending.insert(name.clone(), task);
        self.wake.notify_one();
    }

    /// The policy is gone.
    pub(crate) fn forget(&self, name: &PolicyName) {
        let mut inner = self.lock();
        inner.pending.remove(name);
        inner.written.remove(name);
    }

    /// Writes verdicts until the task is dropped. What fails is tried again, unless there is a newer verdict by then.
    pub(crate) async fn write(self: Arc<Self>, client: Client) {
        let mut trouble = Trouble::with("cannot write the status of a policy");
        let mut pauses = Pause::default();
        let mut writes = FuturesUnordered::new();
        let mut resume = Instant::now();
        loop {
            while writes.len() < AT_ONCE
                && resume <= Instant::now()
                && let Some((name, task)) = self.next()
            {
                let client = client.clone();
                writes.push(async move { (write(&client, &name, &task).await, name, task) });
            }
            let (result, name, task) = tokio::select! {
                Some(written) = writes.next() => written,
                () = self.wake.notified(), if writes.len() < AT_ONCE => continue,
                () = sleep_until(resume), if resume > Instant::now() => continue,
            };
            match result {
                Ok(()) => {
                    trouble.over();
                    self.done(&name);
                }
                // Deleted in the meantime.
                Err(error) if error.is_not_found() => {
                    self.done(&name);
                    self.forget(&name);
                }
                // Another replica was faster; what it wrote, the watch will tell.
                Err(error) if error.is_conflict() => self.put_back(name, task),
                Err(error) => {
                    trouble.met(&error.to_string());
                    self.put_back(name, task);
                    resume = Instant::now() + pauses.next().unwrap_or_default();
                }
            }
        }
    }

    /// The next one to write, which is busy from now on.
    fn next(&self) -> Option<(PolicyName, Task)> {
        let mut inner = self.lock();
        let later = (inner.last.take()).map_or(Bound::Unbounded, Bound::Excluded);
        let free = |(name, _): (&PolicyName, &Task)| (!inner.busy.contains(name)).then(|| name.clone());
        let all = || inner.pending.iter();
        let mut following = inner.pending.range((later, Bound::Unbounded));
        let Some(name) = following.find_map(free).or_else(|| all().find_map(free)) else {
            inner.written.retain(|_, (_, _, at)| at.elapsed() < INSISTENCE);
            return None;
        };
        let task = inner.pending.remove(&name)?;
        inner.last = Some(name.clone());
        inner.busy.insert(name.clone());
        let written = (task.generation, task.verdict.clone(), Instant::now());
        inner.written.insert(name.clone(), written);
        Some((name, task))
    }

    fn done(&self, name: &PolicyName) {
        self.lock().busy.remove(name);
    }

    fn put_back(&self, name: PolicyName, task: Task) {
        let mut inner = self.lock();
        inner.busy.remove(&name);
        inner.written.remove(&name);
        inner.pending.entry(name).or_insert(task);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(client: &Client, name: &PolicyName, task: &Task) -> Result<(), CallError> {
    let (resource, api) = match &name.namespace {
        Some(namespace) => {
            let resource = ApiResource::erase::<InjectionPolicy>(&());
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
            (resource, api)
        }
        None => {
            let resource = ApiResource::erase::<ClusterInjectionPolicy>(&());
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            (resource, api)
        }
    };
    let status = PolicyStatus {
        observed_generation: Some(task.generation),
        conditions: vec![task.verdict.condition(task.generation, task.since.clone())],
    };
    let object = DynamicObject::new(&name.name, &resource).data(serde_json::json!({ "status": status }));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    call(api.patch_status(&name.name, &params, &Patch::Apply(object))).await?;
    Ok(())
}

fn ready(status: &PolicyStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == READY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn name(name: &str) -> PolicyName {
        PolicyName {
            namespace: Some("team".to_owned()),
            name: name.to_owned(),
        }
    }

    fn verdict(message: &str) -> Verdict {
        Verdict {
            state: PolicyState::Ready,
            message: message.to_owned().into(),
        }
    }

    fn written(verdict: &Verdict, generation: i64) -> PolicyStatus {
        PolicyStatus {
            observed_generation: Some(generation),
            conditions: vec![verdict.condition(generation, None)],
        }
    }

    #[test]
    fn what_the_status_says_already_is_not_written() {
        let queue = Queue::default();
        let fine = verdict("fine");
        queue.offer(&name("a"), 1, fine.clone(), Some(&written(&fine, 1)));
        assert!(queue.next().is_none());
        queue.offer(&name("a"), 2, fine.clone(), Some(&written(&fine, 1)));
        assert!(queue.next().is_some(), "another generation");
        queue.offer(&name("b"), 1, fine, Some(&written(&verdict("otherwise"), 1)));
        assert!(queue.next().is_some(), "another message");
    }

    #[tokio::test(start_paused = true)]
    async fn another_version_of_the_webhook_is_not_corrected_for_ever() {
        let queue = Queue::default();
        let (ours, theirs) = (verdict("ours"), verdict("theirs"));
        queue.offer(&name("a"), 1, ours.clone(), None);
        assert!(queue.next().is_some());
        queue.done(&name("a"));
        queue.offer(&name("a"), 1, ours.clone(), Some(&written(&theirs, 1)));
        assert!(queue.next().is_none(), "corrected at once");
        sleep(INSISTENCE).await;
        queue.offer(&name("a"), 1, ours.clone(), Some(&written(&theirs, 1)));
        assert!(queue.next().is_some(), "never corrected");
    }

    #[test]
    fn one_that_always_fails_does_not_keep_back_the_others() {
        let queue = Queue::default();
        for policy in ["a", "b"] {
            queue.offer(&name(policy), 1, verdict("fine"), None);
        }
        let (first, task) = queue.next().unwrap();
        assert_eq!(first, name("a"));
        queue.put_back(first, task);
        assert_eq!(queue.next().unwrap().0, name("b"));
        assert_eq!(queue.next().unwrap().0, name("a"));
    }

    #[test]
    fn a_newer_verdict_waits_for_the_write_of_the_older_one() {
        let queue = Queue::default();
        queue.offer(&name("a"), 1, verdict("old"), None);
        assert!(queue.next().is_some());
        queue.offer(&name("a"), 2, verdict("new"), None);
        assert!(queue.next().is_none(), "it may be overtaken");
        queue.done(&name("a"));
        assert_eq!(queue.next().unwrap().1.generation, 2);
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let long_ago = Time(jiff::Timestamp::UNIX_EPOCH);
        let same = verdict("fine").condition(2, Some(("True".to_owned(), long_ago.clone())));
        assert_eq!(same.last_transition_time, long_ago);
        let changed = verdict("fine").condition(2, Some(("False".to_owned(), long_ago.clone())));
        assert_ne!(changed.last_transition_time, long_ago);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = verdict(&"ü".repeat(MAX_MESSAGE + 1)).condition(1, None);
        assert_eq!(long.message.chars().count(), MAX_MESSAGE + 1);
        assert!(long.message.ends_with("ü…"));
    }
}
