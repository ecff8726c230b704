//! Identity and Vertex, which go into a pod together or not at all.

use super::broker;
use super::credentials::{self, OwnFile};
use crate::admission::broker::Broker;
use crate::admission::decision::Reason;
use crate::admission::draft::{ContainerDraft, Draft, Notes};
use crate::admission::gate::{self, Shut};
use crate::admission::limits;
use crate::admission::policy::{Kind, Policy};
use crate::admission::ports::PlacedBroker;
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::render::{self, Credential};
use crate::admission::settings::{self, Route};
use crate::api::{Client, OnValue, PolicySpec};
use crate::clients::{CREDENTIALS, GCLOUD_CREDENTIALS, METADATA_FENCES};
use crate::names;

/// Plans both, unless the pod brings something of its own that the policy lets it keep. Returns whether the agent got an
/// endpoint on loopback.
pub(super) fn plan_identity(
    draft: &mut Draft<'_>,
    policy: &Policy,
    kind: &Kind,
    broker: Option<&PlacedBroker<'_>>,
) -> bool {
    let Some(credential) = &kind.credential else {
        return false;
    };
    let spec = &policy.spec;
    let unit = if spec.access.has_broker() { "broker" } else { "identity" };
    let file = credential.file();
    if let Some(Shut { reason, detail }) = gate::shut_by(&draft.containers, spec, file.as_deref(), &mut draft.notes) {
        if spec.vertex.is_some() {
            draft.notes.skip(unit, reason, detail.clone());
            draft.notes.skip("vertex", reason, detail);
        } else {
            draft.notes.skip(unit, reason, detail);
        }
        return false;
    }
    let mut route = Route::default();
    let keeps_file = spec.conflicts.values == OnValue::Keep && { draft.containers.iter() }
        .any(|target| target.json.is_some() && gate::has_own_file(target, file.as_deref()));
    if keeps_file {
        let detail = format!("{OPENSHELL_USER_ENVIRONMENT} keeps its own {CREDENTIALS} (conflicts.values: Keep)");
        draft.notes.skip(unit, Reason::OwnCredentials, detail);
    } else if let (Some(placed), Credential::Broker { loopback }) = (broker, credential) {
        route = Route {
            proxy: placed.proxy.map(|port| format!("http://127.0.0.1:{port}")),
            imposed: true,
        };
        draft.unit(unit, describe_broker(placed), |draft| {
            broker::plan_broker(draft, placed, spec, loopback.as_deref());
        });
    } else {
        draft.unit(unit, describe(credential), |draft| {
            plan_credential(draft, spec, credential);
        });
    }
    if let Some(vertex) = &spec.vertex {
        let on_value = spec.conflicts.values;
        let rules = policy.broker.as_ref().and_then(Broker::rules);
        let clients: Vec<String> = vertex.clients.iter().map(|client| format!("{client:?}")).collect();
        let detail = format!("variables of {}", clients.join(", "));
        draft.unit("vertex", detail, |draft| {
            let notes = &mut draft.notes;
            for target in &mut draft.containers {
                gate::remove_others(target, spec);
                if let Some(rules) = rules {
                    limits::check(target, vertex, rules, on_value, notes);
                }
                settings::plan_settings(target, vertex, &route, on_value, notes);
                if route.imposed {
                    broker::forbid_other_routes(target, on_value, notes);
                }
                plan_client_extras(target, &vertex.clients, credential, kind, on_value, notes);
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

fn describe_broker(placed: &PlacedBroker<'_>) -> String {
    let (name, access) = (names::BROKER_CONTAINER, placed.broker.access);
    match placed.proxy {
        None => format!("{name} ({access:?}): tokens at 127.0.0.1:{}", placed.metadata),
        Some(port) => format!("{name} ({access:?}): Vertex AI at 127.0.0.1:{port}"),
    }
}

fn plan_credential(draft: &mut Draft<'_>, spec: &PolicySpec, credential: &Credential) {
    match credential {
        Credential::File {
            volume, configuration, ..
        } => {
            draft.add_volume(names::CREDENTIALS_VOLUME, volume);
            draft.annotate(names::CREDENTIAL_CONFIGURATION, configuration.clone());
        }
        Credential::Gke | Credential::Broker { .. } => {
            draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
            draft.select_node(names::GKE_METADATA_NODE, "true");
        }
    }
    let mut unmounted = Vec::new();
    for target in &mut draft.containers {
        let notes = &mut draft.notes;
        if let OwnFile::Unmounted(volume) = credentials::unmount_own(target, &draft.volumes) {
            unmounted.push(volume);
        }
        match credential {
            Credential::File { directory, .. } => {
                let mount = render::read_only_mount(names::CREDENTIALS_VOLUME, directory);
                target.mount(mount, |_| false, notes);
                let file = format!("{directory}/{}", names::CREDENTIAL_FILE);
                target.set_env(CREDENTIALS, render::literal(CREDENTIALS, &file), notes);
                let gcloud = render::literal(GCLOUD_CREDENTIALS, &file);
                settings::plan_variable(target, GCLOUD_CREDENTIALS, gcloud, spec.conflicts.values, notes);
            }
            Credential::Gke | Credential::Broker { .. } => plan_gke(target, spec.conflicts.values, notes),
        }
    }
    for volume in unmounted {
        credentials::remove_unmounted(draft, volume, spec);
    }
}

/// Every client prefers a credential file to the metadata server, and some variables keep them from it.
fn plan_gke(target: &mut ContainerDraft<'_>, on_value: OnValue, notes: &mut Notes) {
    target.remove_env(CREDENTIALS);
    let name = target.name();
    // gcloud reads no other variable for a file.
    for fence in METADATA_FENCES.iter().copied().chain([GCLOUD_CREDENTIALS]) {
        if target.environment.known(fence).is_none() || target.is_previous(fence) {
            continue;
        }
        if on_value == OnValue::Override {
            target.remove_env(fence);
        } else {
            let problem = format!(
                "container {name:?} sets {fence}, which keeps clients from the metadata server that gkeWorkloadIdentity needs; remove it, or set conflicts.values: Override in the policy"
            );
            notes.deny(Some(name), fence, problem);
        }
    }
}

/// What single clients need beside their settings.
fn plan_client_extras(
    target: &mut ContainerDraft<'_>,
    clients: &[Client],
    credential: &Credential,
    kind: &Kind,
    on_value: OnValue,
    notes: &mut Notes,
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
            settings::plan_variable(target, name, render::literal(name, value), on_value, notes);
        }
    }
}
