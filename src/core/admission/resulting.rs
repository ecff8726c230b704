//! The pod as it will be when every edit is made, the policy's own volumes, mounts and variables included: what isolation
//! and ports are decided about.

use super::draft::{ContainerDraft, Draft};
use super::env::Environment;
use super::pod::{Container, Env, Pod, Volume};
use super::select::{self, List, Place};
use crate::policy::{Compiled, Kind, Variable};
use serde_json::Value;
use std::collections::HashMap;

/// The view. Containers and volumes of ours are not in it: nobody but we decide what they are.
#[derive(Clone, Copy)]
pub(super) struct Resulting<'d, 'p> {
    draft: &'d Draft<'p>,
    policy: &'d Compiled,
    kind: &'d Kind,
}

/// A container of the pod's own.
#[derive(Clone, Copy)]
pub(super) struct ResultingContainer<'d, 'p> {
    place: Place,
    /// As the pod has it; for variables and mounts, ask the methods.
    pub(super) container: &'p Container<'p>,
    edits: Option<&'d ContainerDraft<'p>>,
}

/// A volume with what of it is a credential.
pub(super) struct ResultingVolume<'d> {
    pub(super) name: &'d str,
    /// The audiences of its projected tokens.
    pub(super) audiences: Vec<&'d str>,
    /// The Secrets that it shows.
    pub(super) secrets: Vec<&'d str>,
    pub(super) origin: Origin,
}

/// The containers of the pod's own by the volumes that they mount.
pub(super) struct Users<'d, 'p>(HashMap<&'d str, Vec<ResultingContainer<'d, 'p>>>);

/// Who gives the pod a volume.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The pod brings it.
    Pod,
    /// The policy adds it for the agent.
    Policy,
}

impl<'d, 'p> Resulting<'d, 'p> {
    /// The view of what is planned in a draft so far.
    pub(super) fn of(draft: &'d Draft<'p>, policy: &'d Compiled, kind: &'d Kind) -> Self {
        Self { draft, policy, kind }
    }

    /// The pod, whose fields outside of containers and volumes no policy changes.
    pub(super) fn pod(&self) -> &'p Pod<'p> {
        self.draft.pod
    }

    /// The pod's own containers, init containers last.
    pub(super) fn containers(self) -> impl Iterator<Item = ResultingContainer<'d, 'p>> {
        select::own(self.draft.pod).map(move |(place, container)| ResultingContainer {
            place,
            container,
            edits: self.draft.at(place),
        })
    }

    /// The pod's own containers by the volumes that they mount: one look at each mount, however many are asked about.
    pub(super) fn users(self) -> Users<'d, 'p> {
        let mut users: HashMap<&'d str, Vec<ResultingContainer<'d, 'p>>> = HashMap::new();
        for container in self.containers() {
            for volume in container.mounted() {
                let of_volume = users.entry(volume).or_default();
                if of_volume.last().is_none_or(|last| last.place != container.place) {
                    of_volume.push(container);
                }
            }
        }
        Users(users)
    }

    /// The container of the pod's own that declares a port, if one does.
    pub(super) fn user_of_port(self, port: u16) -> Option<ResultingContainer<'d, 'p>> {
        self.containers()
            .find(|container| container.ports().any(|declared| declared == port))
    }

    /// The containers that the policy serves and whose own credential file may be left, each with why, in the order in
    /// which they were chosen.
    pub(super) fn with_own_credential_file(self) -> impl Iterator<Item = (&'p str, &'d str)> {
        let drafts = self.draft.containers.iter();
        drafts.filter_map(|draft| Some((draft.name(), draft.left_credential_file.as_deref()?)))
    }

    /// The containers that the policy serves, each with its environment as it will be.
    pub(super) fn served(self) -> impl Iterator<Item = (&'d ContainerDraft<'p>, Environment<'d>)> {
        let pod = self.draft.pod;
        self.draft
            .chosen()
            .map(move |draft| (draft, draft.environment_after(pod)))
    }

    /// The volumes that the pod itself brings and keeps.
    pub(super) fn own_volumes(self) -> impl Iterator<Item = &'d Volume<'p>> {
        self.draft.volumes.kept().map(|(volume, _)| volume)
    }

    /// The volumes that the agent may read: the pod's, then the policy's.
    pub(super) fn volumes(self) -> impl Iterator<Item = ResultingVolume<'d>> {
        let own = self
            .draft
            .volumes
            .kept()
            .map(|(volume, _)| ResultingVolume::of_pod(volume));
        let tokens = self.policy.tokens.iter().map(|piece| (&piece.unit, &piece.volume));
        let volumes = self
            .policy
            .volumes
            .own
            .iter()
            .map(|volume| (&volume.name, &volume.entry));
        let added = tokens.chain(volumes);
        own.chain(added.map(|(name, volume)| ResultingVolume::of_policy(name, volume)))
    }

    /// The variables that the policy adds for the agent.
    pub(super) fn policy_env(self) -> impl Iterator<Item = &'d Variable> {
        self.kind.env.iter()
    }
}

impl<'d, 'p> Users<'d, 'p> {
    /// Those that mount a volume.
    pub(super) fn of(&self, volume: &str) -> &[ResultingContainer<'d, 'p>] {
        self.0.get(volume).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<'d> ResultingVolume<'d> {
    /// Whether it shows neither a token nor a Secret.
    pub(super) fn is_harmless(&self) -> bool {
        self.audiences.is_empty() && self.secrets.is_empty()
    }

    fn of_pod(volume: &'d Volume<'_>) -> Self {
        let sources = || volume.projected.iter().flat_map(|projected| &projected.sources);
        let tokens = sources().filter_map(|source| source.service_account_token.as_ref()?.audience.as_deref());
        let secrets = sources().filter_map(|source| Some(&*source.secret.as_ref()?.name));
        let whole = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref());
        Self {
            name: &volume.name,
            audiences: tokens.collect(),
            secrets: secrets.chain(whole).collect(),
            origin: Origin::Pod,
        }
    }

    fn of_policy(name: &'d str, volume: &'d Value) -> Self {
        let sources = || {
            {
                volume
                    .pointer("/projected/sources")
                    .and_then(Value::as_array)
                    .into_iter()
            }
            .flatten()
        };
        let text = |value: &'d Value, pointer: &str| value.pointer(pointer)?.as_str();
        let tokens = sources().filter_map(|source| text(source, "/serviceAccountToken/audience"));
        let secrets = sources().filter_map(|source| text(source, "/secret/name"));
        Self {
            name,
            audiences: tokens.collect(),
            secrets: secrets.chain(text(volume, "/secret/secretName")).collect(),
            origin: Origin::Policy,
        }
    }
}

impl<'d, 'p: 'd> ResultingContainer<'d, 'p> {
    /// Its name.
    pub(super) fn name(&self) -> &'p str {
        &self.container.name
    }

    /// Whether the policy serves it, or an earlier injection did.
    pub(super) fn is_served(&self) -> bool {
        self.edits.is_some()
    }

    /// Whether it ends before the agent starts.
    pub(super) fn ends(&self) -> bool {
        self.place.list == List::InitContainers && self.container.restart_policy.as_deref() != Some("Always")
    }

    /// The ports that it declares.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> + use<'p> {
        let ports = self.container.ports.iter();
        ports.filter_map(|port| u16::try_from(port.container_port).ok())
    }

    /// The volumes that it mounts, those that the policy has it mount included.
    pub(super) fn mounted(&self) -> impl Iterator<Item = &'d str> + use<'d, 'p> {
        let mounts = self.container.volume_mounts.iter().flatten().enumerate();
        let edits = self.edits;
        let kept = mounts.filter(move |(i, _)| edits.is_none_or(|edits| edits.keeps_mount(*i)));
        let added = edits.into_iter().flat_map(ContainerDraft::newly_mounted);
        kept.map(|(_, mount)| &*mount.name).chain(added)
    }

    /// The variables of the pod's own that stay.
    pub(super) fn own_env(&self) -> impl Iterator<Item = &'p Env<'p>> {
        let env = self.container.env.iter().flatten().enumerate();
        let edits = self.edits;
        env.filter(move |(i, _)| edits.is_none_or(|edits| edits.keeps_env(*i)))
            .map(|(_, env)| env)
    }
}
