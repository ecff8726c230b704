//! A policy in use: its name, and what was compiled of it.

use crate::api::{ClusterInjectionPolicy, FieldErrors, InjectionPolicy, Selector};
use crate::names;
use crate::operator::Operator;
use crate::policy::{self, Cause, Compilation, GkeBinding, Kind, Unusable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

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

/// A policy in use. An unusable one is kept, because a pod that it selects is denied with its name.
#[derive(Debug)]
pub struct Policy {
    pub(super) name: PolicyName,
    pub(super) generation: i64,
    pub(super) compiled: Arc<Compiled>,
}

/// What a policy is without its name: policies with equal specs share it.
#[derive(Debug)]
pub struct Compiled {
    pub(super) overridable: bool,
    pub(super) priority: i32,
    pub(super) namespaces: Option<Selector>,
    pub(super) compilation: Compilation,
}

/// A policy that selects a pod: with what this kind of pods gets, or unusable.
pub(super) type Selecting<'s> = Result<(&'s policy::Compiled, &'s Kind), &'s Unusable>;

impl PolicyObject {
    /// Which policy it is.
    pub fn name(&self) -> PolicyName {
        let metadata = self.metadata();
        PolicyName {
            namespace: match self {
                Self::Namespaced(_) => Some(metadata.namespace.clone().unwrap_or_default()),
                Self::Cluster(_) => None,
            },
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(policy) => &policy.metadata,
            Self::Cluster(policy) => &policy.metadata,
        }
    }
}

impl Policy {
    /// Compiles a policy under the operator's settings.
    pub fn compile(object: &PolicyObject, operator: &Operator) -> Self {
        Self::new(object, Arc::new(Compiled::of(object, operator)))
    }

    /// The policy of this name and generation.
    pub(super) fn new(object: &PolicyObject, compiled: Arc<Compiled>) -> Self {
        Self {
            name: object.name(),
            generation: object.metadata().generation.unwrap_or_default(),
            compiled,
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

    /// `namespace/name@generation`, as pods are annotated with.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.generation)
    }

    /// Whether the other is the same, generation and all; only one compiled together with it can be, or another reading of the
    /// same that this version does not know.
    pub fn is_same(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.cause(), other.cause());
        (&self.name, self.generation) == (&other.name, other.generation)
            && (Arc::ptr_eq(&self.compiled, &other.compiled)
                || mine == Some(Cause::Newer) && mine == theirs && self.errors() == other.errors())
    }

    /// Whether it serves a namespace with these labels.
    pub(super) fn serves(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        match (&self.name.namespace, &self.namespaces) {
            (Some(own), _) => own == namespace,
            (None, None) => true,
            (None, Some(selector)) => selector.matches(|key| {
                if key == names::NAMESPACE_NAME {
                    return Some(namespace);
                }
                labels?.get(key).map(String::as_str)
            }),
        }
    }
}

impl Deref for Policy {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.compiled
    }
}

impl Compiled {
    /// Compiles.
    pub(super) fn of(object: &PolicyObject, operator: &Operator) -> Self {
        let (spec, namespaces, overridable) = match object {
            PolicyObject::Namespaced(policy) => (&policy.spec, None, true),
            PolicyObject::Cluster(policy) => {
                let spec = &policy.spec;
                (&spec.policy, spec.namespace_selector.clone(), spec.overridable)
            }
        };
        Self {
            overridable,
            priority: spec.priority,
            compilation: policy::compile(spec, namespaces.as_ref(), operator),
            namespaces,
        }
    }

    /// What makes it unusable; empty when it works.
    pub fn errors(&self) -> &FieldErrors {
        const NONE: &FieldErrors = &FieldErrors(Vec::new());
        match &self.compilation.result {
            Ok(_) => NONE,
            Err(unusable) => &unusable.errors,
        }
    }

    /// Why it does not work, if so.
    pub fn cause(&self) -> Option<Cause> {
        self.compilation.result.as_ref().err().map(|unusable| unusable.cause)
    }

    /// Why no pod will ever reach it, if so.
    pub fn unreachable(&self) -> Option<&str> {
        self.compilation.unreachable.as_deref()
    }

    /// Sentences for its author that are no errors.
    pub fn notes(&self) -> &[String] {
        &self.compilation.notes
    }

    /// The annotation that GKE workload identity needs on ServiceAccounts, if this policy uses it and is usable.
    pub fn gke_binding(&self) -> Option<&GkeBinding> {
        self.compilation.result.as_ref().ok()?.gke_binding.as_ref()
    }

    /// Whether its answer depends on labels of the namespace.
    pub(super) fn needs_namespace_labels(&self) -> bool {
        self.namespaces.is_some()
    }

    /// What a pod of these labels and this ServiceAccount gets, if the policy selects it.
    pub(super) fn select<'a>(
        &self,
        label: impl Fn(&str) -> Option<&'a str> + Copy,
        account: &str,
    ) -> Option<Selecting<'_>> {
        match &self.compilation.result {
            Ok(compiled) => {
                let mut kinds = compiled.kinds.iter();
                let kind = kinds.find(|kind| kind.pods.contain(label, account))?;
                Some(Ok((compiled, kind)))
            }
            Err(unusable) => {
                let selects = unusable.pods.iter().any(|pods| pods.contain(label, account));
                selects.then_some(Err(unusable))
            }
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
