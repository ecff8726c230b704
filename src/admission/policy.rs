//! A policy in the form that works: checked, with its values rendered once.

use super::Operator;
use crate::api::{ClusterInjectionPolicy, FieldErrors, InjectionPolicy};
use std::fmt;

/// A policy as the API server or a file gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyObject {
    /// Of one namespace. A file without `metadata.namespace` needs one filled in by the caller first.
    Namespaced(InjectionPolicy),
    /// Of the cluster.
    Cluster(ClusterInjectionPolicy),
}

/// Which policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName {
    /// The namespace; none for a cluster policy.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What GKE workload identity needs on ServiceAccounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GkeBinding<'a> {
    /// Value of the annotation `iam.gke.io/gcp-service-account`.
    pub email: &'a str,
    /// The ServiceAccounts, in every namespace that the policy serves.
    pub service_accounts: Vec<&'a str>,
    /// Whether a differing value is replaced; otherwise it stays and is reported.
    pub replace: bool,
}

/// A compiled policy. An unusable one is kept, because a pod that it selects is denied with its name.
#[derive(Debug)]
pub struct Policy {
    name: PolicyName,
    generation: i64,
    errors: FieldErrors,
    notes: Vec<String>,
}

impl Policy {
    /// Checks and renders a policy under the operator's settings.
    pub fn compile(object: &PolicyObject, operator: &Operator) -> Self {
        let _ = operator;
        let meta = match object {
            PolicyObject::Namespaced(p) => &p.metadata,
            PolicyObject::Cluster(p) => &p.metadata,
        };
        Self {
            name: PolicyName {
                namespace: meta.namespace.clone(),
                name: meta.name.clone().unwrap_or_default(),
            },
            generation: meta.generation.unwrap_or_default(),
            errors: FieldErrors::default(),
            notes: Vec::new(),
        }
    }

    /// Which policy this is.
    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    /// `metadata.generation`; 0 from a file.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// What makes it unusable; empty when it works.
    pub fn errors(&self) -> &FieldErrors {
        &self.errors
    }

    /// Why no pod will ever reach it, if so.
    pub fn unreachable(&self) -> Option<&str> {
        None
    }

    /// The annotation that GKE workload identity needs on ServiceAccounts, if this policy uses it.
    pub fn gke_binding(&self) -> Option<GkeBinding<'_>> {
        None
    }

    /// Sentences for its author that are no errors: for example that a service account key is the least preferred identity.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
