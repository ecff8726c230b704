//! Identity and Vertex, which go into a pod together or not at all.

use super::broker;
use super::credentials::{self, OwnFile};
use crate::admission::decision::Reason;
use crate::admission::draft::{ContainerDraft, Draft, Notes, Volumes};
use crate::admission::finding::Class;
use crate::admission::gate::{self, Shut};
use crate::admission::ports::PlacedBroker;
use crate::admission::recognise::OPENSHELL_USER_ENVIRONMENT;
use crate::admission::settings::{self, Route};
use crate::api::OnValue;
use crate::clients::{CREDENTIAL_SOURCES, CREDENTIALS, GCLOUD_CREDENTIALS, METADATA_FENCES, PREFERRED_CREDENTIALS};
use crate::names;
use crate::policy::{Access, Compiled, CredentialFile, Google, Kind, Vertex, render};

/// Plans both, unless the pod brings something of its own that the policy lets it keep. Returns whether the agent got an
/// endpoint on loopback.
pub(super) fn plan_identity(
    draft: &mut Draft<'_>,
    policy: &Compiled,
    kind: &Kind,
    broker: Option<&PlacedBroker<'_>>,
) -> bool {
    let Some(google) = &kind.google else {
        return false;
    };
    let Google { access, vertex } = google;
    let conflicts = &policy.conflicts;
    let unit = match access {
        Access::File(_) | Access::Node => "identity",
        Access::Broker { .. } => "broker",
    };
    if let Some(Shut { reason, detail }) = gate::shut_by(&draft.containers, google, conflicts, &mut draft.notes) {
        if vertex.is_some() {
            draft.notes.skip(unit, reason, detail.clone());
            draft.notes.skip("vertex", reason, detail);
        } else {
            draft.notes.skip(unit, reason, detail);
        }
        return false;
    }
    let mut route = Route::default();
    let keeps_file = conflicts.values == OnValue::Keep && { draft.containers.iter() }
        .any(|target| target.json.is_some() && gate::has_own_file(target, access));
    if keeps_file {
        let detail = format!("{OPENSHELL_USER_ENVIRONMENT} keeps its own {CREDENTIALS} (conflicts.values: Keep)");
        draft.notes.skip(unit, Reason::OwnCredentials, detail);
    } else {
        match (access, broker) {
            (Access::File(file), _) => {
                let detail = format!("{} at {}", names::CREDENTIALS_VOLUME, file.directory);
                draft.unit(unit, detail, |draft| plan_file(draft, policy, file));
            }
            (Access::Node, _) => draft.unit(unit, "GKE workload identity", |draft| plan_node(draft, policy)),
            (Access::Broker { loopback, .. }, Some(placed)) => {
                route = Route {
                    proxy: placed.proxy.map(|port| format!("http://127.0.0.1:{port}")),
                    imposed: true,
                };
                draft.unit(unit, describe_broker(placed), |draft| {
                    broker::plan_broker(draft, placed, policy, loopback.as_ref());
                });
            }
            (Access::Broker { .. }, None) => {}
        }
    }
    if let Some(vertex) = vertex {
        plan_vertex(draft, policy, kind, (access, vertex), &route);
    }
    route.imposed
}

fn plan_vertex(
    draft: &mut Draft<'_>,
    policy: &Compiled,
    kind: &Kind,
    (access, vertex): (&Access, &Vertex),
    route: &Route,
) {
    let on_value = policy.conflicts.values;
    let clients: Vec<String> = vertex.clients.iter().map(|client| format!("{client:?}")).collect();
    let detail = format!("variables of {}", clients.join(", "));
    draft.unit("vertex", detail, |draft| {
        let notes = &mut draft.notes;
        for target in &mut draft.containers {
            gate::remove_others(target, &policy.conflicts);
            settings::plan_settings(target, vertex, route, &policy.conflicts, notes);
            if route.imposed {
                broker::forbid_other_routes(target, route.proxy.as_deref(), on_value, notes);
            }
            if vertex.clients.iter().any(|client| client.traits().read_only_home) {
                plan_home(target, access, kind, on_value, notes);
            }
        }
    });
}

fn describe_broker(placed: &PlacedBroker<'_>) -> String {
    let (name, access) = (names::BROKER_CONTAINER, placed.broker.told.mode.name());
    match placed.proxy {
        None => format!("{name} ({access:?}): tokens at 127.0.0.1:{}", placed.metadata),
        Some(port) => format!("{name} ({access:?}): Vertex AI at 127.0.0.1:{port}"),
    }
}

fn plan_file(draft: &mut Draft<'_>, policy: &Compiled, file: &CredentialFile) {
    let CredentialFile {
        directory,
        path,
        volume,
        configuration,
        needed,
    } = file;
    draft.notes.need(needed.clone());
    draft.add_volume(names::CREDENTIALS_VOLUME, volume);
    draft.annotate(names::CREDENTIAL_CONFIGURATION, configuration.clone());
    let key = needed.as_ref().filter(|needed| needed.kind == "Secret");
    let key = key.map(|needed| needed.name.as_str());
    replace_own_files(draft, policy, key, |target, volumes, notes| {
        let mount = render::read_only_mount(names::CREDENTIALS_VOLUME, directory.as_str());
        target.mount(mount, volume, false, volumes, notes);
        target.set_env(CREDENTIALS, render::literal(CREDENTIALS, path), notes);
        let gcloud = render::literal(GCLOUD_CREDENTIALS, path);
        settings::plan_variable(target, GCLOUD_CREDENTIALS, gcloud, policy.conflicts.values, notes);
        for name in PREFERRED_CREDENTIALS {
            settings::plan_removal(
                target,
                name,
                &render::literal(name, path),
                policy.conflicts.values,
                notes,
            );
        }
    });
}

fn plan_node(draft: &mut Draft<'_>, policy: &Compiled) {
    draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
    draft.select_node(names::GKE_METADATA_NODE, "true");
    replace_own_files(draft, policy, None, |target, _, notes| {
        remove_fences(target, policy.conflicts.values, notes);
    });
}

/// Takes the pod's own credential files away, and gives each container what takes their place.
fn replace_own_files<'p>(
    draft: &mut Draft<'p>,
    policy: &Compiled,
    key: Option<&str>,
    replace: impl Fn(&mut ContainerDraft<'p>, &Volumes<'p>, &mut Notes),
) {
    let mut unmounted = Vec::new();
    for target in &mut draft.containers {
        let own = !target.is_previous(CREDENTIALS);
        match credentials::unmount_own(target, &draft.volumes, key) {
            OwnFile::Left(why) if own => {
                let text = format!(
                    "container {} has a credential file of its own ({CREDENTIALS}) {why}",
                    target.name()
                );
                draft.notes.warn(Class::Kept, target.name(), CREDENTIALS, text);
            }
            OwnFile::Absent | OwnFile::Left(_) => {}
            OwnFile::Unmounted(volume) => unmounted.push(volume),
        }
        replace(target, &draft.volumes, &mut draft.notes);
    }
    for volume in unmounted {
        credentials::remove_unmounted(draft, volume, &policy.volumes);
    }
}

/// Every client prefers a credential file to the metadata server, and some variables keep them from it.
fn remove_fences(target: &mut ContainerDraft<'_>, on_value: OnValue, notes: &mut Notes) {
    target.remove_env(CREDENTIALS);
    let name = target.name();
    for &fence in METADATA_FENCES.iter().chain(CREDENTIAL_SOURCES) {
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

/// Images with a read-only root that run as any user. gcloud crashes on a configuration directory that it cannot write, so
/// this is never set for other clients.
fn plan_home(target: &mut ContainerDraft<'_>, access: &Access, kind: &Kind, on_value: OnValue, notes: &mut Notes) {
    // Where the credentials are, nothing can be written; gcloud finds them by a variable of its own.
    let directory = match access {
        Access::File(_) => Some("/tmp/gcloud"),
        Access::Node | Access::Broker { .. } => None,
    };
    for (name, value) in [("CLOUDSDK_CONFIG", directory), ("HOME", Some("/tmp"))] {
        let Some(value) = value else { continue };
        if !kind.env.iter().any(|var| var.name == name) {
            settings::plan_variable(target, name, render::literal(name, value), on_value, notes);
        }
    }
}
