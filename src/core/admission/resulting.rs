//! The pod as it will be when every edit is made, the policy's own volumes, mounts and variables included: what isolation
//! and ports are decided about.

use super::draft::{ContainerDraft, Draft};
use super::pod::{Container, Env, Pod, Volume};
use super::select::{self, List, Place};
use crate::policy::{Compiled, Kind, Variable};
use serde_json::Value;
use std::borrow::Cow;

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

/// A volume with its content.
pub(super) struct ResultingVolume<'d> {
    pub(super) name: &'d str,
    pub(super) content: Cow<'d, Value>,
    pub(super) origin: Origin,
}

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
            edits: self.draft.containers.iter().find(|draft| draft.chosen.place == place),
        })
    }

    /// The pod's own containers that mount a volume.
    pub(super) fn users(self, volume: &str) -> impl Iterator<Item = ResultingContainer<'d, 'p>> {
        self.containers()
            .filter(move |container| container.mounted().any(|mounted| mounted == volume))
    }

    /// The container of the pod's own that declares a port, if one does.
    pub(super) fn user_of_port(self, port: u16) -> Option<ResultingContainer<'d, 'p>> {
        self.containers()
            .find(|container| container.ports().any(|declared| declared == port))
    }

    /// The containers that the policy serves and whose own credential file may be left, in the order in which they were
    /// chosen.
    pub(super) fn with_own_credential_file(self) -> impl Iterator<Item = &'p str> {
        let left = self.draft.containers.iter().filter(|draft| draft.keeps_credential_file);
        left.map(ContainerDraft::name)
    }

    /// The volumes that the pod itself brings and keeps.
    pub(super) fn own_volumes(self) -> impl Iterator<Item = &'d Volume<'p>> {
        self.draft.volumes.kept().map(|(volume, _)| volume)
    }

    /// The volumes that the agent may read: the pod's, then the policy's.
    pub(super) fn volumes(self) -> impl Iterator<Item = ResultingVolume<'d>> {
        let own = self.draft.volumes.kept().map(|(volume, raw)| ResultingVolume {
            name: &volume.name,
            content: Cow::Owned(serde_json::from_str(raw).unwrap_or_default()),
            origin: Origin::Pod,
        });
        let tokens = self.policy.tokens.iter().map(|piece| (&piece.unit, &piece.volume));
        let volumes = self
            .policy
            .volumes
            .own
            .iter()
            .map(|volume| (&volume.name, &volume.entry));
        let added = tokens.chain(volumes).map(|(name, volume)| ResultingVolume {
            name,
            content: Cow::Borrowed(volume),
            origin: Origin::Policy,
        });
        own.chain(added)
    }

    /// The variables that the policy adds for the agent.
    pub(super) fn policy_env(self) -> impl Iterator<Item = &'d Variable> {
        self.kind.env.iter()
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
