//! Whether Vertex and identity are injected at all: a pod may bring a key, a credential file or another provider, or
//! switch Vertex off.

use super::decision::Reason;
use super::draft::{ContainerDraft, Notes};
use super::env::Known;
use super::finding::Class;
use super::settings;
use crate::api::{Conflicts, OnKey, OnValue};
use crate::clients::{self, API_KEYS, CREDENTIALS, OTHER_PROVIDERS};
use crate::names;
use crate::path::Plain;
use crate::policy::{Access, Google, Vertex};

/// Why both are left out.
pub(super) struct Shut {
    /// The code.
    pub(super) reason: Reason,
    /// In words, with the container and what it brings.
    pub(super) detail: String,
}

/// Asks every chosen container; the first that shuts the gate decides for the pod, because its variables and the
/// identity belong together. An open gate is none.
pub(super) fn shut_by(
    containers: &[ContainerDraft<'_>],
    Google { access, vertex }: &Google,
    conflicts: &Conflicts,
    notes: &mut Notes,
) -> Option<Shut> {
    let brokered = match access {
        Access::File(_) | Access::Node => false,
        Access::Broker { .. } => true,
    };
    let mut shut: Option<Shut> = None;
    let mut close = |reason, detail| shut = shut.take().or(Some(Shut { reason, detail }));
    // What only stands in the way of Vertex.
    let mut further = Notes::default();
    for target in containers {
        let name = target.name();
        if let Some(vertex) = vertex {
            for key in foreign_keys(target) {
                match conflicts.api_keys {
                    OnKey::Keep => close(
                        Reason::OwnApiKey,
                        format!("container {name} keeps its own {key} (conflicts.apiKeys: Keep), so nothing of Vertex is injected"),
                    ),
                    OnKey::Remove => {}
                    OnKey::Deny => notes.deny(
                        Some(name),
                        key,
                        format!("container {name:?} sets {key} beside Vertex, and conflicts.apiKeys is Deny; remove the variable from the pod"),
                    ),
                }
            }
            for switch in other_providers(target) {
                match conflicts.providers {
                    OnKey::Keep => close(
                        Reason::OtherProvider,
                        format!("container {name} uses another provider by {switch} (conflicts.providers: Keep), so nothing of Vertex is injected"),
                    ),
                    OnKey::Remove => {}
                    OnKey::Deny => notes.deny(
                        Some(name),
                        switch,
                        format!("container {name:?} switches to another provider with {switch}, and conflicts.providers is Deny; remove the variable from the pod"),
                    ),
                }
            }
            if conflicts.of_switches() == OnValue::Keep {
                match settings::switched_off(target, vertex, conflicts) {
                    Ok(Some(switch)) => close(
                        Reason::VertexSwitchedOff,
                        format!(
                            "container {name} switches Vertex off with {switch} ({}: Keep), so nothing of Vertex is injected",
                            settings::field_of_switches(conflicts)
                        ),
                    ),
                    Ok(None) => {}
                    Err(problem) => further.problems.push(problem),
                }
            }
            note_hidden_sources(target, vertex, conflicts, brokered, notes);
        }
        // In OpenShell's JSON the credential file is one setting among others: it stays and the others are added. Beside a
        // broker it never stays.
        if target.json.is_none() && !brokered && has_own_file(target, access) {
            match conflicts.values {
                OnValue::Keep => close(
                    Reason::OwnCredentials,
                    format!("container {name} keeps its own {CREDENTIALS} (conflicts.values: Keep), so nothing of Vertex and identity is injected"),
                ),
                OnValue::Override => {}
                OnValue::Deny => further.deny(
                    Some(name),
                    CREDENTIALS,
                    format!("container {name:?} sets {CREDENTIALS} to another file than the policy's, and conflicts.values is Deny; remove the variable from the pod"),
                ),
            }
        }
    }
    // A pod that keeps its own is not asked whether the rest would fit.
    if shut.is_none() {
        notes.problems.append(further.problems);
    }
    shut
}

/// Removes the keys and switches that the policy does not let a container keep.
pub(super) fn remove_others(target: &mut ContainerDraft<'_>, conflicts: &Conflicts) {
    let keys = foreign_keys(target).filter(|_| conflicts.api_keys == OnKey::Remove);
    let switches = other_providers(target).filter(|_| conflicts.providers == OnKey::Remove);
    let all: Vec<&str> = keys.chain(switches).collect();
    for variable in all {
        target.remove_env(variable);
    }
}

/// Whether the container brings a credential file that is neither the policy's nor of an earlier injection.
pub(super) fn has_own_file(target: &ContainerDraft<'_>, access: &Access) -> bool {
    let file = match access {
        Access::File(file) => Some(file.path.as_str()),
        Access::Node | Access::Broker { .. } => None,
    };
    is_foreign(target, CREDENTIALS) && !is_our_file(target, file)
}

fn is_foreign(target: &ContainerDraft<'_>, variable: &str) -> bool {
    target.environment.known(variable).is_some() && !target.is_previous(variable)
}

fn foreign_keys(target: &ContainerDraft<'_>) -> impl Iterator<Item = &'static str> {
    API_KEYS.iter().copied().filter(|key| is_foreign(target, key))
}

/// The switches to other providers that are on. What cannot be read may be on.
fn other_providers(target: &ContainerDraft<'_>) -> impl Iterator<Item = &'static str> {
    let is_on =
        |switch: &str| !matches!(target.environment.known(switch), Some(Known::Text(text)) if !clients::is_on(text));
    let foreign = OTHER_PROVIDERS
        .iter()
        .copied()
        .filter(|switch| is_foreign(target, switch));
    foreign.filter(move |switch| is_on(switch))
}

/// Whether the pod's credential file is the policy's, or lies in a volume of ours from an earlier injection. The policy's
/// path is the pod's own file when the pod mounts something right there.
fn is_our_file(target: &ContainerDraft<'_>, file: Option<&str>) -> bool {
    let Some(Known::Text(path)) = target.environment.known(CREDENTIALS) else {
        return false;
    };
    let Some(place) = Plain::of(path) else {
        return false;
    };
    let innermost = { target.own_mounts() }
        .filter(|(_, at)| place.is_within(at))
        .max_by_key(|(_, at)| at.depth());
    match innermost {
        Some((mount, _)) if mount.name.starts_with(names::NAME_PREFIX) => true,
        // Right there, or the directory that it is in.
        Some((_, at)) if place.depth() <= at.depth() + 1 => false,
        _ => Some(&**path) == file,
    }
}

/// `envFrom` may bring keys and switches that nobody sees here.
fn note_hidden_sources(
    target: &ContainerDraft<'_>,
    vertex: &Vertex,
    conflicts: &Conflicts,
    brokered: bool,
    notes: &mut Notes,
) {
    let Some(sources) = target.hidden_sources() else {
        return;
    };
    let name = target.name();
    if brokered && conflicts.values == OnValue::Deny {
        let problem = format!(
            "container {name:?} takes variables from {sources} with envFrom, which may hold {CREDENTIALS} or another way past the broker; conflicts.values is Deny, so list the variables one by one"
        );
        notes.deny(Some(name), "envFrom", problem);
    }
    if conflicts.api_keys == OnKey::Deny || conflicts.providers == OnKey::Deny {
        let problem = format!(
            "container {name:?} takes variables from {sources} with envFrom, which may hold an API key or another provider's switch; conflicts.apiKeys or conflicts.providers is Deny, so list the variables one by one"
        );
        notes.deny(Some(name), "envFrom", problem);
    } else {
        let keys: Vec<&str> = { vertex.clients.iter() }
            .filter_map(|client| client.traits().key_that_wins)
            .collect();
        let keys = match keys.as_slice() {
            [] => String::new(),
            keys => format!(", but for {}", keys.join(" and ")),
        };
        let more = if brokered {
            format!("; {CREDENTIALS} or another route in there would lead past the broker")
        } else {
            String::new()
        };
        let warning = format!(
            "container {name} takes variables from {sources} with envFrom, which the injector does not see: a switch to another provider in there would win over Vertex; an API key would not{keys}{more}"
        );
        notes.warn(Class::Unseen, name, "envFrom", warning);
    }
}
