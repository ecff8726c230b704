//! The whole decision about one pod.

use super::agent::{self, Choice};
use super::decision::{Decision, Outcome, Reason, UnitState};
use super::draft::Draft;
use super::earlier::Earlier;
use super::finding::{Class, Finding};
use super::node::Windows;
use super::pod::Pod;
use super::policy::{Policy, Selecting};
use super::set::PolicySet;
use super::{node, plan, recognise};
use crate::api::OpenShell;
use crate::names;
use crate::policy::{Cause, Unusable};

const MIRROR: &str = "kubernetes.io/config.mirror";

/// Longest message; the API server passes on 4,400 characters whole.
const MAX_MESSAGE: usize = 4000;

/// What to do when the agent could get around the broker.
const NOT_ISOLATED: &str = "; with isolation: Required the agent must have no way around its broker and sidecars: change the pod, or set isolation: BestEffort in the policy";

/// Most names in one sentence.
const MAX_NAMES: usize = 8;

/// Decides what happens to `pod`, which is or will be in `namespace`.
pub fn decide(pod: &Pod<'_>, namespace: &str, policies: &PolicySet) -> Decision {
    if pod.annotation(MIRROR).is_some() {
        return Decision::skipped(Reason::MirrorPod, "the image of a static pod cannot be changed");
    }
    if pod.label(names::INJECT) == Some("false") {
        return Decision::skipped(Reason::OptedOut, format!("label {} is \"false\"", names::INJECT));
    }
    let asks = pod.label(names::INJECT) == Some("true");
    let mut decision = match choose(pod, namespace, policies, asks) {
        Ok((policy, selecting)) => {
            let decision = serve(pod, namespace, policy, selecting, asks);
            Decision {
                policy: Some(policy.reference()),
                ..decision
            }
        }
        Err(decision) => *decision,
    };
    truncate(&mut decision.message);
    decision
}

fn choose<'s>(
    pod: &'s Pod<'s>,
    namespace: &'s str,
    policies: &'s PolicySet,
    asks: bool,
) -> Result<(&'s Policy, Selecting<'s>), Box<Decision>> {
    let mut selecting = policies.selecting(pod, namespace).peekable();
    let first = selecting.peek().copied();
    let Some(name) = pod.annotation(names::POLICY) else {
        return first.ok_or_else(|| {
            Box::new(if asks {
                Decision::denied(Reason::NoPolicy, no_policy(pod, namespace, policies))
            } else {
                Decision::skipped(Reason::NotSelected, "no policy selects the pod")
            })
        });
    };
    if let Some((policy, _)) = first.filter(|(policy, _)| !policy.overridable && policy.name().name != name) {
        return Err(Box::new(Decision::denied(
            Reason::PolicyNotAllowed,
            format!(
                "annotation {} names policy {name:?}, but cluster policy {} selects this pod and is not overridable; remove the annotation",
                names::POLICY,
                policy.name()
            ),
        )));
    }
    selecting.find(|(policy, _)| policy.name().name == name).ok_or_else(|| {
        let exists = policies.serving(namespace).any(|policy| policy.name().name == name);
        let problem = if exists {
            "does not select this pod; its agents[] must match the pod's labels and ServiceAccount".to_owned()
        } else {
            format!("does not exist for namespace {namespace}; create it, or remove the annotation")
        };
        Box::new(Decision::denied(
            Reason::PolicyNotFound,
            format!("annotation {} names policy {name:?}, which {problem}", names::POLICY),
        ))
    })
}

fn no_policy(pod: &Pod<'_>, namespace: &str, policies: &PolicySet) -> String {
    let known: Vec<String> = policies
        .serving(namespace)
        .map(|policy| policy.name().to_string())
        .collect();
    let remedy = match known.as_slice() {
        [] => format!("no InjectionPolicy serves namespace {namespace}; create one"),
        _ => format!(
            "none of the policies that serve namespace {namespace} selects it: {}; add the pod's labels or its ServiceAccount {:?} to the agents of one of them",
            list(&known),
            pod.service_account()
        ),
    };
    format!(
        "the pod asks for injection with label {}: \"true\", and {remedy}, or set the label to \"false\"",
        names::INJECT
    )
}

fn serve(pod: &Pod<'_>, namespace: &str, policy: &Policy, selecting: Selecting<'_>, asks: bool) -> Decision {
    let name = policy.name();
    let (compiled, kind) = match selecting {
        Ok(selected) => selected,
        Err(Unusable { cause, errors, .. }) => {
            let problems: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            let problems = join(&problems, "; ");
            let problem = match cause {
                Cause::Invalid => format!("and is invalid: {problems}; correct the policy"),
                Cause::Newer => format!(
                    "and this version of vertex-injector does not know all that it says: {problems}; upgrade vertex-injector, or leave that out of the policy"
                ),
            };
            return Decision::denied(
                Reason::PolicyUnusable,
                format!("policy {name} selects this pod {problem}"),
            );
        }
    };
    let windows = node::windows(pod);
    if let Windows::Certain(field) = windows {
        return Decision::denied(
            Reason::WindowsPod,
            format!(
                "policy {name} selects this pod, and pods for Windows nodes ({field}) cannot be served; set label {}: \"false\"",
                names::INJECT
            ),
        );
    }
    if let Some((reason, detail)) = recognise::served_already(pod) {
        return skipped(pod, reason, detail, asks);
    }
    let open_shell = recognise::is_open_shell(pod);
    if open_shell && compiled.open_shell == OpenShell::Skip {
        let detail = "OpenShell manages this pod and routes its inference (openShell: Skip)";
        return skipped(pod, Reason::ManagedByOpenShell, detail.to_owned(), asks);
    }
    let earlier = Earlier::of(pod);
    let Choice { chosen, candidates } = match agent::choose(pod, &kind.containers, &earlier) {
        Ok(choice) => choice,
        Err((reason, problem)) => return Decision::denied(reason, format!("policy {name}: {problem}")),
    };
    let unclear = (!candidates.is_empty()).then(|| unclear(&candidates));
    if let Some(problem) = unclear.as_ref().filter(|_| asks) {
        return Decision::denied(Reason::AmbiguousContainer, format!("policy {name}: {problem}"));
    }
    let mut draft = match Draft::new(pod, chosen, earlier) {
        Ok(draft) => draft,
        Err(problem) => return Decision::denied(Reason::MalformedPod, format!("the pod cannot be read: {problem}")),
    };
    if let (Some(problem), Some(first)) = (unclear, candidates.first()) {
        let text = format!("{problem}; {first:?} is taken, the first");
        draft.notes.warn(Class::Unclear, first, "spec.containers", text);
    }
    if let Windows::Possible(field) = windows {
        let text = format!(
            "{field} lets this pod run on a Windows node, where what is injected does not work; require kubernetes.io/os: linux"
        );
        draft
            .notes
            .warnings
            .push(Finding::new(Class::Unclear, None, field, text));
    }
    plan::plan_policy(&mut draft, compiled, kind, open_shell);
    if draft.notes.problems.is_empty() && draft.notes.exposures.is_empty() {
        conclude(draft, namespace, policy, asks)
    } else {
        refuse(draft, policy)
    }
}

/// The decision of a draft with problems.
fn refuse(draft: Draft<'_>, policy: &Policy) -> Decision {
    let name = policy.name();
    let (mut found, exposures) = (draft.notes.problems, draft.notes.exposures);
    let reason = if found.is_empty() {
        Reason::NotIsolated
    } else {
        Reason::Conflict
    };
    let remedy = if exposures.is_empty() { "" } else { NOT_ISOLATED };
    found.append(exposures);
    let count = found.count();
    let problems = found.into_kept();
    let message = match problems.as_slice() {
        [problem] => format!("policy {name} cannot be applied to this pod: {problem}{remedy}"),
        _ => {
            let numbered: Vec<String> = problems
                .iter()
                .enumerate()
                .map(|(i, problem)| format!("({}) {problem}", i + 1))
                .collect();
            let more = match count - problems.len() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            format!(
                "policy {name} cannot be applied to this pod, for {count} reasons: {}{more}{remedy}",
                numbered.join("; ")
            )
        }
    };
    Decision {
        problems,
        ..Decision::denied(reason, message)
    }
}

/// The decision of a draft without problems.
fn conclude(mut draft: Draft<'_>, namespace: &str, policy: &Policy, asks: bool) -> Decision {
    let name = policy.name();
    let skip = { draft.notes.units.iter() }.find_map(|unit| Some((unit.reason?, unit.detail.clone())));
    if draft.notes.units.iter().all(|unit| unit.reason.is_some()) {
        let (reason, detail) = skip.unwrap_or((
            Reason::NothingToInject,
            format!("policy {name} adds nothing to this pod"),
        ));
        for unit in &mut draft.notes.units {
            unit.decides = unit.detail == detail;
        }
        // What an earlier injection left goes all the same.
        draft.annotate(names::RENDERED_ENV, None);
        draft.annotate(names::POLICY_REF, None);
        return skipped_with(draft, reason, detail, asks);
    }
    let changed = draft.changed() > 0;
    let rendered = draft.rendered_env();
    draft.annotate(names::RENDERED_ENV, rendered);
    // The chart's backstop knows by it that a pod that asks has been seen.
    if changed || asks || draft.pod.annotation(names::POLICY_REF).is_some() {
        draft.annotate(names::POLICY_REF, Some(policy.reference()));
    }
    draft.annotate(names::SKIPPED, skip.as_ref().map(|(reason, _)| reason.to_string()));
    let notes = &mut draft.notes;
    if let Some((reason, detail)) = skip {
        let skipped = notes.units.iter().filter(|unit| unit.reason.is_some());
        let names: Vec<&str> = skipped.map(|unit| unit.name.as_str()).collect();
        let names = names.join(" and ");
        let text = format!("vertex-injector left out {names} ({reason}): {detail}");
        notes.warnings.push(Finding::new(Class::LeftOut, None, &names, text));
    }
    let needs = notes.needs();
    let required: Vec<String> = { needs.iter() }
        .filter(|need| !need.optional)
        .map(|need| format!("{} {}", need.kind, need.name))
        .collect();
    if !required.is_empty() {
        let required = list(&required);
        let text = format!("this pod waits in ContainerCreating unless namespace {namespace} has {required}");
        notes.warnings.push(Finding::new(Class::Needs, None, &required, text));
    }
    let units: Vec<&str> = { notes.units.iter() }
        .filter(|unit| unit.state != UnitState::Skipped)
        .map(|unit| unit.name.as_str())
        .collect();
    let (reason, message) = if changed {
        (Reason::Injected, format!("policy {name} applied: {}", units.join(", ")))
    } else {
        (
            Reason::AlreadyInjected,
            format!("everything of policy {name} was there already: {}", units.join(", ")),
        )
    };
    draft.finish(Outcome::Injected, reason, message)
}

/// Leaves alone a pod that a policy selects. A mark says so where its owner looks, and to the backstop.
fn skipped(pod: &Pod<'_>, reason: Reason, detail: String, asks: bool) -> Decision {
    match Draft::new(pod, Vec::new(), Earlier::of(pod)) {
        Ok(draft) => skipped_with(draft, reason, detail, asks),
        Err(_) => Decision::skipped(reason, detail),
    }
}

fn skipped_with(mut draft: Draft<'_>, reason: Reason, detail: String, asks: bool) -> Decision {
    draft.annotate(names::SKIPPED, Some(reason.to_string()));
    if asks
        || matches!(
            reason,
            Reason::OwnApiKey | Reason::OwnCredentials | Reason::OtherProvider | Reason::VertexSwitchedOff
        )
    {
        let text = format!("vertex-injector left this pod alone ({reason}): {detail}");
        let finding = Finding::new(Class::Outcome, None, "metadata.labels", text);
        draft.notes.warnings.push(finding);
    }
    draft.finish(Outcome::Skipped, reason, detail)
}

/// That nobody says which of several containers is the agent.
fn unclear(candidates: &[&str]) -> String {
    let candidates: Vec<String> = candidates.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "several containers of the pod could be the agent: {}; name one in the pod's annotation {} or {}, or in the policy's agents[].containers",
        list(&candidates),
        agent::DEFAULT_CONTAINER,
        names::CONTAINERS
    )
}

/// A list that does not grow beyond what a person reads.
fn list(items: &[String]) -> String {
    join(items, ", ")
}

fn join(items: &[String], separator: &str) -> String {
    let shown: Vec<&str> = items.iter().take(MAX_NAMES).map(String::as_str).collect();
    match items.len().checked_sub(MAX_NAMES) {
        Some(more) if more > 0 => format!("{}{separator}and {more} more", shown.join(separator)),
        _ => shown.join(separator),
    }
}

fn truncate(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
}
