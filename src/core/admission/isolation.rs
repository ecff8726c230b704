//! Whether the agent could get around the broker: what `isolation: Required` denies, and `BestEffort` warns of.
//!
//! A container's boundary is what keeps the credential from the agent, so a pod that loosens it (the Pod Security Standard
//! *baseline* and a shared process namespace) is none in which a broker can hide something. Nor is one whose agent has the
//! credential by another way.

use super::broker::Broker;
use super::draft::Draft;
use super::pod::{Container, Pod, Text};
use super::select::{self, Place};
use crate::api::EnvVar;
use crate::clients::CREDENTIALS;
use serde_json::Value;
use std::collections::BTreeSet;

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

/// Every way around, each as a sentence that names the field. `own` and `env` are the volumes and variables that the policy
/// adds beside the broker's.
pub(super) fn exposures(draft: &Draft<'_>, broker: &Broker, own: &[(String, Value)], env: &[EnvVar]) -> Vec<String> {
    let mut found = of_boundaries(draft);
    for (_, container) in select::all(draft.pod).filter(|(place, container)| !select::is_ours(*place, container)) {
        if let Some(secret) = &broker.key_secret {
            let name = &*container.name;
            if takes_from(container, secret) {
                found.push(format!(
                    "container {name:?} takes variables from Secret {secret:?}, which holds the identity's key"
                ));
            }
        }
    }
    for (i, (volume, raw)) in draft.volumes.iter().enumerate() {
        let Some(what) = credential_in(raw, broker) else {
            continue;
        };
        if draft.volume_edits.remove.contains(&i) || draft.volume_edits.replace.contains_key(&i) {
            continue;
        }
        for name in users(draft, &volume.name) {
            found.push(format!(
                "container {name:?} mounts volume {:?}, which holds {what}",
                &*volume.name
            ));
        }
    }
    for (name, volume) in own {
        if let Some(what) = credential_in(&volume.to_string(), broker) {
            found.push(format!(
                "the policy's own volume {name:?} holds {what}, and is not the broker's alone"
            ));
        }
    }
    for var in env {
        let reference = var
            .value_from
            .as_ref()
            .and_then(|source| source.secret_key_ref.as_ref());
        if let (Some(reference), Some(secret)) = (reference, &broker.key_secret)
            && reference.name == *secret
        {
            found.push(format!(
                "the policy's own variable {} comes from Secret {secret:?}, which holds the identity's key",
                var.name
            ));
        }
    }
    found.extend(draft.left_files.iter().map(|name| {
        format!("container {name:?} has a credential file of its own ({CREDENTIALS}) that is in no volume for such files, so it stays")
    }));
    if broker.volume.is_none() {
        found.push(
            "identity.gkeWorkloadIdentity gives every container of the pod the identity, at the node's metadata server"
                .to_owned(),
        );
    }
    found
}

/// What loosens the boundaries of containers, so that the agent could look into one of ours.
pub(super) fn of_boundaries(draft: &Draft<'_>) -> Vec<String> {
    let mut found = Vec::new();
    of_pod(draft.pod, &mut found);
    for (place, container) in select::all(draft.pod).filter(|(place, container)| !select::is_ours(*place, container)) {
        of_container(place, container, &mut found);
    }
    for (volume, _) in draft.volumes.iter().filter(|(volume, _)| volume.host_path.is_some()) {
        found.push(format!(
            "volume {:?} is a hostPath: it leads to the node",
            &*volume.name
        ));
    }
    found
}

/// Which containers of the pod read a Secret that is the credential of a sidecar. `own` are the volumes that the policy adds.
pub(super) fn readers(draft: &Draft<'_>, secrets: &BTreeSet<String>, own: &[(String, Value)]) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        let why = format!("Secret {secret:?}, which is a sidecar's credential");
        for (_, container) in select::all(draft.pod).filter(|(place, container)| !select::is_ours(*place, container)) {
            if takes_from(container, secret) {
                found.push(format!("container {:?} takes variables from {why}", &*container.name));
            }
        }
        for (volume, raw) in &draft.volumes {
            let holds = serde_json::from_str(raw).is_ok_and(|volume: Value| holds_secret(&volume, secret));
            if holds {
                let name = &*volume.name;
                found.extend(
                    users(draft, name).map(|user| format!("container {user:?} mounts volume {name:?} of {why}")),
                );
            }
        }
        for (name, _) in own.iter().filter(|(_, volume)| holds_secret(volume, secret)) {
            found.push(format!("the policy's own volume {name:?} is of {why}"));
        }
    }
    found
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

fn of_pod(pod: &Pod<'_>, found: &mut Vec<String>) {
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
            found.push(format!("spec.{field} is true: {why}"));
        }
    }
}

fn of_container(place: Place, container: &Container<'_>, found: &mut Vec<String>) {
    let name = &*container.name;
    let context = &container.security_context;
    let mut add = |field: &str, what: &str| found.push(format!("securityContext.{field} of container {name:?} {what}"));
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
    let ends = place.list == "initContainers" && container.restart_policy.as_deref() != Some("Always");
    let beyond: Vec<&str> = context
        .capabilities
        .add
        .iter()
        .map(|capability: &Text<'_>| &**capability)
        .filter(|capability| !BASELINE.contains(&capability.strip_prefix("CAP_").unwrap_or(capability)))
        .take(8)
        .collect();
    if !ends && !beyond.is_empty() {
        add(
            "capabilities.add",
            &format!("has {}, beyond the Pod Security Standard baseline", beyond.join(", ")),
        );
    }
}

/// The containers of the pod that mount a volume when all edits are made, ours excepted.
fn users<'d>(draft: &'d Draft<'_>, volume: &'d str) -> impl Iterator<Item = &'d str> {
    let others = select::all(draft.pod).filter(|(place, container)| !select::is_ours(*place, container));
    others
        .filter(move |(place, container)| {
            let chosen = draft.containers.iter().find(|target| target.chosen.place == *place);
            let mut mounts = container.volume_mounts.iter().flatten().enumerate();
            mounts.any(|(i, mount)| *mount.name == *volume && !chosen.is_some_and(|target| target.removes_mount(i)))
        })
        .map(|(_, container)| &*container.name)
}

/// What of the identity's credential a volume holds.
fn credential_in(volume: &str, broker: &Broker) -> Option<String> {
    let volume: Value = serde_json::from_str(volume).ok()?;
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let sources = || sources.into_iter().flatten();
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let token = sources()
        .filter_map(|source| text(source, "/serviceAccountToken/audience"))
        .find(|audience| broker.audiences.contains(audience));
    if let Some(audience) = token {
        return Some(format!("a token of the identity's audience {audience:?}"));
    }
    let secret = broker.key_secret.as_ref()?;
    holds_secret(&volume, secret).then(|| format!("Secret {secret:?} with the identity's key"))
}

/// Whether variables of a container come from a Secret.
fn takes_from(container: &Container<'_>, secret: &str) -> bool {
    let whole = container
        .env_from
        .iter()
        .filter_map(|source| source.secret_ref.as_ref())
        .any(|reference| *reference.name == *secret);
    let single = container
        .env
        .iter()
        .flatten()
        .filter_map(|env| serde_json::from_str::<Value>(env.value_from?.get()).ok())
        .any(|source| source.pointer("/secretKeyRef/name").and_then(Value::as_str) == Some(secret));
    whole || single
}
