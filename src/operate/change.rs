//! `diff`: what other policies would do to pods.

use crate::cluster::Cluster;
use crate::difference::difference;
use crate::reading;
use crate::standing::{self, after, decided};
use crate::world::World;
use serde::Serialize;
use serde_json::Value;
use std::cell::RefCell;
use vertex_injector_core::admission::{Decision, Outcome};

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "effect")]
pub enum Effect {
    /// It would be injected, and is not now.
    Injected {
        /// The policy.
        policy: String,
    },
    /// It would be injected otherwise.
    Changed {
        /// The policy.
        policy: String,
    },
    /// It would be left alone, and is injected now.
    LeftAlone {
        /// The code of the reason.
        reason: String,
        /// Why.
        why: String,
    },
    /// It would be refused, and is not now.
    Denied {
        /// The code of the reason.
        reason: String,
        /// Why.
        why: String,
    },
    /// It would be admitted, and is refused now.
    Admitted,
}

/// A pod, or a template of pods, of which something else would become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// What the pod stands in.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub effect: Effect,
    /// A line for each difference between what it gets now and what it would get.
    pub lines: Vec<String>,
}

/// What was looked at in a cluster.
#[derive(Debug, Default)]
pub struct Looked {
    /// How many pods.
    pub pods: usize,
    /// Those of which something else would become.
    pub changed: Vec<Changed>,
    /// The first one that a policy would select and that the webhook is never asked about.
    pub missed: Option<Missed>,
    /// Namespaces at which nobody could look, and why.
    pub unseen: Vec<(String, String)>,
    /// Whether there are more pods than were looked at.
    pub more: bool,
}

/// A pod that a policy selects and that no selector of the operator's sends to the webhook.
#[derive(Debug)]
pub struct Missed {
    /// `namespace/name`.
    pub pod: String,
    /// The policy.
    pub policy: String,
    /// Why it is not sent.
    pub why: String,
}

impl Looked {
    /// Looks at one pod more: what it stands in, where, and as it is made.
    pub fn add(&mut self, kind: &str, namespace: &str, name: &str, pod: &Value, now: &World, then: &World) {
        self.pods += 1;
        if let Some((effect, lines)) = effect(pod, namespace, now, then) {
            self.changed.push(Changed {
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                effect,
                lines,
            });
        } else if self.missed.is_none() {
            let pod_of = |(policy, why)| Missed {
                pod: format!("{namespace}/{name}"),
                policy,
                why,
            };
            self.missed = standing::missed(pod, namespace, then).map(pod_of);
        }
    }
}

/// What becomes of a pod under other policies, if something else does.
pub fn effect(pod: &Value, namespace: &str, now: &World, then: &World) -> Option<(Effect, Vec<String>)> {
    let decide = |world: &World| decided(pod, namespace, world, world.namespaces.get(namespace));
    let (old, new) = (decide(now), decide(then));
    let lines = difference(&after(pod, &old), &after(pod, &new));
    let Decision {
        reason,
        message,
        policy,
        ..
    } = &new;
    let policy = || policy.clone().unwrap_or_default();
    let (reason, why) = (reason.to_string(), message.clone());
    let effect = match (old.outcome, new.outcome) {
        (Outcome::Denied, Outcome::Denied) => return None,
        (_, Outcome::Denied) => return Some((Effect::Denied { reason, why }, Vec::new())),
        (Outcome::Denied, Outcome::Injected | Outcome::Skipped) => Effect::Admitted,
        (Outcome::Skipped, Outcome::Injected) => Effect::Injected { policy: policy() },
        (Outcome::Injected, Outcome::Skipped) => Effect::LeftAlone { reason, why },
        (Outcome::Injected, Outcome::Injected) | (Outcome::Skipped, Outcome::Skipped) if lines.is_empty() => {
            return None;
        }
        (Outcome::Injected, Outcome::Injected) | (Outcome::Skipped, Outcome::Skipped) => {
            Effect::Changed { policy: policy() }
        }
    };
    Some((effect, lines))
}

/// What becomes of the running pods of all namespaces that opted in.
pub async fn look(cluster: &Cluster, now: &World, then: &World) -> Looked {
    let found = RefCell::new(Looked::default());
    let (unseen, more) = reading::pods(cluster, &now.opted_in(), |namespace, pod| {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str);
        let mut found = found.borrow_mut();
        found.add("Pod", namespace, name.unwrap_or_default(), pod, now, then);
    })
    .await;
    let mut found = found.into_inner();
    found
        .changed
        .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    (found.unseen, found.more) = (unseen, more);
    found
}
