//! All policies at one moment, immutable.

use super::pod::Pod;
use super::policy::{Kind, Policy};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Labels of namespaces, by namespace.
pub type Namespaces = HashMap<String, BTreeMap<String, String>>;

/// All policies and the labels of all namespaces at one moment.
#[derive(Debug, Default, Clone)]
pub struct PolicySet {
    /// In the order in which they are considered.
    cluster: Vec<Arc<Policy>>,
    /// By namespace, in the same order.
    namespaced: HashMap<String, Vec<Arc<Policy>>>,
    namespaces: Arc<Namespaces>,
}

impl PolicySet {
    /// Sorts policies into the order in which they are considered: cluster policies that are not overridable, then
    /// higher priority, then namespaced before cluster, then name.
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>, namespaces: Arc<Namespaces>) -> Self {
        let mut set = Self {
            namespaces,
            ..Self::default()
        };
        for policy in policies {
            match &policy.name().namespace {
                Some(namespace) => set.namespaced.entry(namespace.clone()).or_default().push(policy),
                None => set.cluster.push(policy),
            }
        }
        set.cluster.sort_by(|a, b| rank(a).cmp(&rank(b)));
        for policies in set.namespaced.values_mut() {
            policies.sort_by(|a, b| rank(a).cmp(&rank(b)));
        }
        set
    }

    /// All policies, usable or not.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.cluster.iter().chain(self.namespaced.values().flatten())
    }

    /// The namespaces, among the known ones, that a policy serves.
    pub fn namespaces_served<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = &'a str> {
        self.namespaces
            .iter()
            .filter(|(namespace, labels)| policy.serves(namespace, Some(labels)))
            .map(|(namespace, _)| namespace.as_str())
    }

    /// Whether the labels of this namespace are known.
    pub fn knows_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// The policies that serve a namespace, in the order in which they are considered.
    pub(super) fn serving<'s>(&'s self, namespace: &'s str) -> impl Iterator<Item = &'s Policy> {
        let labels = self.namespaces.get(namespace);
        let own = self.namespaced.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let (mut own, mut cluster) = (own.iter().peekable(), self.cluster.iter().peekable());
        std::iter::from_fn(move || match (own.peek(), cluster.peek()) {
            (Some(a), Some(b)) if rank(a) <= rank(b) => own.next(),
            (Some(_), None) => own.next(),
            _ => cluster.next(),
        })
        .map(AsRef::as_ref)
        .filter(move |policy| policy.serves(namespace, labels))
    }

    /// Whether an unknown namespace could change the answer.
    pub(super) fn misses_namespace(&self, namespace: &str) -> bool {
        !self.knows_namespace(namespace) && self.cluster.iter().any(|policy| policy.needs_namespace_labels())
    }

    /// The policies that select a pod, in order, each with the kind of pods that it belongs to.
    pub(super) fn selecting<'s>(
        &'s self,
        pod: &'s Pod<'s>,
        namespace: &'s str,
    ) -> impl Iterator<Item = (&'s Policy, &'s Kind)> {
        self.serving(namespace)
            .filter_map(|policy| Some((policy, policy.kind_of(|key| pod.label(key), pod.service_account())?)))
    }
}

fn rank(policy: &Policy) -> (bool, Reverse<i32>, bool, &str) {
    (
        policy.overridable,
        Reverse(policy.spec.priority),
        policy.name().namespace.is_none(),
        &policy.name().name,
    )
}
