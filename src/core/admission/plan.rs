//! From a policy and a pod to a draft: every unit of the policy in order, then what earlier injections left behind.

mod broker;
mod credentials;
mod identity;

use super::draft::Draft;
use super::env::Environment;
use super::finding::Finding;
use super::policy::{Kind, Policy};
use super::ports::Ports;
use super::recognise::OPENSHELL_USER_ENVIRONMENT;
use super::render::{self, Credential, Piece};
use super::resulting::Resulting;
use super::sidecar::{self, Choice, Served, Server};
use super::{isolation, proxies, settings};
use crate::api::{EnvVar, Isolation, OnValue, PolicySpec, VolumeMount};
use serde_json::Value;

/// Plans a policy in a pod. With `open_shell`, variables go into OpenShell's JSON.
pub(super) fn plan_policy(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind, open_shell: bool) {
    if open_shell {
        enter_open_shell(draft);
    }
    let spec = &policy.spec;
    let on_value = spec.conflicts.values;
    let choice = Choice::of(&policy.sidecars, &draft.containers);
    let ports = Ports::of(Resulting::of(draft, policy, kind), policy, &choice.served);
    // Before everything else of ours.
    if choice.served.iter().any(|server| Server::is_wrapped(server)) {
        sidecar::plan_program(draft, &policy.sidecars);
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
    if !policy.volumes.is_empty() || !spec.volume_mounts.is_empty() {
        draft.unit("volumes", "", |draft| plan_volumes(draft, policy, spec));
    }
    let served = sidecar::plan_sidecars(draft, policy, choice, &ports.sidecars);
    for target in &mut draft.containers {
        proxies::except_loopback(target, brokered || served.any, &mut draft.notes);
    }
    note_needs(draft, policy, kind);
    draft.remove_stale();
    let resulting = Resulting::of(draft, policy, kind);
    let mut problems = isolation::foreign_mounts(resulting);
    let exposures = exposures(resulting, policy, brokered, &served);
    draft.notes.problems.append(&mut problems);
    match spec.isolation {
        Isolation::Required => draft.notes.exposures.extend(exposures),
        Isolation::BestEffort => draft
            .notes
            .warnings
            .extend(exposures.into_iter().map(Finding::admitted)),
    }
}

/// By what the agent could get around the broker and the credential sidecars.
fn exposures(resulting: Resulting<'_, '_>, policy: &Policy, brokered: bool, served: &Served) -> Vec<Finding> {
    let mut exposures = match &policy.broker {
        Some(broker) if brokered => isolation::around_broker(resulting, broker),
        _ if served.hides => isolation::of_boundaries(resulting),
        _ => Vec::new(),
    };
    exposures.extend(isolation::readers(resulting, &served.secrets));
    exposures
}

/// Points the environment of each chosen container at OpenShell's JSON.
fn enter_open_shell(draft: &mut Draft<'_>) {
    for target in &mut draft.containers {
        let name = target.name();
        let position = target.environment.position(OPENSHELL_USER_ENVIRONMENT);
        let entry = position.and_then(|i| target.chosen.container.env.as_ref()?.get(i));
        let literal = entry.and_then(|env| env.value.as_deref());
        let object = literal.and_then(|text| serde_json::from_str::<serde_json::Map<String, Value>>(text).ok());
        match (position, object) {
            (Some(position), Some(object)) if object.values().all(Value::is_string) => {
                target.environment = Environment::of_json(&object);
                target.json = Some((position, object));
            }
            _ => draft.notes.deny(Some(name), OPENSHELL_USER_ENVIRONMENT, format!(
                "container {name:?} has no {OPENSHELL_USER_ENVIRONMENT} with a literal JSON object of strings, the only environment that processes in an OpenShell sandbox see; set openShell: Skip"
            )),
        }
    }
}

fn plan_piece(draft: &mut Draft<'_>, piece: &Piece, on_value: OnValue) {
    let Piece {
        unit: _,
        volume_name,
        volume,
        path,
        env,
    } = piece;
    let mut needed = false;
    let (volumes, notes) = (&draft.volumes, &mut draft.notes);
    for target in &mut draft.containers {
        let mount = render::read_only_mount(volume_name, path);
        needed |= target.mount(mount, |found| volumes.shows(found, volume), notes);
        if let Some((name, value)) = env {
            settings::plan_variable(target, name, render::literal(name, value), on_value, notes);
        }
    }
    if needed {
        draft.add_volume(volume_name, volume);
    }
}

fn plan_env(draft: &mut Draft<'_>, env: &[EnvVar], on_value: OnValue) {
    for target in &mut draft.containers {
        for var in env {
            settings::plan_variable(target, &var.name, render::env(var), on_value, &mut draft.notes);
        }
    }
}

fn plan_volumes(draft: &mut Draft<'_>, policy: &Policy, spec: &PolicySpec) {
    for (name, volume) in &policy.volumes {
        draft.add_volume(name, volume);
    }
    for VolumeMount { name, .. } in &spec.volume_mounts {
        if spec.pod_volumes.contains(name) && draft.volumes.get(name).is_none() {
            let problem = format!("the pod has no volume {name:?}, which the policy lists in podVolumes and mounts");
            draft.notes.deny(None, "spec.volumes", problem);
        }
    }
    for target in &mut draft.containers {
        for mount in &spec.volume_mounts {
            target.mount(render::mount(mount), |_| false, &mut draft.notes);
        }
    }
}

/// The objects that the pod will wait for because of the policy.
fn note_needs(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind) {
    let notes = &mut draft.notes;
    if let Some(Credential::File { volume, .. }) = &kind.credential
        && notes.has_unit("identity")
    {
        notes.need_for_volume(volume);
    }
    if let Some(broker) = &policy.broker
        && notes.has_unit("broker")
    {
        for volume in broker.volume.iter().chain(&broker.trust) {
            notes.need_for_volume(volume);
        }
    }
    let helpers = policy.helpers.iter().map(|piece| &piece.volume);
    for volume in helpers.chain(policy.volumes.iter().map(|(_, volume)| volume)) {
        notes.need_for_volume(volume);
    }
    for var in &kind.env {
        notes.need_for_variable(var);
    }
}
