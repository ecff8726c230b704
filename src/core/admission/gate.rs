//! Whether Vertex and identity are injected at all: a pod may bring a key, a credential file or another provider, or
//! switch Vertex off.

use super::draft::Draft;
use super::env::Known;
use super::{decision::Reason, settings};
use crate::api::{OnKey, OnValue, PolicySpec};
use crate::clients::{self, API_KEYS, CREDENTIALS, OTHER_PROVIDERS};
use crate::names;

/// The answer.
pub(super) enum Gate {
    /// Inject; the variables to remove first, each with its container.
    Open { remove: Vec<(usize, &'static str)> },
    /// Leave both out.
    Shut { reason: Reason, detail: String },
}

/// Asks every chosen container; the first that shuts the gate decides for the pod, because its variables and the
/// identity belong together. `file` is the path that the policy gives the credential file.
pub(super) fn gate(draft: &mut Draft<'_>, spec: &PolicySpec, file: Option<&str>) -> Gate {
    let mut remove = Vec::new();
    let mut shut: Option<(Reason, String)> = None;
    // What the policy refuses outright, and what only stands in the way of Vertex.
    let mut refusals = Vec::new();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for (i, target) in draft.containers.iter().enumerate() {
        let name = target.name();
        let present = |variable: &str| target.environment.known(variable).is_some() && !target.is_previous(variable);
        if let Some(vertex) = &spec.vertex {
            for key in API_KEYS.iter().copied().filter(|key| present(key)) {
                match spec.conflicts.api_keys {
                    OnKey::Keep => {
                        let detail = format!("container {name} keeps its own {key} (conflicts.apiKeys: Keep), so nothing of Vertex is injected");
                        shut = shut.or(Some((Reason::OwnApiKey, detail)));
                    }
                    OnKey::Remove => remove.push((i, key)),
                    OnKey::Deny => refusals.push(format!(
                        "container {name:?} sets {key} beside Vertex, and conflicts.apiKeys is Deny; remove the variable from the pod"
                    )),
                }
            }
            for switch in OTHER_PROVIDERS.iter().copied().filter(|switch| present(switch)) {
                // What cannot be read may be on.
                let on = !matches!(target.environment.known(switch), Some(Known::Text(text)) if !clients::is_on(text));
                match spec.conflicts.providers {
                    _ if !on => {}
                    OnKey::Keep => {
                        let detail = format!("container {name} uses another provider by {switch} (conflicts.providers: Keep), so nothing of Vertex is injected");
                        shut = shut.or(Some((Reason::OtherProvider, detail)));
                    }
                    OnKey::Remove => remove.push((i, switch)),
                    OnKey::Deny => refusals.push(format!(
                        "container {name:?} switches to another provider with {switch}, and conflicts.providers is Deny; remove the variable from the pod"
                    )),
                }
            }
            if spec.conflicts.values == OnValue::Keep {
                match settings::switched_off(target, vertex) {
                    Ok(Some(switch)) => {
                        let detail = format!(
                            "container {name} switches Vertex off with {switch} (conflicts.values: Keep), so nothing of Vertex is injected"
                        );
                        shut = shut.or(Some((Reason::VertexSwitchedOff, detail)));
                    }
                    Ok(None) => {}
                    Err(problem) => problems.push(problem),
                }
            }
            hidden_sources(target, spec, &mut refusals, &mut warnings);
        }
        // In OpenShell's JSON the credential file is one setting among others: it stays and the others are added. Beside a
        // broker it never stays.
        if target.json.is_none() && !spec.access.has_broker() && present(CREDENTIALS) && !is_our_file(target, file) {
            match spec.conflicts.values {
                OnValue::Keep => {
                    let detail = format!("container {name} keeps its own {CREDENTIALS} (conflicts.values: Keep), so nothing of Vertex and identity is injected");
                    shut = shut.or(Some((Reason::OwnCredentials, detail)));
                }
                OnValue::Override => {}
                OnValue::Deny => problems.push(format!(
                    "container {name:?} sets {CREDENTIALS} to another file than the policy's, and conflicts.values is Deny; remove the variable from the pod"
                )),
            }
        }
    }
    draft.warnings.append(&mut warnings);
    draft.problems.append(&mut refusals);
    match shut {
        // A pod that keeps its own is not asked whether the rest would fit.
        Some((reason, detail)) => Gate::Shut { reason, detail },
        None => {
            draft.problems.append(&mut problems);
            Gate::Open { remove }
        }
    }
}

/// Whether the pod's credential file is the policy's, or lies in a volume of ours from an earlier injection. The policy's
/// path is the pod's own file when the pod mounts something right there.
pub(super) fn is_our_file(target: &super::draft::ContainerDraft<'_>, file: Option<&str>) -> bool {
    let Some(Known::Text(path)) = target.environment.known(CREDENTIALS) else {
        return false;
    };
    let mounts = target.chosen.container.volume_mounts.iter().flatten();
    let innermost = mounts
        .map(|mount| (&*mount.name, mount.mount_path.trim_end_matches('/')))
        .filter(|(_, directory)| {
            path.strip_prefix(*directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|(_, directory)| directory.len());
    match innermost {
        Some((names::CREDENTIALS_VOLUME, _)) => true,
        Some((_, directory))
            if directory == &**path || path.rsplit_once('/').is_some_and(|(own, _)| own == directory) =>
        {
            false
        }
        _ => Some(&**path) == file,
    }
}

/// `envFrom` may bring keys and switches that nobody sees here.
fn hidden_sources(
    target: &super::draft::ContainerDraft<'_>,
    spec: &PolicySpec,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let sources: Vec<String> = target
        .chosen
        .container
        .env_from
        .iter()
        .flat_map(|source| {
            let config_map = source
                .config_map_ref
                .as_ref()
                .map(|reference| format!("ConfigMap {}", &*reference.name));
            config_map.into_iter().chain(
                source
                    .secret_ref
                    .as_ref()
                    .map(|reference| format!("Secret {}", &*reference.name)),
            )
        })
        .collect();
    if sources.is_empty() {
        return;
    }
    let (name, sources) = (target.name(), sources.join(", "));
    let conflicts = &spec.conflicts;
    let brokered = spec.access.has_broker();
    if brokered && conflicts.values == OnValue::Deny {
        problems.push(format!(
            "container {name:?} takes variables from {sources} with envFrom, which may hold {CREDENTIALS} or another way past the broker; conflicts.values is Deny, so list the variables one by one"
        ));
    }
    if conflicts.api_keys == OnKey::Deny || conflicts.providers == OnKey::Deny {
        problems.push(format!(
            "container {name:?} takes variables from {sources} with envFrom, which may hold an API key or another provider's switch; conflicts.apiKeys or conflicts.providers is Deny, so list the variables one by one"
        ));
    } else {
        let more = if brokered {
            format!(", {CREDENTIALS} or another route")
        } else {
            String::new()
        };
        warnings.push(format!(
            "container {name} takes variables from {sources} with envFrom; an API key or provider switch{more} in there is not seen by the injector and would win over Vertex"
        ));
    }
}
