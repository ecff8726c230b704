//! Whether the agent could get around the broker or a sidecar: what `isolation: Required` denies, and `BestEffort` warns of.
//!
//! A container's boundary is what keeps the credential from the agent, so a pod that loosens it (the Pod Security Standard
//! *baseline* and a shared process namespace) is none in which a container of ours can hide something. Nor is one whose agent has
//! the credential, or the token that fetches it, by another way.

use super::baseline;
use super::finding::Finding;
use super::guarded::{Guarded, Thing};
use super::resulting::{Origin, Resulting, ResultingContainer, ResultingVolume};
use crate::clients::CREDENTIALS;
use crate::names;
use crate::policy::{Broker, Held};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most findings: a pod may have thousands of containers that mount thousands of volumes.
const MOST: usize = 64;

/// Every way around the broker and the sidecars, each with the field.
pub(super) fn exposures(resulting: Resulting<'_, '_>, broker: Option<&Broker>, guarded: &Guarded<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if guarded.hides() {
        found.extend(baseline::beyond(resulting));
        if resulting.pod().spec.share_process_namespace {
            let text = "spec.shareProcessNamespace is true: the agent sees the broker's process and files";
            found.push(Finding::exposure(None, "shareProcessNamespace", text));
        }
    }
    let mut names = BTreeSet::new();
    let volumes: Vec<ResultingVolume<'_>> = resulting
        .volumes()
        .filter(|it| names.insert((it.origin, it.name)))
        .collect();
    for thing in guarded.things() {
        if let Some(secret) = thing.secret() {
            let users = resulting.containers().filter(|it| takes_from(it, secret));
            found.extend(users.take(MOST).map(|user| {
                let name = user.name();
                Finding::exposure(
                    Some(name),
                    "env",
                    format!("container {name:?} takes variables from {thing}"),
                )
            }));
        }
        for volume in volumes.iter().filter(|volume| thing.is_in(&volume.content)).take(MOST) {
            note_volume(resulting, volume, thing, &mut found);
        }
        for var in resulting
            .policy_env()
            .filter(|var| thing.secret().is_some() && var.secret() == thing.secret())
        {
            let name = &var.name;
            let text = format!("the policy's own variable {name} comes from {thing}");
            found.push(Finding::exposure(None, name, text));
        }
    }
    if let Some(broker) = broker {
        note_other_ways(resulting, broker, &mut found);
    }
    found.truncate(MOST);
    found
}

/// Volumes of ours in containers that the policy does not serve: they would hand the credential to them.
pub(super) fn foreign_mounts(resulting: Resulting<'_, '_>) -> Vec<Finding> {
    let containers = resulting.containers().filter(|container| !container.is_served());
    let mounts = containers.flat_map(|container| container.mounted().map(move |volume| (container.name(), volume)));
    let foreign = mounts.filter(|(_, volume)| volume.starts_with(names::PIECE_PREFIX));
    let problem = |(name, volume): (&str, &str)| {
        let problem = format!(
            "container {name:?} mounts volume {volume:?}, which belongs to the injector, and the policy does not serve this container; remove the mount"
        );
        Finding::conflict(Some(name), "volumeMounts", problem)
    };
    foreign.take(MOST).map(problem).collect()
}

/// A volume that shows what the agent may not read: the containers that mount one of the pod's, or the policy's itself.
fn note_volume(
    resulting: Resulting<'_, '_>,
    volume: &ResultingVolume<'_>,
    thing: &Thing<'_>,
    found: &mut Vec<Finding>,
) {
    let name = volume.name;
    match volume.origin {
        Origin::Pod => found.extend(resulting.users(name).take(MOST).map(|user| {
            let user = user.name();
            let text = format!("container {user:?} mounts volume {name:?}, which holds {thing}");
            Finding::exposure(Some(user), "volumeMounts", text)
        })),
        Origin::Policy => {
            let text = format!("the policy's own volume {name:?} holds {thing}, for the agent");
            found.push(Finding::exposure(None, name, text));
        }
    }
}

/// Ways around a broker that are not what it keeps.
fn note_other_ways(resulting: Resulting<'_, '_>, broker: &Broker, found: &mut Vec<Finding>) {
    found.extend(resulting.with_own_credential_file().map(|name| {
        let text = format!("container {name:?} has a credential file of its own ({CREDENTIALS}) that is in no volume for such files, so it stays");
        Finding::exposure(Some(name), CREDENTIALS, text)
    }));
    match broker.held {
        Held::Token { .. } | Held::Key { .. } => {}
        Held::Node => found.push(Finding::exposure(
            None,
            "identity.gkeWorkloadIdentity",
            "identity.gkeWorkloadIdentity gives every container of the pod the identity, at the node's metadata server",
        )),
    }
}

/// Whether variables of a container come from a Secret.
fn takes_from(resulting: &ResultingContainer<'_, '_>, secret: &str) -> bool {
    let whole = resulting
        .container
        .env_from
        .iter()
        .filter_map(|source| source.secret_ref.as_ref())
        .any(|reference| *reference.name == *secret);
    let single = resulting
        .own_env()
        .filter_map(|env| serde_json::from_str::<Value>(env.value_from?.get()).ok())
        .any(|source| source.pointer("/secretKeyRef/name").and_then(Value::as_str) == Some(secret));
    whole || single
}
