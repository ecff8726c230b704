//! Policies, what the webhook says of them, and the namespaces that they are for.

use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::world::{Known, World};

/// Type of the condition that the webhook writes.
const READY: &str = "Ready";

/// Judges every policy and every namespace that opted in.
pub fn judge(world: &World) -> Vec<Finding> {
    let mut findings: Vec<Finding> = { world.unreadable.iter() }
        .map(|(object, why)| Finding::of(Problem::PolicyUnreadable, object.clone(), why.as_str()))
        .collect();
    let judged: Vec<Finding> = world
        .policies
        .iter()
        .filter_map(|known| problem(known, world))
        .collect();
    let fine = world.policies.len() - judged.len();
    findings.extend(judged);
    let opted_in = world.opted_in();
    let alone = opted_in
        .iter()
        .filter(|namespace| world.set.serving(namespace).next().is_none());
    findings.extend(alone.map(|namespace| {
        let object = Object::new("Namespace", namespace);
        Finding::of(
            Problem::NamespaceWithoutPolicy,
            object,
            "opted in, and no policy serves it",
        )
    }));
    if fine > 0 || findings.is_empty() {
        let ready = super::count(fine, "policy is", "policies are");
        let served = super::count(opted_in.len(), "namespace", "namespaces");
        let text = format!("{ready} Ready; {served} opted in");
        findings.insert(0, Finding::fine(Part::Policies, Object::new("policies", ""), text));
    }
    findings
}

/// Whether a policy serves pods, as far as the webhook and the namespaces say.
pub(crate) fn is_fine(known: &Known, world: &World) -> bool {
    problem(known, world).is_none()
}

fn problem(known: &Known, world: &World) -> Option<Finding> {
    let object = known.shown();
    let name = known.policy.name();
    if let Some(namespace) = &name.namespace
        && let Some(labels) = world.namespaces.get(namespace)
        && let Some(why) = world.operator.not_opted_in(namespace, labels)
    {
        return Some(Finding::of(Problem::PolicyNotOptedIn, object, why));
    }
    let generation = known.policy.generation();
    let conditions = known.status.iter().flat_map(|status| &status.conditions);
    let ready = { conditions }
        .filter(|condition| condition.observed_generation == Some(generation))
        .find(|condition| condition.type_ == READY);
    let Some(ready) = ready else {
        let own: Vec<String> = known.policy.errors().0.iter().map(ToString::to_string).collect();
        let own = if own.is_empty() {
            String::new()
        } else {
            format!("; this program says: {}", own.join("; "))
        };
        let text = format!("the webhook has not said whether generation {generation} can be used{own}");
        return Some(Finding::of(Problem::PolicyNotJudged, object, text));
    };
    let problem = match (ready.status.as_str(), ready.reason.as_str()) {
        ("True", _) => {
            let mut opted_in = world.opted_in().into_iter();
            let serves = |namespace| world.set.serving(namespace).any(|policy| policy.name() == name);
            if name.namespace.is_some() || opted_in.any(serves) {
                return None;
            }
            return Some(Finding::of(
                Problem::PolicyServesNothing,
                object,
                "no namespace that opted in fits its namespaceSelector",
            ));
        }
        (_, "Unreachable") => Problem::PolicyUnreachable,
        (_, "Unreadable") => Problem::PolicyUnreadable,
        _ => Problem::PolicyUnusable,
    };
    Some(Finding::of(problem, object, ready.message.replace('\n', "; ")))
}
