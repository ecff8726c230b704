//! All policies at one moment, immutable.

use super::Policy;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Labels of namespaces, by namespace.
pub type Namespaces = HashMap<String, BTreeMap<String, String>>;

/// All policies and the labels of all namespaces at one moment.
#[derive(Debug, Default, Clone)]
pub struct PolicySet {
    policies: Vec<Arc<Policy>>,
    namespaces: Arc<Namespaces>,
}

impl PolicySet {
    /// Sorts policies into the order in which they are considered.
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>, namespaces: Arc<Namespaces>) -> Self {
        Self {
            policies: policies.into_iter().collect(),
            namespaces,
        }
    }

    /// All policies, usable or not.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter()
    }

    /// The namespaces, among the known ones, that a policy serves.
    pub fn namespaces_served<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = &'a str> {
        let _ = policy;
        self.namespaces.keys().map(String::as_str)
    }

    /// Whether the labels of this namespace are known.
    pub fn knows_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }
}
