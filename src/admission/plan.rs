//! From a policy and a pod to a draft: every unit of the policy in order, then what earlier injections left behind.

use super::decision::{Needed, Reason};
use super::draft::Draft;
use super::env::Environment;
use super::gate::{self, Gate};
use super::pod::Volume;
use super::policy::{Kind, Policy};
use super::recognise::OPENSHELL_USER_ENVIRONMENT;
use super::render::{self, Credential, Piece};
use super::{select, settings, sidecar};
use crate::api::{Client, EnvVar, OnValue, PolicySpec, VolumeMount};
use crate::clients::{CREDENTIALS, GCLOUD_CREDENTIALS, METADATA_FENCES};
use crate::names;
use serde_json::Value;

/// Plans a policy in a pod. With `open_shell`, variables go into OpenShell's JSON.
pub(super) fn plan(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind, open_shell: bool) {
    if open_shell {
        enter_open_shell(draft);
    }
    let spec = &policy.spec;
    plan_identity_and_vertex(draft, spec, kind);
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
            plan_env(draft, &kind.env, spec.conflicts.values)
        });
    }
    if !policy.volumes.is_empty() || !spec.volume_mounts.is_empty() {
        draft.unit("volumes", "", |draft| plan_volumes(draft, policy, spec));
    }
    sidecar::plan(draft, spec);
    note_needs(draft, policy, kind);
    remove_stale(draft);
    deny_foreign_mounts(draft);
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

fn plan_identity_and_vertex(draft: &mut Draft<'_>, spec: &PolicySpec, kind: &Kind) {
    let Some(credential) = &kind.credential else { return };
    let file = credential.file();
    let remove = match gate::gate(draft, spec, file.as_deref()) {
        Gate::Open { remove } => remove,
        Gate::Shut { reason, detail } => {
            draft.skip("identity", reason, detail.clone());
            if spec.vertex.is_some() {
                draft.skip("vertex", reason, detail);
            }
            return;
        }
    };
    let keeps_file = draft.containers.iter().any(|target| {
        target.json.is_some()
            && spec.conflicts.values == OnValue::Keep
            && target.environment.known(CREDENTIALS).is_some()
            && !target.is_previous(CREDENTIALS)
            && !gate::is_our_file(target, file.as_deref())
    });
    if keeps_file {
        let detail = format!("{OPENSHELL_USER_ENVIRONMENT} keeps its own {CREDENTIALS} (conflicts.values: Keep)");
        draft.skip("identity", Reason::OwnCredentials, detail);
    } else {
        draft.unit("identity", describe(credential), |draft| {
            plan_credential(draft, spec, credential)
        });
    }
    if let Some(vertex) = &spec.vertex {
        let detail = format!("project and region for {:?}", vertex.clients);
        draft.unit("vertex", detail, |draft| {
            for (container, name) in remove {
                draft.remove_env(container, name);
            }
            for container in 0..draft.containers.len() {
                settings::plan(draft, container, vertex, spec.conflicts.values);
                plan_client_extras(
                    draft,
                    container,
                    &vertex.clients,
                    credential,
                    kind,
                    spec.conflicts.values,
                );
            }
        });
    }
}

fn describe(credential: &Credential) -> String {
    match credential {
        Credential::File { directory, .. } => format!("{} at {directory}", names::CREDENTIALS_VOLUME),
        Credential::Gke => "GKE workload identity".to_owned(),
    }
}

fn plan_credential(draft: &mut Draft<'_>, spec: &PolicySpec, credential: &Credential) {
    match credential {
        Credential::File {
            directory,
            volume,
            configuration,
        } => {
            draft.add_volume(names::CREDENTIALS_VOLUME, volume);
            draft.annotate(names::CREDENTIAL_CONFIGURATION, configuration.clone());
            for container in 0..draft.containers.len() {
                replace_credentials(draft, container, directory);
                draft.mount(
                    container,
                    render::read_only_mount(names::CREDENTIALS_VOLUME, directory),
                    None,
                );
                let file = format!("{directory}/{}", names::CREDENTIAL_FILE);
                draft.set_env(container, CREDENTIALS, render::literal(CREDENTIALS, &file));
                let gcloud = render::literal(GCLOUD_CREDENTIALS, &file);
                settings::plain(draft, container, &gcloud, spec.conflicts.values);
            }
        }
        Credential::Gke => {
            draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
            draft.select_node(names::GKE_METADATA_NODE, "true");
            for container in 0..draft.containers.len() {
                plan_gke(draft, container, spec);
            }
        }
    }
}

/// Every client prefers a credential file to the metadata server, and some variables keep them from it.
fn plan_gke(draft: &mut Draft<'_>, container: usize, spec: &PolicySpec) {
    replace_credentials(draft, container, "");
    draft.remove_env(container, CREDENTIALS);
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    let name = target.name();
    let fences: Vec<&str> = METADATA_FENCES
        .iter()
        .copied()
        .filter(|fence| target.environment.known(fence).is_some())
        .collect();
    for fence in fences {
        if spec.conflicts.values == OnValue::Override {
            draft.remove_env(container, fence);
        } else {
            draft.problems.push(format!(
                "container {name:?} sets {fence}, which keeps clients from the metadata server that gkeWorkloadIdentity needs; remove it, or set conflicts.values: Override in the policy"
            ));
        }
    }
}

/// When the pod's own credential file is replaced, the mount that it lies in goes, and the volume with the last mount:
/// never only one of the two. Only volumes that hold nothing but such files: never a workspace.
fn replace_credentials(draft: &mut Draft<'_>, container: usize, directory: &str) {
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    if target.json.is_some() {
        return;
    }
    let Some(super::env::Known::Text(path)) = target.environment.known(CREDENTIALS) else {
        return;
    };
    let path = path.to_string();
    let mounts = target.chosen.container.volume_mounts.iter().flatten();
    let holds = |mount: &&super::pod::Mount<'_>| {
        path.strip_prefix(&*mount.mount_path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(mount) = mounts.filter(holds).max_by_key(|mount| mount.mount_path.len()) else {
        return;
    };
    let (volume, mount_path) = (mount.name.to_string(), mount.mount_path.to_string());
    if volume.starts_with(names::PIECE_PREFIX) || mount_path == directory && volume == names::CREDENTIALS_VOLUME {
        return;
    }
    let Some((
        index,
        Volume {
            config_map,
            secret,
            projected,
            ..
        },
        _,
    )) = draft.volume(&volume)
    else {
        return;
    };
    if config_map.is_none() && secret.is_none() && projected.is_none() {
        return;
    }
    draft.remove_mounts(container, |mount| {
        *mount.name == *volume && *mount.mount_path == *mount_path
    });
    let elsewhere = select::all(draft.pod).any(|(place, container)| {
        let chosen = draft.containers.iter().find(|target| target.chosen.place == place);
        container
            .volume_mounts
            .iter()
            .flatten()
            .enumerate()
            .any(|(i, mount)| *mount.name == *volume && !chosen.is_some_and(|target| target.removes_mount(i)))
    });
    if !elsewhere {
        draft.remove_volume(index);
    }
}

/// What single clients need beside their settings.
fn plan_client_extras(
    draft: &mut Draft<'_>,
    container: usize,
    clients: &[Client],
    credential: &Credential,
    kind: &Kind,
    on_value: OnValue,
) {
    if !clients.contains(&Client::Kartograph) {
        return;
    }
    // Kartograph's images have a read-only root and run as any user. gcloud crashes on a configuration directory that it
    // cannot write, so this is never set for other clients.
    let directory = match credential {
        Credential::File { directory, .. } => Some(directory.as_str()),
        Credential::Gke => None,
    };
    for (name, value) in [("CLOUDSDK_CONFIG", directory), ("HOME", Some("/tmp"))] {
        let Some(value) = value else { continue };
        if !kind.env.iter().any(|var| var.name == name) {
            settings::plain(draft, container, &render::literal(name, value), on_value);
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
    let identity = draft
        .units
        .iter()
        .any(|unit| unit.name == "identity" && unit.reason.is_none());
    if identity && let Some(Credential::File { volume, .. }) = &kind.credential {
        note_sources(draft, volume);
    }
    for piece in &policy.helpers {
        note_sources(draft, &piece.volume);
    }
    for (_, volume) in &policy.volumes {
        note_sources(draft, volume);
    }
    let spec = &policy.spec;
    for var in kind
        .env
        .iter()
        .chain(spec.sidecars.iter().flat_map(|sidecar| &sidecar.env))
    {
        let Some(source) = &var.value_from else { continue };
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

/// Volumes, mounts, containers and variables under our names that the policy does not want (any more).
fn remove_stale(draft: &mut Draft<'_>) {
    let stale: Vec<(usize, String)> = draft
        .volumes
        .iter()
        .enumerate()
        .filter(|(_, (volume, _))| {
            volume.name.starts_with(names::PIECE_PREFIX) && !draft.wanted.contains(&*volume.name)
        })
        .map(|(i, (volume, _))| (i, volume.name.to_string()))
        .collect();
    for (index, _) in &stale {
        draft.remove_volume(*index);
    }
    for container in 0..draft.containers.len() {
        draft.remove_stale_mounts(container);
    }
    for (i, container) in draft.pod.spec.init_containers.iter().enumerate() {
        if container.name.starts_with(names::PIECE_PREFIX) && !draft.wanted.contains(&*container.name) {
            draft.init_edits.remove.insert(i);
            draft.change_container("remove", &container.name);
        }
    }
    draft.remove_stale_env();
    if draft.pod.annotation(names::CREDENTIAL_CONFIGURATION).is_some()
        && !draft.wanted.contains(names::CREDENTIALS_VOLUME)
    {
        draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
    }
}

/// A volume of ours in a container that the policy does not serve would hand the credential to it.
fn deny_foreign_mounts(draft: &mut Draft<'_>) {
    let mut problems = Vec::new();
    for (place, container) in select::all(draft.pod) {
        let chosen = draft.containers.iter().any(|target| target.chosen.place == place);
        // Init containers under our prefix are our rendering by now, or removed.
        let ours = place.list == "initContainers" && container.name.starts_with(names::PIECE_PREFIX);
        if chosen || ours {
            continue;
        }
        for mount in container
            .volume_mounts
            .iter()
            .flatten()
            .filter(|mount| mount.name.starts_with(names::PIECE_PREFIX))
        {
            problems.push(format!(
                "container {:?} mounts volume {:?}, which belongs to the injector, and the policy does not serve this container; remove the mount",
                &*container.name, &*mount.name
            ));
        }
    }
    draft.problems.append(&mut problems);
}
