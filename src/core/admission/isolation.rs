//! Whether the agent could get around the broker or a sidecar: what `isolation: Required` denies, and `BestEffort` warns of.
//!
//! A container's boundary is what keeps the credential from the agent, so a pod that loosens it (the Pod Security Standard
//! *baseline* and a shared process namespace) is none in which a container of ours can hide something. Nor is one whose agent has
//! the credential, or the token that fetches it, by another way.

use super::baseline;
use super::finding::{Finding, Findings};
use super::guarded::{Guarded, Thing};
use super::pod::{Env, ValueSource};
use super::resulting::{Origin, Resulting, ResultingContainer, ResultingVolume, Users};
use crate::clients::CREDENTIALS;
use crate::names;
use crate::policy::{Broker, Held};
use std::collections::{BTreeMap, BTreeSet};

/// Every way around the broker and the sidecars, each with the field.
pub(super) fn exposures(resulting: Resulting<'_, '_>, broker: Option<&Broker>, guarded: &Guarded<'_>) -> Findings {
    let mut found = Findings::default();
    if guarded.hides() {
        baseline::beyond(resulting, &mut found);
        if resulting.pod().spec.share_process_namespace {
            let text = "spec.shareProcessNamespace is true: the agent sees the broker's process and files";
            found.push(Finding::exposure(None, "shareProcessNamespace", text));
        }
    }
    let (users, readers) = (resulting.users(), Readers::of(resulting));
    let volumes: Vec<_> = { resulting.volumes() }.filter(|it| !it.is_harmless()).collect();
    for thing in guarded.things() {
        if let Some(secret) = thing.secret() {
            found.extend(readers.of_secret(secret).map(|name| {
                let text = format!("container {name:?} takes variables from {thing}");
                Finding::exposure(Some(name), "env", text)
            }));
        }
        for volume in volumes.iter().filter(|volume| thing.is_in(volume)) {
            note_volume(&users, volume, thing, &mut found);
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
    found
}

/// Volumes of ours in containers that the policy does not serve, and in variables of any: they would hand the credential to them.
pub(super) fn foreign_mounts(resulting: Resulting<'_, '_>) -> Findings {
    let mut found = Findings::default();
    for container in resulting.containers().filter(|container| !container.is_served()) {
        let name = container.name();
        let mounted = container.mounted();
        found.extend(mounted.filter(|volume| volume.starts_with(names::NAME_PREFIX)).map(|volume| {
            let problem = format!(
                "container {name:?} mounts volume {volume:?}, which belongs to the injector, and the policy does not serve this container; remove the mount"
            );
            Finding::conflict(Some(name), "volumeMounts", problem)
        }));
    }
    for container in resulting.containers() {
        let name = container.name();
        found.extend(container.own_env().filter_map(|env| {
            let volume = source_of(env)?.file_key_ref?.volume_name?;
            volume.starts_with(names::NAME_PREFIX).then(|| {
                let variable = &*env.name;
                let problem = format!(
                    "container {name:?} takes variable {variable} from a file of volume {:?} (fileKeyRef), which belongs to the injector; remove the variable",
                    &*volume
                );
                Finding::conflict(Some(name), variable, problem)
            })
        }));
    }
    found
}

/// Where a variable's value comes from, as far as we read it.
fn source_of<'p>(env: &Env<'p>) -> Option<ValueSource<'p>> {
    serde_json::from_str(env.value_from?.get()).ok()
}

/// Containers of the pod's own by the Secrets that their variables come from: one look at each variable.
struct Readers<'p>(BTreeMap<String, Vec<&'p str>>);

impl<'p> Readers<'p> {
    fn of(resulting: Resulting<'_, 'p>) -> Self {
        let mut readers: BTreeMap<String, Vec<&'p str>> = BTreeMap::new();
        for container in resulting.containers() {
            let secrets: BTreeSet<String> = secrets_of(&container).collect();
            for secret in secrets {
                readers.entry(secret).or_default().push(container.name());
            }
        }
        Self(readers)
    }

    fn of_secret(&self, secret: &str) -> impl Iterator<Item = &'p str> {
        self.0.get(secret).into_iter().flatten().copied()
    }
}

/// A volume that shows what the agent may not read: the containers that mount one of the pod's, or the policy's itself.
fn note_volume(users: &Users<'_, '_>, volume: &ResultingVolume<'_>, thing: &Thing<'_>, found: &mut Findings) {
    let name = volume.name;
    match volume.origin {
        Origin::Pod => found.extend(users.of(name).iter().map(|user| {
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
fn note_other_ways(resulting: Resulting<'_, '_>, broker: &Broker, found: &mut Findings) {
    found.extend(resulting.with_own_credential_file().map(|(name, why)| {
        let text = format!("container {name:?} has a credential file of its own {why}");
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

/// The Secrets that variables of a container come from.
fn secrets_of<'d>(resulting: &'d ResultingContainer<'_, '_>) -> impl Iterator<Item = String> + 'd {
    let whole = resulting.container.env_from.iter();
    let whole = whole.filter_map(|source| Some(source.secret_ref.as_ref()?.name.to_string()));
    let single = resulting
        .own_env()
        .filter_map(|env| Some(source_of(env)?.secret_key_ref?.name.to_string()));
    whole.chain(single)
}
