//! Which pods are agents, and what each kind of them gets of its own.

use super::access::{Google, Means};
use super::env::{self, Names, Variable};
use super::errors::{Checked, Errors, all};
use super::paths::{MountPath, Mounts};
use super::text::{ObjectName, is_object_name};
use crate::api::{Agent, PolicySpec, Requirement, Selector};
use crate::names;

/// One kind of agent pods.
#[derive(Debug)]
pub struct Kind {
    /// Which pods they are.
    pub pods: Pods,
    /// The containers to serve; empty for the pod's default.
    pub containers: Vec<String>,
    /// What of Google they get.
    pub google: Option<Google>,
    /// `spec.env` and the kind's own, which wins.
    pub env: Vec<Variable>,
}

/// Which pods are of one kind. Also an unusable policy selects: its pods are denied with what is wrong with it.
#[derive(Debug, Clone)]
pub enum Pods {
    /// Those that carry the product label.
    Labelled,
    /// Those with these labels that run as one of these ServiceAccounts; as any, when there is none.
    Of {
        /// Their labels.
        labels: Option<Selector>,
        /// Their ServiceAccounts.
        accounts: Vec<String>,
    },
}

impl Pods {
    /// All kinds of pods of a policy, in order.
    pub(super) fn of(spec: &PolicySpec) -> Vec<Self> {
        match spec.agents.as_slice() {
            [] => vec![Self::Labelled],
            agents => agents.iter().map(Self::of_agent).collect(),
        }
    }

    fn of_agent(agent: &Agent) -> Self {
        Self::Of {
            labels: agent.pod_selector.clone(),
            accounts: agent.service_accounts.clone(),
        }
    }

    /// Whether a pod is of this kind.
    pub fn contain<'a>(&self, label: impl Fn(&str) -> Option<&'a str>, account: &str) -> bool {
        match self {
            Self::Labelled => label(names::INJECT) == Some("true"),
            Self::Of { labels, accounts } => {
                labels.as_ref().is_none_or(|selector| selector.matches(label))
                    && (accounts.is_empty() || accounts.iter().any(|name| name == account))
            }
        }
    }
}

/// Checks which pods the policy serves.
pub(super) fn check_pods(spec: &PolicySpec, errors: &mut Errors) {
    for (i, agent) in spec.agents.iter().enumerate() {
        let field = format!("spec.agents[{i}]");
        match &agent.pod_selector {
            Some(selector) => check_selector(selector, &format!("{field}.podSelector"), errors),
            None if agent.service_accounts.is_empty() => {
                errors.add(
                    &*field,
                    "an agent needs podSelector, serviceAccounts or both; podSelector: {} selects every pod",
                );
            }
            None => {}
        }
        for (j, name) in agent.service_accounts.iter().enumerate() {
            // What is no name is noted, and selects nothing.
            let _noted = ObjectName::parse(name, &format!("{field}.serviceAccounts[{j}]"), errors);
        }
    }
}

/// The kinds of pods, with what all of them get.
pub(super) fn compile(
    spec: &PolicySpec,
    means: Checked<Option<Means>>,
    common: Checked<Vec<Variable>>,
    mounts: &Mounts,
    errors: &mut Errors,
) -> Checked<Vec<Kind>> {
    let own = all(spec.agents.iter().enumerate().map(|(i, agent)| {
        let field = format!("spec.agents[{i}]");
        let env = env::compile(&agent.env, Names::OfAgents, &format!("{field}.env"), errors);
        let directory = match &agent.credential_directory {
            Some(directory) => mounts.directory(directory, &format!("{field}.credentialDirectory"), errors),
            None => Ok(MountPath::of_credentials()),
        };
        Ok((agent, env?, directory?))
    }));
    let (means, common, own) = (means?, common?, own?);
    let google = |directory: &MountPath| means.as_ref().map(|means| means.at(directory));
    if own.is_empty() {
        return Ok(vec![Kind {
            pods: Pods::Labelled,
            containers: Vec::new(),
            google: google(&MountPath::of_credentials()),
            env: common,
        }]);
    }
    let kind = |(agent, own, directory): (&Agent, Vec<Variable>, MountPath)| {
        let is_free = |var: &&Variable| !own.iter().any(|other| other.name == var.name);
        let env = common.iter().filter(is_free).cloned().chain(own.clone()).collect();
        Kind {
            pods: Pods::of_agent(agent),
            containers: agent.containers.clone(),
            google: google(&directory),
            env,
        }
    };
    Ok(own.into_iter().map(kind).collect())
}

pub(super) fn check_selector(selector: &Selector, field: &str, errors: &mut Errors) {
    for (key, value) in &selector.match_labels {
        if !is_label_key(key) {
            errors.add(
                format!("{field}.matchLabels"),
                format!("{key:?} is not a label key: [PREFIX/]NAME"),
            );
        }
        check_label_value(value, format!("{field}.matchLabels[{key}]"), errors);
    }
    for (i, requirement) in selector.match_expressions.iter().enumerate() {
        check_requirement(requirement, &format!("{field}.matchExpressions[{i}]"), errors);
    }
}

fn check_requirement(requirement: &Requirement, field: &str, errors: &mut Errors) {
    use crate::api::Operator::{DoesNotExist, Exists, In, NotIn};
    let Requirement { key, operator, values } = requirement;
    if !is_label_key(key) {
        errors.add(
            format!("{field}.key"),
            format!("{key:?} is not a label key: [PREFIX/]NAME"),
        );
    }
    let problem = match operator {
        In | NotIn => values.is_empty().then_some("required with In and NotIn"),
        Exists | DoesNotExist => (!values.is_empty()).then_some("not allowed with Exists and DoesNotExist"),
    };
    if let Some(problem) = problem {
        errors.add(format!("{field}.values"), problem);
    }
    for (i, value) in values.iter().enumerate() {
        check_label_value(value, format!("{field}.values[{i}]"), errors);
    }
}

fn check_label_value(value: &str, field: String, errors: &mut Errors) {
    if !value.is_empty() && !is_label_name(value) {
        errors.add(
            field,
            format!(
                "{value:?} is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
            ),
        );
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_label_name(name),
        None => is_label_name(key),
    }
}

fn is_label_name(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}
