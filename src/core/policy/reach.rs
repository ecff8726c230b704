//! Whether pods of a policy ever come to the webhook: the API server sends those that the chart's agentSelectors choose.

use crate::api::{Agent, Operator as Relation, PolicySpec, Requirement, Selector};
use crate::operator::{AgentSelector, Operator};

/// Why no pod will ever reach a policy, if so. One kind of pods is reached when all requirements of one agent selector
/// appear in its own selector.
pub(super) fn unreachable(spec: &PolicySpec, operator: &Operator) -> Option<String> {
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
                    && requirement.operator == Relation::In
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
    use Relation::{DoesNotExist, Exists, In, NotIn};
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
