//! From a policy and a pod to a draft: every unit of the policy in order, then what earlier injections left behind.

mod broker;
mod identity;
mod leftovers;

pub(super) use broker::taken_ports;

use super::decision::Needed;
use super::draft::Draft;
use super::env::Environment;
use super::policy::{Kind, Policy};
use super::recognise::OPENSHELL_USER_ENVIRONMENT;
use super::render::{self, Credential, Piece};
use super::{isolation, proxies, settings, sidecar};
use crate::api::{EnvVar, Isolation, OnValue, PolicySpec, VolumeMount};
use serde_json::Value;

/// Plans a policy in a pod. With `open_shell`, variables go into OpenShell's JSON.
pub(super) fn plan(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind, open_shell: bool) {
    if open_shell {
        enter_open_shell(draft);
    }
    let spec = &policy.spec;
    sidecar::plan_program(draft, policy);
    let brokered = identity::plan(draft, policy, kind);
    for piece in policy.helpers.iter().chain(&policy.tokens) {
        draft.unit(
            &piece.unit,
            format!("{} at {}", piece.volume_name, piece.path),
            |draft| {
                plan_piece(draft, piece, spec.conflicts.values);
            },
        );
    }
    if !kind.env.is_empty() {
        let names: Vec<&str> = kind.env.iter().map(|var| var.name.as_str()).collect();
        draft.unit("env", names.join(", "), |draft| {
            plan_env(draft, &kind.env, spec.conflicts.values);
        });
    }
    if !policy.volumes.is_empty() || !spec.volume_mounts.is_empty() {
        draft.unit("volumes", "", |draft| plan_volumes(draft, policy, spec));
    }
    let served = sidecar::plan(draft, policy);
    for container in 0..draft.containers.len() {
        proxies::except_loopback(draft, container, brokered || served.any);
    }
    note_needs(draft, policy, kind);
    leftovers::remove_stale(draft);
    leftovers::deny_foreign_mounts(draft);
    check_isolation(draft, policy, kind, brokered, &served);
}

/// Whether the agent could get around the broker and the credential sidecars.
fn check_isolation(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind, brokered: bool, served: &sidecar::Served) {
    let own = policy
        .tokens
        .iter()
        .map(|piece| (piece.unit.clone(), piece.volume.clone()));
    let own: Vec<(String, Value)> = own.chain(policy.volumes.iter().cloned()).collect();
    let mut exposures = match &policy.broker {
        Some(broker) if brokered => isolation::exposures(draft, broker, &own, &kind.env),
        _ if served.hides => isolation::of_boundaries(draft),
        _ => Vec::new(),
    };
    exposures.extend(isolation::readers(draft, &served.secrets, &own));
    match policy.spec.isolation {
        Isolation::Required => draft.exposures.append(&mut exposures),
        Isolation::BestEffort => draft
            .warnings
            .extend(exposures.into_iter().map(|exposure| format!("isolation: {exposure}"))),
    }
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
            _ => draft.problems.push(format!(
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
    for container in 0..draft.containers.len() {
        needed |= draft.mount(container, render::read_only_mount(volume_name, path), Some(volume));
        if let Some((name, value)) = env {
            settings::plain(draft, container, &render::literal(name, value), on_value);
        }
    }
    if needed {
        draft.add_volume(volume_name, volume);
    }
}

fn plan_env(draft: &mut Draft<'_>, env: &[EnvVar], on_value: OnValue) {
    for container in 0..draft.containers.len() {
        for var in env {
            settings::plain(draft, container, &render::env(var), on_value);
        }
    }
}

fn plan_volumes(draft: &mut Draft<'_>, policy: &Policy, spec: &PolicySpec) {
    for (name, volume) in &policy.volumes {
        draft.add_volume(name, volume);
    }
    for VolumeMount { name, .. } in &spec.volume_mounts {
        if spec.pod_volumes.contains(name) && draft.volume(name).is_none() {
            draft.problems.push(format!(
                "the pod has no volume {name:?}, which the policy lists in podVolumes and mounts"
            ));
        }
    }
    for container in 0..draft.containers.len() {
        for mount in &spec.volume_mounts {
            draft.mount(container, render::mount(mount), None);
        }
    }
}

/// The objects that the pod will wait for because of the policy.
fn note_needs(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind) {
    let has = |unit: &str| {
        draft
            .units
            .iter()
            .any(|other| other.name == unit && other.reason.is_none())
    };
    let (identity, broker) = (has("identity"), has("broker"));
    if identity && let Some(Credential::File { volume, .. }) = &kind.credential {
        note_sources(draft, volume);
    }
    if broker && let Some(broker) = &policy.broker {
        for volume in broker.volume.iter().chain(&broker.trust) {
            note_sources(draft, volume);
        }
    }
    for piece in &policy.helpers {
        note_sources(draft, &piece.volume);
    }
    for (_, volume) in &policy.volumes {
        note_sources(draft, volume);
    }
    for var in &kind.env {
        note_variable(draft, var);
    }
}

/// What a variable's value comes from.
pub(super) fn note_variable(draft: &mut Draft<'_>, var: &EnvVar) {
    let Some(source) = &var.value_from else { return };
    for (kind, reference) in [
        ("ConfigMap", &source.config_map_key_ref),
        ("Secret", &source.secret_key_ref),
    ] {
        if let Some(reference) = reference {
            draft.needs.insert(Needed {
                kind,
                name: reference.name.clone(),
                optional: reference.optional,
            });
        }
    }
}

fn note_sources(draft: &mut Draft<'_>, volume: &Value) {
    let sources = volume
        .pointer("/projected/sources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for source in sources.chain([volume]) {
        let fields = [
            ("ConfigMap", "configMap", "name"),
            ("Secret", "secret", "secretName"),
            ("Secret", "secret", "name"),
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
        ];
        for (kind, key, name) in fields {
            let Some(object) = source.get(key) else { continue };
            let Some(name) = object.get(name).and_then(Value::as_str) else {
                continue;
            };
            let optional = object.get("optional").and_then(Value::as_bool).unwrap_or(false);
            draft.needs.insert(Needed {
                kind,
                name: name.to_owned(),
                optional,
            });
        }
    }
}
