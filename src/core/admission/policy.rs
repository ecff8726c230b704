//! A policy in the form that works: checked, with its values rendered once.

use super::broker::Broker;
use super::render::{self, Credential, Piece};
use super::sidecar::Sidecars;
use crate::api::{
    Agent, ClusterInjectionPolicy, FieldErrors, InjectionPolicy, OnValue, PolicySpec, Requirement, Selector, validate,
};
use crate::names;
use crate::operator::{AgentSelector, Operator};
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

/// A policy in use. An unusable one is kept, because a pod that it selects is denied with its name.
#[derive(Debug)]
pub struct Policy {
    name: PolicyName,
    generation: i64,
    pub(super) compiled: Arc<Compiled>,
}

/// What a policy is without its name: policies with equal specs share it.
#[derive(Debug)]
pub struct Compiled {
    pub(super) overridable: bool,
    namespaces: Option<Selector>,
    pub(super) spec: PolicySpec,
    errors: FieldErrors,
    notes: Vec<String>,
    unreachable: Option<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) broker: Option<Broker>,
    pub(super) sidecars: Sidecars,
    pub(super) helpers: Vec<Piece>,
    pub(super) tokens: Vec<Piece>,
    pub(super) volumes: Vec<(String, serde_json::Value)>,
}

/// One kind of pods with what is rendered for it.
#[derive(Debug)]
pub(super) struct Kind {
    /// None: the pods that carry the product label.
    selector: Option<Agent>,
    pub(super) containers: Vec<String>,
    pub(super) credential: Option<Credential>,
    /// `spec.env` and the kind's own, which wins.
    pub(super) env: Vec<crate::api::EnvVar>,
}

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
    /// Checks and renders a policy under the operator's settings.
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

    /// Whether the other is the same, generation and all; only one compiled together with it can be.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.generation) == (&other.name, other.generation) && Arc::ptr_eq(&self.compiled, &other.compiled)
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
    /// Checks and renders.
    pub(super) fn of(object: &PolicyObject, operator: &Operator) -> Self {
        let (spec, namespaces, overridable) = match object {
            PolicyObject::Namespaced(policy) => (&policy.spec, None, true),
            PolicyObject::Cluster(policy) => {
                let spec = &policy.spec;
                (&spec.policy, spec.namespace_selector.clone(), spec.overridable)
            }
        };
        let kinds = match spec.agents.as_slice() {
            [] => vec![Kind::new(None, spec)],
            agents => agents.iter().map(|agent| Kind::new(Some(agent), spec)).collect(),
        };
        let sidecars = Sidecars::of(spec, operator);
        let mut errors = validate::errors(spec, namespaces.as_ref(), operator);
        let broker = Broker::of(spec, &operator.broker).unwrap_or_else(|(field, problem)| {
            // Whoever reads the policy has checked its form: this is said where nobody has.
            if errors.0.is_empty() {
                errors.add(field, problem);
            }
            None
        });
        Self {
            overridable,
            errors,
            namespaces,
            notes: notes(spec, &sidecars),
            sidecars,
            unreachable: unreachable(spec, operator),
            kinds,
            broker,
            helpers: render::helpers(spec),
            tokens: render::tokens(spec),
            volumes: render::volumes(spec),
            spec: spec.clone(),
        }
    }

    /// What makes it unusable; empty when it works.
    pub fn errors(&self) -> &FieldErrors {
        &self.errors
    }

    /// Why no pod will ever reach it, if so.
    pub fn unreachable(&self) -> Option<&str> {
        self.unreachable.as_deref()
    }

    /// Sentences for its author that are no errors.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The annotation that GKE workload identity needs on ServiceAccounts, if this policy uses it and is usable.
    pub fn gke_binding(&self) -> Option<GkeBinding<'_>> {
        let gke = self.spec.identity.as_ref()?.gke_workload_identity.as_ref()?;
        if !self.errors.0.is_empty() {
            return None;
        }
        let mut accounts: Vec<&str> = self
            .spec
            .agents
            .iter()
            .flat_map(|agent| &agent.service_accounts)
            .map(String::as_str)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        Some(GkeBinding {
            email: &gke.service_account,
            service_accounts: accounts,
            replace: self.spec.conflicts.values == OnValue::Override,
        })
    }

    /// Whether its answer depends on labels of the namespace.
    pub(super) fn needs_namespace_labels(&self) -> bool {
        self.namespaces.is_some()
    }

    /// The first kind of pods that this one belongs to.
    pub(super) fn kind_of<'a>(&self, label: impl Fn(&str) -> Option<&'a str> + Copy, account: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.selects(label, account))
    }
}

impl Kind {
    fn new(agent: Option<&Agent>, spec: &PolicySpec) -> Self {
        let mut env = agent.map(|agent| agent.env.clone()).unwrap_or_default();
        let common = spec
            .env
            .iter()
            .filter(|var| !env.iter().any(|own| own.name == var.name))
            .cloned();
        let common: Vec<_> = common.collect();
        env.splice(0..0, common);
        let directory = agent.and_then(|agent| agent.credential_directory.as_deref());
        Self {
            selector: agent.cloned(),
            containers: agent.map(|agent| agent.containers.clone()).unwrap_or_default(),
            credential: spec
                .identity
                .as_ref()
                .map(|identity| render::credential(identity, directory.unwrap_or(names::CREDENTIAL_DIRECTORY), spec)),
            env,
        }
    }

    fn selects<'a>(&self, label: impl Fn(&str) -> Option<&'a str> + Copy, account: &str) -> bool {
        match &self.selector {
            None => label(names::INJECT) == Some("true"),
            Some(agent) => {
                agent
                    .pod_selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(label))
                    && (agent.service_accounts.is_empty() || agent.service_accounts.iter().any(|name| name == account))
            }
        }
    }
}

fn notes(spec: &PolicySpec, sidecars: &Sidecars) -> Vec<String> {
    let mut notes = sidecars.notes();
    if spec
        .identity
        .as_ref()
        .is_some_and(|identity| identity.service_account_key.is_some())
    {
        let agent = if spec.access.has_broker() {
            ""
        } else {
            " and the agent can read it"
        };
        notes.push(format!(
            "identity.serviceAccountKey is the least preferred identity: the key does not expire{agent}; prefer \
             workloadIdentityFederation"
        ));
    }
    notes
}

/// A policy is reached by a kind of pods when the webhook configuration sends at least those pods: all requirements of
/// one agent selector appear in the kind's own selector.
fn unreachable(spec: &PolicySpec, operator: &Operator) -> Option<String> {
    if operator.agent_selectors.is_empty() || spec.agents.is_empty() {
        return None;
    }
    let lost: Vec<usize> = spec
        .agents
        .iter()
        .enumerate()
        .filter(|(_, agent)| !operator.agent_selectors.iter().any(|selector| covers(selector, agent)))
        .map(|(i, _)| i)
        .collect();
    if lost.is_empty() {
        return None;
    }
    let fields: Vec<String> = lost.iter().map(|i| format!("spec.agents[{i}]")).collect();
    let known: Vec<&str> = operator
        .agent_selectors
        .iter()
        .map(|selector| selector.name.as_str())
        .collect();
    Some(format!(
        "the API server does not send pods of {} to the webhook: none of the chart's agentSelectors ({}) is implied by \
         them; add an agentSelector to the chart, or its labels to the policy's podSelector",
        fields.join(", "),
        known.join(", ")
    ))
}

fn covers(selector: &AgentSelector, agent: &Agent) -> bool {
    let by_account = selector.service_accounts.is_empty()
        || (!agent.service_accounts.is_empty()
            && agent
                .service_accounts
                .iter()
                .all(|account| selector.service_accounts.contains(account)));
    let own = agent.pod_selector.clone().unwrap_or_default();
    let labels = selector.object_selector.match_labels.iter().all(|(key, value)| {
        own.match_labels.get(key) == Some(value)
            || own.match_expressions.iter().any(|requirement| {
                requirement.key == *key
                    && requirement.operator == crate::api::Operator::In
                    && requirement.values.iter().all(|v| v == value)
            })
    });
    by_account
        && labels
        && selector
            .object_selector
            .match_expressions
            .iter()
            .all(|wanted| implied(wanted, &own))
}

/// Whether every pod that `own` selects satisfies `wanted`.
fn implied(wanted: &Requirement, own: &Selector) -> bool {
    use crate::api::Operator::{DoesNotExist, Exists, In, NotIn};
    let label = own.match_labels.get(&wanted.key);
    let mut same = own
        .match_expressions
        .iter()
        .filter(|requirement| requirement.key == wanted.key);
    match wanted.operator {
        Exists => label.is_some() || same.any(|r| matches!(r.operator, In | Exists)),
        DoesNotExist => same.any(|r| r.operator == DoesNotExist),
        In => {
            label.is_some_and(|value| wanted.values.contains(value))
                || same.any(|r| r.operator == In && r.values.iter().all(|value| wanted.values.contains(value)))
        }
        NotIn => {
            label.is_some_and(|value| !wanted.values.contains(value))
                || same.any(|r| match r.operator {
                    In => r.values.iter().all(|value| !wanted.values.contains(value)),
                    NotIn => wanted.values.iter().all(|value| r.values.contains(value)),
                    DoesNotExist => true,
                    Exists => false,
                })
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
