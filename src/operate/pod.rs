//! `check pod`: one pod that runs, explained.

use crate::check::agents::Agent;
use crate::check::count;
use crate::cluster::{Cluster, Look};
use crate::fields::{annotation, list};
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::reading;
use crate::standing::{self, Standing};
use crate::world::World;
use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use vertex_injector_core::names::{NAME_PREFIX, RENDERED_ENV, SKIPPED};

/// Reads a pod and judges it.
///
/// # Errors
/// When it does not exist, or nobody may look at it.
pub async fn explain(cluster: &Cluster, world: &World, namespace: &str, name: &str) -> anyhow::Result<Vec<Finding>> {
    match cluster.get::<Pod>(Some(namespace), name).await {
        Look::Seen(Some(pod)) => {
            let pod = serde_json::to_value(pod).context("the pod is no JSON")?;
            Ok(judge(&pod, namespace, world))
        }
        Look::Seen(None) => bail!("there is no pod {name} in namespace {namespace}"),
        Look::Unseen(why) => bail!("cannot look at pod {namespace}/{name}: {why}"),
    }
}

/// Judges a pod: what was injected, whether it is what today's policies say, and whether what was injected is whole and runs.
pub fn judge(pod: &Value, namespace: &str, world: &World) -> Vec<Finding> {
    let agent = reading::agent(namespace, pod, standing::of(pod, namespace, world));
    let object = || Object::within("Pod", namespace, &agent.name);
    let mut findings = vec![history(pod, &agent, object()), today(&agent, object())];
    if agent.injected_by.is_some() {
        let lost = lost(pod);
        if !lost.is_empty() {
            let text = format!("lacks what was injected: {}", lost.join(", "));
            findings.push(Finding::of(Problem::InjectionIncomplete, object(), text));
        }
    }
    findings.extend(ours(pod).iter().map(|container| runs(pod, container, object())));
    findings
}

/// What happened when it was created.
fn history(pod: &Value, agent: &Agent, object: Object) -> Finding {
    let Some(by) = &agent.injected_by else {
        let skipped = annotation(pod, SKIPPED).map(|reason| format!(", and was left alone: {reason}"));
        let text = format!(
            "nothing was injected when it was created{}",
            skipped.unwrap_or_default()
        );
        return Finding::fine(Part::Agents, object, text);
    };
    let mut parts = Vec::new();
    let variables: Vec<&str> = rendered(pod).collect();
    if !variables.is_empty() {
        parts.push(format!("variables {}", variables.join(", ")));
    }
    let containers: Vec<&str> = ours(pod).iter().filter_map(|it| it.get("name")?.as_str()).collect();
    if !containers.is_empty() {
        parts.push(format!("containers {}", containers.join(", ")));
    }
    let volumes: Vec<&str> = list(pod, "/spec/volumes").iter().filter_map(name_of).collect();
    let volumes: Vec<&str> = volumes
        .into_iter()
        .filter(|name| name.starts_with(NAME_PREFIX))
        .collect();
    if !volumes.is_empty() {
        parts.push(format!("volumes {}", volumes.join(", ")));
    }
    Finding::fine(
        Part::Agents,
        object,
        format!("was injected by {by}: {}", parts.join("; ")),
    )
}

/// What today's policies say.
fn today(agent: &Agent, object: Object) -> Finding {
    let words = match &agent.standing {
        Standing::Current { policy } => {
            let before = agent.injected_by.as_ref().is_some_and(|by| by != policy);
            let before = if before { ", which changes nothing of it" } else { "" };
            format!("has what {policy} says today{before}")
        }
        Standing::Outdated { policy, changes } => {
            let count = count(changes.len(), "change", "changes");
            format!("{policy} would inject otherwise today, {count}: {}", changes.join("; "))
        }
        Standing::NotInjected { .. }
        | Standing::NotSent { .. }
        | Standing::Orphaned { .. }
        | Standing::Refused { .. }
        | Standing::LeftAlone { .. } => agent.words(),
    };
    match agent.problem() {
        Some(problem) => Finding::of(problem, object, words),
        None => Finding::fine(Part::Agents, object, words),
    }
}

/// Variables and mounts that were injected and are not there.
fn lost(pod: &Value) -> Vec<String> {
    let all = || {
        list(pod, "/spec/containers")
            .iter()
            .chain(list(pod, "/spec/initContainers"))
    };
    let has = |entry: &str| {
        let mut words = entry.split('/');
        let (container, variable) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        all().filter(|it| name_of(it) == Some(container)).any(|it| {
            let env = list(it, "/env");
            // In pods of OpenShell they can be members of a variable in JSON.
            env.iter().any(|env| {
                name_of(env) == Some(variable)
                    || (name_of(env) == Some("OPENSHELL_USER_ENVIRONMENT")
                        && env
                            .get("value")
                            .and_then(Value::as_str)
                            .is_some_and(|json| json.contains(&format!("\"{variable}\""))))
            })
        })
    };
    let variables = rendered(pod)
        .filter(|entry| !has(entry))
        .map(|entry| format!("variable {entry}"));
    let mounted = |volume: &str| {
        all().any(|it| {
            list(it, "/volumeMounts")
                .iter()
                .any(|mount| name_of(mount) == Some(volume))
        })
    };
    let volumes = list(pod, "/spec/volumes")
        .iter()
        .filter_map(name_of)
        .filter(|name| name.starts_with(NAME_PREFIX));
    let volumes = volumes
        .filter(|name| !mounted(name))
        .map(|name| format!("mounts of {name}"));
    variables.chain(volumes).collect()
}

/// How it is with a container of ours.
fn runs(pod: &Value, container: &Value, object: Object) -> Finding {
    let name = name_of(container).unwrap_or_default();
    let statuses = list(pod, "/status/initContainerStatuses");
    let status = statuses
        .iter()
        .find(|status| name_of(status) == Some(name))
        .unwrap_or(&Value::Null);
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let stays = container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    let restarts = status.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
    let ended = |at: &str| {
        let code = status.pointer(&format!("{at}/exitCode")).and_then(Value::as_i64)?;
        let when = text(&format!("{at}/finishedAt")).unwrap_or("unknown");
        let reason = text(&format!("{at}/reason")).unwrap_or("no reason");
        Some(format!("{reason}, exit code {code}, at {when}"))
    };
    let last = ended("/lastState/terminated")
        .map(|last| format!("; it ended last: {last}"))
        .unwrap_or_default();
    let problem = |problem: Problem, found: String| {
        let mut finding = Finding::of(problem, object.clone(), format!("container {name} {found}"));
        finding.remedy = finding.remedy.replace("CONTAINER", name);
        finding
    };
    if let Some(since) = text("/state/running/startedAt") {
        return match restarts {
            0 => Finding::fine(Part::Agents, object, format!("container {name} runs since {since}")),
            restarts => {
                let times = count(usize::try_from(restarts).unwrap_or(usize::MAX), "time", "times");
                problem(Problem::SidecarRestarted, format!("was started again {times}{last}"))
            }
        };
    }
    if let Some(how) = ended("/state/terminated") {
        let done = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64) == Some(0);
        return if done && !stays {
            Finding::fine(Part::Agents, object, format!("container {name} has done its work"))
        } else {
            problem(Problem::SidecarNotRunning, format!("has ended: {how}"))
        };
    }
    let why = text("/state/waiting/reason").map_or_else(
        || "has not been started yet: no kubelet has said anything of it".to_owned(),
        |reason| {
            let message = text("/state/waiting/message")
                .map(|it| format!(": {it}"))
                .unwrap_or_default();
            format!("waits: {reason}{message}{last}")
        },
    );
    problem(Problem::SidecarNotRunning, why)
}

/// Our containers.
fn ours(pod: &Value) -> Vec<&Value> {
    let all = list(pod, "/spec/initContainers").iter();
    all.filter(|container| name_of(container).is_some_and(|name| name.starts_with(NAME_PREFIX)))
        .collect()
}

/// What the injection says that it wrote: `container/NAME`.
fn rendered(pod: &Value) -> impl Iterator<Item = &str> {
    let entries = annotation(pod, RENDERED_ENV).unwrap_or_default().split(',');
    entries.filter(|entry| entry.contains('/'))
}

fn name_of(value: &Value) -> Option<&str> {
    value.get("name")?.as_str()
}
