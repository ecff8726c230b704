//! Whether the agent could get around the broker: what `isolation: Required` denies, and `BestEffort` warns of.
//!
//! A container's boundary is what keeps the credential from the agent, so a pod that loosens it (the Pod Security Standard
//! *baseline* and a shared process namespace) is none in which a broker can hide something. Nor is one whose agent has the
//! credential by another way.

use super::finding::Finding;
use super::pod::{Pod, Text};
use super::resulting::{Origin, Resulting, ResultingContainer, ResultingVolume};
use crate::clients::CREDENTIALS;
use crate::names;
use crate::policy::{Broker, Held};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// Capabilities that the Pod Security Standard *baseline* lets a container add.
const BASELINE: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Every way around the broker, each with the field.
pub(super) fn around_broker(resulting: Resulting<'_, '_>, broker: &Broker) -> Vec<Finding> {
    let mut found = of_boundaries(resulting);
    let key = match &broker.held {
        Held::Token { .. } | Held::Node => None,
        Held::Key { secret, .. } => Some(Secret {
            name: secret.as_str(),
            why: "which holds the identity's key",
        }),
    };
    if let Some(secret) = &key {
        note_variables(resulting, secret, &mut found);
    }
    for volume in resulting.volumes() {
        if let Some(what) = credential_in(&volume.content, broker) {
            let policy = format!("holds {what}, and is not the broker's alone");
            note_volume(
                resulting,
                &volume,
                &format!(", which holds {what}"),
                &policy,
                &mut found,
            );
        }
    }
    if let Some(secret) = &key {
        note_policy_variables(resulting, secret, &mut found);
    }
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
    found
}

/// What loosens the boundaries of containers, so that the agent could look into one of ours.
pub(super) fn of_boundaries(resulting: Resulting<'_, '_>) -> Vec<Finding> {
    let mut found = Vec::new();
    of_pod(resulting.pod(), &mut found);
    for container in resulting.containers() {
        of_container(&container, &mut found);
    }
    for volume in resulting.own_volumes().filter(|volume| volume.host_path.is_some()) {
        let text = format!("volume {:?} is a hostPath: it leads to the node", &*volume.name);
        found.push(Finding::exposure(None, &volume.name, text));
    }
    found
}

/// Who reads a Secret that is the credential of a sidecar.
pub(super) fn readers(resulting: Resulting<'_, '_>, secrets: &BTreeSet<String>) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in secrets {
        let secret = Secret {
            name,
            why: "which is a sidecar's credential",
        };
        note_variables(resulting, &secret, &mut found);
        for volume in resulting.volumes() {
            if holds_secret(&volume.content, name) {
                let of = format!("of {secret}");
                note_volume(resulting, &volume, &format!(" {of}"), &format!("is {of}"), &mut found);
            }
        }
        note_policy_variables(resulting, &secret, &mut found);
    }
    found
}

/// Volumes of ours in containers that the policy does not serve: they would hand the credential to them.
pub(super) fn foreign_mounts(resulting: Resulting<'_, '_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for container in resulting.containers().filter(|container| !container.is_served()) {
        let name = container.name();
        let mounted = container.mounted();
        for volume in mounted.filter(|volume| volume.starts_with(names::PIECE_PREFIX)) {
            let problem = format!(
                "container {name:?} mounts volume {volume:?}, which belongs to the injector, and the policy does not serve this container; remove the mount"
            );
            found.push(Finding::conflict(Some(name), "volumeMounts", problem));
        }
    }
    found
}

/// A Secret that no agent may read.
struct Secret<'s> {
    name: &'s str,
    why: &'static str,
}

impl fmt::Display for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {:?}, {}", self.name, self.why)
    }
}

/// Containers of the pod's own with variables from a Secret.
fn note_variables(resulting: Resulting<'_, '_>, secret: &Secret<'_>, found: &mut Vec<Finding>) {
    for container in resulting.containers().filter(|it| takes_from(it, secret.name)) {
        let name = container.name();
        let text = format!("container {name:?} takes variables from {secret}");
        found.push(Finding::exposure(Some(name), "env", text));
    }
}

/// Variables that the policy gives the agent from a Secret.
fn note_policy_variables(resulting: Resulting<'_, '_>, secret: &Secret<'_>, found: &mut Vec<Finding>) {
    for var in resulting.policy_env() {
        if var.secret() == Some(secret.name) {
            let name = &var.name;
            let text = format!("the policy's own variable {name} comes from {secret}");
            found.push(Finding::exposure(None, name, text));
        }
    }
}

/// A volume that shows what the agent may not read: the containers that mount one of the pod's, or the policy's itself.
fn note_volume(
    resulting: Resulting<'_, '_>,
    volume: &ResultingVolume<'_>,
    of_pod: &str,
    of_policy: &str,
    found: &mut Vec<Finding>,
) {
    let name = volume.name;
    match volume.origin {
        Origin::Pod => found.extend(resulting.users(name).map(|user| {
            let user = user.name();
            let text = format!("container {user:?} mounts volume {name:?}{of_pod}");
            Finding::exposure(Some(user), "volumeMounts", text)
        })),
        Origin::Policy => {
            let text = format!("the policy's own volume {name:?} {of_policy}");
            found.push(Finding::exposure(None, name, text));
        }
    }
}

/// Whether a volume shows a Secret.
fn holds_secret(volume: &Value, secret: &str) -> bool {
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let names = sources
        .into_iter()
        .flatten()
        .map(|source| source.pointer("/secret/name"));
    names
        .chain([volume.pointer("/secret/secretName")])
        .flatten()
        .any(|name| name.as_str() == Some(secret))
}

fn of_pod(pod: &Pod<'_>, found: &mut Vec<Finding>) {
    let spec = &pod.spec;
    let windows = spec.security_context.windows_options.host_process;
    for (field, is_set, why) in [
        ("hostNetwork", spec.host_network, "the pod's network is the node's"),
        ("hostPID", spec.host_pid, "its processes see those of the node"),
        (
            "hostIPC",
            spec.host_ipc,
            "its processes share the node's memory segments",
        ),
        (
            "shareProcessNamespace",
            spec.share_process_namespace,
            "the agent sees the broker's process and files",
        ),
        (
            "securityContext.windowsOptions.hostProcess",
            windows,
            "its processes run on the node itself",
        ),
    ] {
        if is_set {
            let text = format!("spec.{field} is true: {why}");
            found.push(Finding::exposure(None, field, text));
        }
    }
}

fn of_container(resulting: &ResultingContainer<'_, '_>, found: &mut Vec<Finding>) {
    let name = resulting.name();
    let context = &resulting.container.security_context;
    let mut add = |field: &str, what: &str| {
        let text = format!("securityContext.{field} of container {name:?} {what}");
        found.push(Finding::exposure(Some(name), field, text));
    };
    if context.privileged {
        add("privileged", "is true: it can do what the node can");
    }
    if context.windows_options.host_process {
        add("windowsOptions.hostProcess", "is true: it runs on the node itself");
    }
    if context
        .proc_mount
        .as_deref()
        .is_some_and(|kind| !matches!(kind, "" | "Default"))
    {
        add("procMount", "is not Default: the kernel's files are unmasked");
    }
    // What ends before the agent starts (a mesh's init, for example) sets the pod up and is gone.
    let beyond: Vec<&str> = context
        .capabilities
        .add
        .iter()
        .map(|capability: &Text<'_>| &**capability)
        .filter(|capability| !BASELINE.contains(&capability.strip_prefix("CAP_").unwrap_or(capability)))
        .take(8)
        .collect();
    if !resulting.ends() && !beyond.is_empty() {
        add(
            "capabilities.add",
            &format!("has {}, beyond the Pod Security Standard baseline", beyond.join(", ")),
        );
    }
}

/// What of the identity's credential a volume holds.
fn credential_in(volume: &Value, broker: &Broker) -> Option<String> {
    match &broker.held {
        Held::Token { audiences, .. } => {
            let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
            let tokens = sources.into_iter().flatten();
            let audience = |source: &Value| Some(source.pointer("/serviceAccountToken/audience")?.as_str()?.to_owned());
            let held = tokens
                .filter_map(audience)
                .find(|audience| audiences.contains(audience))?;
            Some(format!("a token of the identity's audience {held:?}"))
        }
        Held::Key { secret, .. } => {
            let secret = secret.as_str();
            holds_secret(volume, secret).then(|| format!("Secret {secret:?} with the identity's key"))
        }
        Held::Node => None,
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
