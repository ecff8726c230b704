//! Whose certificates credential sidecars trust beside those of their images: the operator's, and what the agent trusts, where
//! nothing in the pod could have written it. Our containers start before the pod's own, init containers included.

use super::session::escaped;
use crate::admission::draft::{ContainerDraft, Draft};
use crate::admission::env::Known;
use crate::admission::pod::{Mount, Volume};
use crate::admission::select::List;
use crate::contract::CA_FILES;
use crate::names;
use crate::path::{Plain, is_plain};
use crate::policy::{Kind, Trust, render};
use serde_json::{Value, json};

/// Variables that name files of certificates, by which programs replace or extend the system's.
const VARIABLES: [&str; 4] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// Files of certificates, with their mounts.
#[derive(Debug, Default)]
pub(in crate::admission) struct Trusted {
    files: Vec<String>,
    mounts: Vec<Value>,
}

impl Trusted {
    /// What a pod's sidecars trust.
    pub(in crate::admission) fn of(draft: &Draft<'_>, operator: Option<&Trust>, kind: &Kind) -> Self {
        let mut trusted = Self::default();
        if operator.is_some() {
            let mount = render::read_only_mount(names::TRUST_VOLUME, names::TRUST_DIRECTORY);
            trusted.add(Trust::file(), mount);
        }
        let agents = draft.containers.iter();
        // An init container of the pod's starts after ours.
        let agent = agents
            .filter(|agent| agent.chosen.place.list == List::Containers)
            .take(1);
        for agent in agent {
            let of_policy = |name: &str| agent.is_previous(name) || kind.env.iter().any(|var| var.name == name);
            for name in VARIABLES.into_iter().filter(|name| !of_policy(name)) {
                trusted.take_over(draft, agent, name);
            }
        }
        trusted
    }

    /// Whether there is nothing beside the images' own.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The mounts of a sidecar.
    pub(super) fn mounts(&self) -> impl Iterator<Item = Value> {
        self.mounts.iter().cloned()
    }

    /// The variable by which our program finds them.
    pub(super) fn for_our_program(&self) -> Option<Value> {
        (!self.is_empty()).then(|| render::literal(CA_FILES, &escaped(&self.files.join(","))))
    }

    /// The variable by which a server without our program finds the last of them. There is no other that replaces nothing.
    pub(super) fn for_a_server_alone(&self) -> Option<Value> {
        self.files
            .last()
            .map(|file| render::literal("NODE_EXTRA_CA_CERTS", &escaped(file)))
    }

    /// A file that the agent trusts, alone of its volume: what else is in there is not for sidecars.
    fn take_over(&mut self, draft: &Draft<'_>, agent: &ContainerDraft<'_>, name: &str) {
        let Some(Known::Text(file)) = agent.environment.known(name) else {
            return;
        };
        let place = Plain::of(file);
        let holds = |at: &Plain<'_>| place.as_ref().is_some_and(|place| place.is_within(at));
        let innermost = { agent.own_mounts() }
            .filter(|(_, at)| holds(at))
            .max_by_key(|(_, at)| at.depth());
        let Some((mount, sub_path)) = innermost.and_then(|(mount, _)| Some((mount, sub_path(file, mount)?))) else {
            return;
        };
        let volume = draft.volumes.get(&mount.name);
        let kept = volume.is_some_and(Volume::is_the_kubelets);
        let base = file.rsplit('/').next().unwrap_or_default();
        if !kept || mount.name.starts_with(names::NAME_PREFIX) || file.contains(',') {
            return;
        }
        let ours = |of: &Value| {
            of.get("name") == Some(&(*mount.name).into()) && of.get("subPath") == Some(&sub_path.as_str().into())
        };
        if self.mounts.iter().any(ours) {
            return;
        }
        let path = format!("{}/{name}/{base}", names::POD_TRUST_DIRECTORY);
        let entry = json!({"name": &*mount.name, "mountPath": path, "subPath": sub_path, "readOnly": true});
        self.add(path, entry);
    }

    fn add(&mut self, file: String, mount: Value) {
        self.files.push(file);
        self.mounts.push(mount);
    }
}

/// Where a file is in the volume of its mount, if that can be told.
fn sub_path(file: &str, mount: &Mount<'_>) -> Option<String> {
    let is_said = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    if !is_plain(file) || !is_plain(mount.mount_path.trim_end_matches('/')) || is_said(mount.sub_path_expr.as_deref()) {
        return None;
    }
    let rest = file.strip_prefix(mount.mount_path.trim_end_matches('/'))?;
    let within = mount.sub_path.as_deref().unwrap_or_default();
    let path = format!("{within}{rest}");
    let path = path.trim_start_matches('/');
    is_plain(&format!("/{path}")).then(|| path.to_owned())
}
