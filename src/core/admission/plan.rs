//! From a policy and a pod to a draft: every unit of the policy in order, then what earlier injections left behind.

mod broker;
mod credentials;
mod identity;

use super::draft::{Dangling, Draft, SUB_PATH};
use super::env::Environment;
use super::finding::{Class, Finding};
use super::guarded::Guarded;
use super::ports::Ports;
use super::recognise::OPENSHELL_USER_ENVIRONMENT;
use super::resulting::Resulting;
use super::sidecar::{self, Choice, Trusted};
use super::{isolation, limits, proxies, settings};
use crate::api::{Isolation, OnValue};
use crate::path::is_within;
use crate::policy::{Access, Broker, Compiled, Kind, MountedVolume, Variable, Volumes, render};
use serde_json::Value;

/// Plans a policy in a pod. With `open_shell`, variables go into OpenShell's JSON.
pub(super) fn plan_policy(draft: &mut Draft<'_>, policy: &Compiled, kind: &Kind, open_shell: bool) {
    if open_shell {
        enter_open_shell(draft);
        note_sandbox(draft, kind);
    }
    let on_value = policy.conflicts.values;
    let broker = broker_of(kind);
    let choice = Choice::of(&policy.sidecars, &draft.containers);
    let ports = Ports::of(
        Resulting::of(draft, policy, kind),
        broker,
        &policy.sidecars,
        &choice.served,
    );
    let trusted = Trusted::of(draft, policy.sidecars.trust.as_ref(), kind);
    // Before everything else of ours.
    if choice.served.iter().any(|sidecar| sidecar.wrapper().is_some()) {
        sidecar::plan_program(draft, &policy.sidecars.program);
    }
    let brokered = identity::plan_identity(draft, policy, kind, ports.broker.as_ref());
    for piece in policy.helpers.iter().chain(&policy.tokens) {
        let detail = format!("{} at {}", piece.volume_name, piece.path);
        draft.unit(&piece.unit, detail, |draft| plan_piece(draft, piece, on_value));
    }
    if !kind.env.is_empty() {
        let names: Vec<&str> = kind.env.iter().map(|var| var.name.as_str()).collect();
        draft.unit("env", names.join(", "), |draft| plan_env(draft, &kind.env, on_value));
    }
    if !policy.volumes.own.is_empty() || !policy.volumes.mounts.is_empty() {
        draft.unit("volumes", "", |draft| plan_volumes(draft, &policy.volumes));
    }
    let any_sidecar = sidecar::plan_sidecars(draft, policy, choice, &ports.sidecars, &trusted);
    for target in &mut draft.containers {
        proxies::except_loopback(target, brokered || any_sidecar, &mut draft.notes);
    }
    draft.remove_stale();
    note_dangling(draft);
    let resulting = Resulting::of(draft, policy, kind);
    let problems = isolation::foreign_mounts(resulting);
    let broker = broker.filter(|_| brokered);
    let mut guarded = Guarded::default();
    if let Some(broker) = broker {
        guarded.add_broker(broker);
    }
    for placed in &ports.sidecars {
        guarded.add_sidecar(placed.sidecar);
    }
    let exposures = isolation::exposures(resulting, broker, &guarded);
    let vertex = kind.google.as_ref().and_then(|google| google.vertex.as_deref());
    let rules = broker.and_then(|broker| Some(&broker.told.proxy()?.rules));
    let limits::Beyond {
        problems: beyond,
        unseen,
    } = match (rules, vertex) {
        (Some(rules), Some(vertex)) => limits::beyond(resulting, vertex, rules),
        (None, _) | (_, None) => limits::Beyond::default(),
    };
    draft.notes.problems.append(beyond);
    draft.notes.problems.append(problems);
    draft.notes.warnings.append(unseen);
    match policy.isolation {
        Isolation::Required => draft.notes.exposures.append(exposures),
        Isolation::BestEffort => draft.notes.warnings.append(exposures.map(Finding::admitted)),
    }
}

/// A sandbox reads what its own filesystem policy names, and a mount elsewhere is not there for its processes.
fn note_sandbox(draft: &mut Draft<'_>, kind: &Kind) {
    const READABLE: [&str; 6] = ["/sandbox", "/tmp", "/app", "/etc", "/usr", "/lib"];
    let Some(Access::File(file)) = kind.google.as_ref().map(|google| &google.access) else {
        return;
    };
    let directory = file.directory.as_str();
    if !READABLE.iter().any(|readable| is_within(directory, readable)) {
        let text = format!(
            "an OpenShell sandbox reads {} by default, and the credential file is at {directory}; set agents[].credentialDirectory to a directory of these, or name it in the sandbox's filesystem policy",
            READABLE.join(", ")
        );
        let finding = Finding::new(Class::Unclear, None, "credentialDirectory", text);
        draft.notes.warnings.push(finding);
    }
}

/// Names what of the pod refers to variables that go, or come too late now: the kubelet would leave `$(NAME)` there.
fn note_dangling(draft: &mut Draft<'_>) {
    for target in &draft.containers {
        target.dangling(|Dangling { of, to, late }| {
            let container = target.name();
            draft.notes.warnings.push_with(|| {
                let why = if late { "is set behind it now" } else { "is removed" };
                let then = if of == SUB_PATH {
                    "the container will not start".to_owned()
                } else {
                    format!("it will hold the text $({to})")
                };
                let text = format!(
                    "{of} of container {container} refers to {to}, which {why}, so {then}; give it a value of its own"
                );
                Finding::new(Class::Replaced, Some(container), of, text)
            });
        });
    }
}

fn broker_of(kind: &Kind) -> Option<&Broker> {
    match &kind.google.as_ref()?.access {
        Access::File(_) | Access::Node => None,
        Access::Broker { broker, .. } => Some(broker),
    }
}

/// Most bytes of the environments of all containers of an OpenShell pod.
const MAX_OPENSHELL: usize = 256 << 10;

/// Points the environment of each chosen container at OpenShell's JSON.
fn enter_open_shell(draft: &mut Draft<'_>) {
    let mut room = MAX_OPENSHELL;
    for target in &mut draft.containers {
        let name = target.name();
        let position = target.environment.position(OPENSHELL_USER_ENVIRONMENT);
        let entry = position.and_then(|i| target.chosen.container.env.as_ref()?.get(i));
        let literal = entry
            .and_then(|env| env.value.as_deref())
            .filter(|text| text.len() <= room);
        room -= literal.map_or(0, str::len);
        let object = literal.and_then(|text| serde_json::from_str::<serde_json::Map<String, Value>>(text).ok());
        match (position, object) {
            (Some(position), Some(object)) if object.values().all(Value::is_string) => {
                target.environment = Environment::of_json(&object);
                target.json = Some((position, object));
            }
            _ => draft.notes.deny(Some(name), OPENSHELL_USER_ENVIRONMENT, format!(
                "container {name:?} has no {OPENSHELL_USER_ENVIRONMENT} with a literal JSON object of strings (of all containers at most {} KiB), the only environment that processes in an OpenShell sandbox see; set openShell: Skip",
                MAX_OPENSHELL >> 10
            )),
        }
    }
}

fn plan_piece(draft: &mut Draft<'_>, piece: &MountedVolume, on_value: OnValue) {
    let MountedVolume {
        unit,
        volume_name,
        volume,
        path,
        env,
        needed,
    } = piece;
    draft.notes.need(needed.clone());
    let mut mounted = false;
    let (volumes, notes) = (&draft.volumes, &mut draft.notes);
    for target in &mut draft.containers {
        let mount = render::read_only_mount(volume_name, path.as_str());
        mounted |= target.mount(mount, volume, true, volumes, notes);
        if let Some((name, value)) = env {
            let entry = render::literal(name, value);
            if on_value == OnValue::Keep && settings::is_foreign(target, name, &entry) {
                let container = target.name();
                let problem = format!(
                    "container {container:?} sets {name} itself, so {unit} would not be where it looks; remove the variable from the pod, or set conflicts.values: Override in the policy"
                );
                notes.deny(Some(container), name, problem);
            } else {
                settings::plan_variable(target, name, entry, on_value, notes);
            }
        }
    }
    if mounted {
        draft.add_volume(volume_name, volume);
    }
}

fn plan_env(draft: &mut Draft<'_>, env: &[Variable], on_value: OnValue) {
    draft.notes.need(env.iter().filter_map(Variable::needed));
    for target in &mut draft.containers {
        for var in env {
            settings::plan_variable(target, &var.name, var.entry.clone(), on_value, &mut draft.notes);
        }
    }
}

fn plan_volumes(draft: &mut Draft<'_>, volumes: &Volumes) {
    for volume in &volumes.own {
        draft.notes.need(volume.needed.iter().cloned());
        draft.add_volume(&volume.name, &volume.entry);
    }
    for mount in volumes.mounts.iter().filter(|mount| mount.of_pod) {
        let name = &mount.volume;
        if draft.volumes.get(name).is_none() {
            let problem = format!("the pod has no volume {name:?}, which the policy lists in podVolumes and mounts");
            draft.notes.deny(None, "spec.volumes", problem);
        }
    }
    for mount in &volumes.mounts {
        let own = volumes.own.iter().find(|own| own.name == mount.volume);
        let of_pod = || draft.volumes.content(&mount.volume).unwrap_or_default();
        let shown = own.map_or_else(of_pod, |own| own.entry.clone());
        for target in &mut draft.containers {
            target.mount(mount.entry.clone(), &shown, false, &draft.volumes, &mut draft.notes);
        }
    }
}
