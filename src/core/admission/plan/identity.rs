//! Identity and Vertex, which go into a pod together or not at all.

use super::broker;
use crate::admission::broker::{Broker, Ports};
use crate::admission::decision::Reason;
use crate::admission::draft::Draft;
use crate::admission::env::Known;
use crate::admission::gate::{self, Gate};
use crate::admission::limits;
use crate::admission::pod::{Mount, Volume};
use crate::admission::policy::{Kind, Policy};
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::render::{self, Credential};
use crate::admission::select;
use crate::admission::settings::{self, Route};
use crate::api::{Client, OnValue, PolicySpec};
use crate::clients::{CREDENTIALS, GCLOUD_CREDENTIALS, METADATA_FENCES};
use crate::names;

/// Plans both, unless the pod brings something of its own that the policy lets it keep. Returns whether the agent got an
/// endpoint on loopback.
pub(in crate::admission) fn plan(draft: &mut Draft<'_>, policy: &Policy, kind: &Kind) -> bool {
    let Some(credential) = &kind.credential else {
        return false;
    };
    let spec = &policy.spec;
    let unit = if spec.access.has_broker() { "broker" } else { "identity" };
    let file = credential.file();
    let remove = match gate::gate(draft, spec, file.as_deref()) {
        Gate::Open { remove } => remove,
        Gate::Shut { reason, detail } => {
            draft.skip(unit, reason, detail.clone());
            if spec.vertex.is_some() {
                draft.skip("vertex", reason, detail);
            }
            return false;
        }
    };
    let mut route = Route::default();
    let keeps_file = draft.containers.iter().any(|target| {
        target.json.is_some()
            && spec.conflicts.values == OnValue::Keep
            && target.environment.known(CREDENTIALS).is_some()
            && !target.is_previous(CREDENTIALS)
            && !gate::is_our_file(target, file.as_deref())
    });
    if keeps_file {
        let detail = format!("{OPENSHELL_USER_ENVIRONMENT} keeps its own {CREDENTIALS} (conflicts.values: Keep)");
        draft.skip(unit, Reason::OwnCredentials, detail);
    } else if let (Some(broker), Credential::Broker { loopback }) = (&policy.broker, credential) {
        let ports = broker.ports(&broker::taken_ports(draft, spec));
        route = Route {
            proxy: ports.proxy.map(|port| format!("http://127.0.0.1:{port}")),
            imposed: true,
        };
        draft.unit(unit, describe_broker(broker, ports), |draft| {
            broker::plan(draft, broker, spec, ports, loopback.as_deref());
        });
    } else {
        draft.unit(unit, describe(credential), |draft| {
            plan_credential(draft, spec, credential);
        });
    }
    if let Some(vertex) = &spec.vertex {
        let clients: Vec<String> = vertex.clients.iter().map(|client| format!("{client:?}")).collect();
        let detail = format!("variables of {}", clients.join(", "));
        draft.unit("vertex", detail, |draft| {
            for (container, name) in remove {
                draft.remove_env(container, name);
            }
            for container in 0..draft.containers.len() {
                if let Some(limits) = policy.broker.as_ref().and_then(|broker| broker.limits.as_ref()) {
                    limits::check(draft, container, vertex, limits, spec.conflicts.values);
                }
                settings::plan(draft, container, vertex, &route, spec.conflicts.values);
                if route.imposed {
                    broker::forbid_other_routes(draft, container, spec.conflicts.values);
                }
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
    route.imposed
}

fn describe(credential: &Credential) -> String {
    match credential {
        Credential::File { directory, .. } => format!("{} at {directory}", names::CREDENTIALS_VOLUME),
        Credential::Gke | Credential::Broker { .. } => "GKE workload identity".to_owned(),
    }
}

fn describe_broker(broker: &Broker, ports: Ports) -> String {
    let name = names::BROKER_CONTAINER;
    match ports.proxy {
        None => format!("{name} ({:?}): tokens at 127.0.0.1:{}", broker.access, ports.metadata),
        Some(port) => format!("{name} ({:?}): Vertex AI at 127.0.0.1:{port}", broker.access),
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
                replace_credentials(draft, container, spec);
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
        Credential::Gke | Credential::Broker { .. } => {
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
    replace_credentials(draft, container, spec);
    draft.remove_env(container, CREDENTIALS);
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    let name = target.name();
    let in_the_way: Vec<&str> = METADATA_FENCES
        .iter()
        .copied()
        // gcloud reads no other variable for a file.
        .chain([GCLOUD_CREDENTIALS])
        .filter(|variable| target.environment.known(variable).is_some() && !target.is_previous(variable))
        .collect();
    for fence in in_the_way {
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
/// never only one of the two. Only volumes that hold nothing but such files: never a workspace. A volume that the policy
/// itself wants stays. Returns whether a file of the pod's own may be left.
pub(super) fn replace_credentials(draft: &mut Draft<'_>, container: usize, spec: &PolicySpec) -> bool {
    let Some(target) = draft.containers.get(container) else {
        return false;
    };
    if target.json.is_some() {
        return false;
    }
    let path = match target.environment.known(CREDENTIALS) {
        None => return false,
        Some(Known::Text(path)) => path,
        Some(Known::Opaque { .. }) => return true,
    };
    let ours = target.is_previous(CREDENTIALS);
    let path = path.to_string();
    let mounts = target.chosen.container.volume_mounts.iter().flatten();
    let holds = |mount: &&Mount<'_>| {
        path.strip_prefix(&*mount.mount_path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(mount) = mounts.filter(holds).max_by_key(|mount| mount.mount_path.len()) else {
        return !ours;
    };
    let (volume, mount_path) = (mount.name.to_string(), mount.mount_path.to_string());
    if volume.starts_with(names::PIECE_PREFIX) {
        return false;
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
        return true;
    };
    if config_map.is_none() && secret.is_none() && projected.is_none() {
        return true;
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
    let wanted = spec.volumes.iter().any(|own| own.name == volume)
        || spec.volume_mounts.iter().any(|mount| mount.name == volume);
    if !elsewhere && !wanted {
        draft.remove_volume(index);
    }
    false
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
        Credential::Gke | Credential::Broker { .. } => None,
    };
    for (name, value) in [("CLOUDSDK_CONFIG", directory), ("HOME", Some("/tmp"))] {
        let Some(value) = value else { continue };
        if !kind.env.iter().any(|var| var.name == name) {
            settings::plain(draft, container, &render::literal(name, value), on_value);
        }
    }
}
