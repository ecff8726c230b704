//! All policies at one moment. A copy is a snapshot: it costs little, and later changes do not reach it.

use super::by_name::ByName;
use super::pod::Pod;
use super::policy::{Policy, PolicyName, Selecting};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Labels of one namespace.
pub type Labels = BTreeMap<String, String>;

/// Labels of namespaces, by namespace.
pub type Namespaces = HashMap<String, Labels>;

/// All policies and the labels of all namespaces at one moment.
#[derive(Debug, Default, Clone)]
pub struct PolicySet {
    /// In the order in which they are considered.
    cluster: Arc<Vec<Arc<Policy>>>,
    /// By namespace, in the same order; none without a policy.
    namespaced: ByName<Vec<Arc<Policy>>>,
    namespaces: ByName<Arc<Labels>>,
}

impl PolicySet {
    /// These policies and namespaces.
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>, namespaces: &Namespaces) -> Self {
        let mut set = Self::default();
        for policy in policies {
            set.put(policy);
        }
        for (namespace, labels) in namespaces {
            set.put_namespace(namespace, Arc::new(labels.clone()));
        }
        set
    }

    /// Adds a policy in place of the one of its name. Whether that changes anything.
    pub fn put(&mut self, policy: Arc<Policy>) -> bool {
        let name = policy.name();
        match self.get(name) {
            Some(known) if known.is_same(&policy) => return false,
            Some(_) => self.take(name),
            None => {}
        }
        let policies = match &name.namespace {
            None => Some(Arc::make_mut(&mut self.cluster)),
            Some(namespace) => {
                if self.namespaced.get(namespace).is_none() {
                    self.namespaced.insert(namespace, Vec::with_capacity(1));
                }
                self.namespaced.get_mut(namespace)
            }
        };
        if let Some(policies) = policies {
            let at = policies.partition_point(|other| rank(other) < rank(&policy));
            policies.insert(at, policy);
        }
        true
    }

    /// Removes a policy. Whether it was there.
    pub fn remove(&mut self, name: &PolicyName) -> bool {
        let known = self.get(name).is_some();
        if known {
            self.take(name);
            if let Some(namespace) = &name.namespace
                && self.namespaced.get(namespace).is_some_and(Vec::is_empty)
            {
                self.namespaced.remove(namespace);
            }
        }
        known
    }

    /// Sets the labels of a namespace. Whether that changes anything.
    pub fn put_namespace(&mut self, namespace: &str, labels: Arc<Labels>) -> bool {
        let changed = self.namespaces.get(namespace) != Some(&labels);
        if changed {
            self.namespaces.insert(namespace, labels);
        }
        changed
    }

    /// Removes a namespace. Whether it was there.
    pub fn remove_namespace(&mut self, namespace: &str) -> bool {
        let known = self.namespaces.get(namespace).is_some();
        if known {
            self.namespaces.remove(namespace);
        }
        known
    }

    /// The policy of a name.
    pub fn get(&self, name: &PolicyName) -> Option<&Arc<Policy>> {
        let policies = match &name.namespace {
            None => &*self.cluster,
            Some(namespace) => self.namespaced.get(namespace)?,
        };
        policies.iter().find(|policy| policy.name() == name)
    }

    /// All policies, usable or not.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let namespaced = self.namespaced.iter().flat_map(|(_, policies)| policies);
        self.cluster.iter().chain(namespaced)
    }

    /// The labels of a namespace, if it is known.
    pub fn labels(&self, namespace: &str) -> Option<&Labels> {
        self.namespaces.get(namespace).map(AsRef::as_ref)
    }

    /// The policies of one namespace, usable or not.
    pub fn of_namespace(&self, namespace: &str) -> &[Arc<Policy>] {
        self.namespaced.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// The known namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(|(namespace, _)| namespace)
    }

    /// The policies that serve a namespace, in the order in which they are considered: cluster policies that are not
    /// overridable, then higher priority, then namespaced before cluster, then name.
    pub fn serving<'s>(&'s self, namespace: &'s str) -> impl Iterator<Item = &'s Policy> {
        let labels = self.namespaces.get(namespace);
        let own = self.namespaced.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let (mut own, mut cluster) = (own.iter().peekable(), self.cluster.iter().peekable());
        std::iter::from_fn(move || match (own.peek(), cluster.peek()) {
            (Some(a), Some(b)) if rank(a) <= rank(b) => own.next(),
            (Some(_), None) => own.next(),
            _ => cluster.next(),
        })
        .map(AsRef::as_ref)
        .filter(move |policy| policy.serves(namespace, labels.map(AsRef::as_ref)))
    }

    /// Whether an unknown namespace could change the answer.
    pub(super) fn misses_namespace(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_none() && self.cluster.iter().any(|policy| policy.needs_namespace_labels())
    }

    /// The policies that select a pod, in order, each with what the pod gets.
    pub(super) fn selecting<'s>(
        &'s self,
        pod: &'s Pod<'s>,
        namespace: &'s str,
    ) -> impl Iterator<Item = (&'s Policy, Selecting<'s>)> {
        self.serving(namespace)
            .filter_map(|policy| Some((policy, policy.select(|key| pod.label(key), pod.service_account())?)))
    }

    fn take(&mut self, name: &PolicyName) {
        let policies = match &name.namespace {
            None => Some(Arc::make_mut(&mut self.cluster)),
            Some(namespace) => self.namespaced.get_mut(namespace),
        };
        if let Some(policies) = policies {
            policies.retain(|policy| policy.name() != name);
        }
    }
}

fn rank(policy: &Policy) -> (bool, Reverse<i32>, bool, &str) {
    (
        policy.overridable,
        Reverse(policy.priority),
        policy.name().namespace.is_none(),
        &policy.name().name,
    )
}
