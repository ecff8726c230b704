//! A pod for a policy, and what became of it when it was created as a dry run.

use super::policies::is_fine;
use crate::cluster::Refusal;
use crate::fields::annotation;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::release::Release;
use crate::world::{Known, World};
use serde_json::{Map, Value, json};
use vertex_injector_core::admission::PolicyObject;
use vertex_injector_core::api::{Agent, Operator as Relation};
use vertex_injector_core::names::{INJECT, NAME_PREFIX, POLICY_REF, RENDERED_ENV, SKIPPED};

/// A pod that a policy selects.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The policy.
    pub policy: Object,
    /// How a pod that it injects is annotated, up to the generation.
    reference: String,
    /// Where the pod would be.
    pub namespace: String,
    /// The pod.
    pub pod: Value,
}

/// A pod for each policy that serves some.
pub fn trials(world: &World) -> Vec<Trial> {
    let fine = world.policies.iter().filter(|known| is_fine(known, world));
    fine.filter_map(|known| trial(known, world)).collect()
}

fn trial(known: &Known, world: &World) -> Option<Trial> {
    let name = known.policy.name();
    let serves = |namespace: &&str| world.set.serving(namespace).any(|policy| policy.name() == name);
    let namespace = match &name.namespace {
        Some(namespace) => namespace.clone(),
        None => world.opted_in().into_iter().find(serves)?.to_owned(),
    };
    let agents = match &known.object {
        PolicyObject::Namespaced(policy) => &policy.spec.agents,
        PolicyObject::Cluster(policy) => &policy.spec.policy.agents,
    };
    Some(Trial {
        policy: known.shown(),
        reference: format!("{name}@"),
        pod: pod(&namespace, agents.first()),
        namespace,
    })
}

/// The plainest pod of a kind, which the strictest Pod Security Standard admits.
fn pod(namespace: &str, agent: Option<&Agent>) -> Value {
    let mut labels = Map::new();
    let selector = agent.map(|agent| agent.pod_selector.clone().unwrap_or_default());
    match selector {
        None => drop(labels.insert(INJECT.to_owned(), "true".into())),
        Some(selector) => {
            for (key, value) in selector.match_labels {
                labels.insert(key, value.into());
            }
            for wanted in selector.match_expressions {
                let value = match wanted.operator {
                    Relation::In => wanted.values.first().cloned(),
                    Relation::Exists => Some("check".to_owned()),
                    Relation::NotIn | Relation::DoesNotExist => None,
                };
                if let Some(value) = value {
                    labels.entry(wanted.key).or_insert_with(|| value.into());
                }
            }
        }
    }
    let named = agent.map(|agent| agent.containers.as_slice()).unwrap_or_default();
    let named = if named.is_empty() {
        vec!["agent".to_owned()]
    } else {
        named.to_vec()
    };
    let container = |name: String| {
        json!({
            "name": name, "image": "example.com/dry-run",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        })
    };
    let mut spec = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": named.into_iter().map(container).collect::<Value>(),
    });
    let account = agent.and_then(|agent| agent.service_accounts.first());
    if let (Some(account), Some(fields)) = (account, spec.as_object_mut()) {
        fields.insert("serviceAccountName".to_owned(), account.as_str().into());
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "vertex-injector-check-", "namespace": namespace, "labels": labels},
        "spec": spec,
    })
}

/// What became of it, in the words of the API server.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The pod that would be stored.
    Created(Value),
    /// Why not.
    Refused(String),
    /// Nobody may ask.
    Forbidden(String),
}

impl From<Result<Value, Refusal>> for Answer {
    fn from(answer: Result<Value, Refusal>) -> Self {
        match answer {
            Ok(pod) => Self::Created(pod),
            Err(Refusal::Answer(why)) => Self::Refused(why),
            Err(refusal) => Self::Forbidden(refusal.words("create on pods (as a dry run)")),
        }
    }
}

/// Judges an answer.
pub fn judge(trial: &Trial, release: &Release, answer: &Answer) -> Finding {
    let object = trial.policy.clone();
    let pod = match answer {
        Answer::Forbidden(why) => return Finding::unseen(Part::Trials, object, why),
        Answer::Created(pod) => pod,
        Answer::Refused(why) => {
            let ours = why.contains(".vertex-injector.dev\"");
            let problem = if ours && why.contains("failed calling webhook") {
                Problem::WebhookFails
            } else if ours && why.contains("denied the request") {
                Problem::TrialRefused
            } else if why.contains(&format!("'{}-", release.objects)) {
                Problem::TrialNotInjected
            } else {
                Problem::TrialRefusedByOther
            };
            return Finding::of(
                problem,
                object,
                format!("a pod in {} is refused: {why}", trial.namespace),
            );
        }
    };
    match (annotation(pod, POLICY_REF), annotation(pod, SKIPPED)) {
        (Some(by), _) if by.starts_with(&trial.reference) => {
            let variables = annotation(pod, RENDERED_ENV).unwrap_or_default();
            let variables = variables.split(',').filter(|it| !it.is_empty()).count();
            let variables = super::count(variables, "variable", "variables");
            let ours = ours(pod);
            let containers = if ours.is_empty() {
                String::new()
            } else {
                format!(" and {}", ours.join(", "))
            };
            let text = format!(
                "a pod in {} is injected ({by}): {variables}{containers}",
                trial.namespace
            );
            Finding::fine(Part::Trials, object, text)
        }
        (Some(by), _) => {
            let text = format!("a pod in {} that it selects is injected by {by}", trial.namespace);
            Finding::of(Problem::TrialServedByOther, object, text)
        }
        (None, Some(reason)) => {
            let text = format!("a pod in {} is left alone: {reason}", trial.namespace);
            Finding::of(Problem::TrialNotInjected, object, text)
        }
        (None, None) => {
            let text = format!("a pod in {} is admitted, and nothing injects it", trial.namespace);
            Finding::of(Problem::TrialNotInjected, object, text)
        }
    }
}

/// Names of our containers in a pod.
pub(crate) fn ours(pod: &Value) -> Vec<&str> {
    let containers = pod.pointer("/spec/initContainers").and_then(Value::as_array);
    let names = containers
        .into_iter()
        .flatten()
        .filter_map(|it| it.get("name")?.as_str());
    names.filter(|name| name.starts_with(NAME_PREFIX)).collect()
}
