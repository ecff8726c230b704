//! The broker in one pod: its container with all that it needs, and an agent that has nothing but its address.

use super::credentials::{self, OwnFile};
use crate::admission::draft::{ContainerDraft, Draft, Notes};
use crate::admission::env::Known;
use crate::admission::finding::Class;
use crate::admission::injected_container::{Defaults, InjectedContainer};
use crate::admission::ports::PlacedBroker;
use crate::admission::proxies;
use crate::admission::settings;
use crate::api::OnValue;
use crate::clients::{
    CREDENTIAL_SOURCES, CREDENTIALS, DETECTION, METADATA_ADDRESSES, METADATA_FENCES, ROUTES, Setting,
};
use crate::contract;
use crate::contract::broker::{Mode, ModeName};
use crate::names::{self, LOOPBACK_AUDIENCE, LOOPBACK_EXCHANGE, LOOPBACK_ROOT, LOOPBACK_SUBJECT};
use crate::policy::{Broker, Compiled, MountPath, render};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Plans the container, its volumes and the agent's variables. `loopback` is where the secret-free credential file is
/// mounted, for clients that demand one.
pub(super) fn plan_broker(
    draft: &mut Draft<'_>,
    placed: &PlacedBroker<'_>,
    policy: &Compiled,
    loopback: Option<&MountPath>,
) {
    let broker = placed.broker;
    draft.notes.problems.extend(placed.conflicts.iter().cloned());
    match broker.held.volume() {
        Some(volume) => draft.add_volume(names::CREDENTIALS_VOLUME, volume),
        None => draft.select_node(names::GKE_METADATA_NODE, "true"),
    }
    draft.notes.need(broker.held.needed());
    if let Some(trust) = &broker.trust {
        draft.notes.need([trust.needed.clone()]);
        draft.add_volume(names::TRUST_VOLUME, &trust.volume);
    }
    draft.pull_with(&broker.program.pull_secrets);
    container(placed).add_to(draft);
    // The configuration is the container's own environment.
    draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
    let file_volume = render::annotation_volume(names::LOOPBACK_CONFIGURATION, names::CREDENTIAL_FILE);
    if loopback.is_some() {
        draft.add_volume(names::LOOPBACK_VOLUME, &file_volume);
        let configuration = loopback_configuration(placed.metadata);
        draft.annotate(names::LOOPBACK_CONFIGURATION, Some(configuration));
    }
    let on_value = policy.conflicts.values;
    let address = format!("127.0.0.1:{}", placed.metadata);
    let mut unmounted = Vec::new();
    for target in &mut draft.containers {
        let notes = &mut draft.notes;
        match credentials::unmount_own(target, &draft.volumes, broker.held.key()) {
            OwnFile::Absent => {
                target.left_credential_file =
                    credentials::in_directory_of_gcloud(target, &draft.volumes).map(|place| {
                        format!("where Google's clients look before they ask the broker, {place}; remove the mount")
                    });
            }
            OwnFile::Left(why) => target.left_credential_file = Some(format!("({CREDENTIALS}) {why}")),
            OwnFile::Unmounted(volume) => unmounted.push(volume),
        }
        for name in CREDENTIAL_SOURCES.iter().chain(METADATA_FENCES) {
            let demanded = *name == CREDENTIALS && loopback.is_some();
            if !demanded && !is_address(name) {
                forbid(target, name, on_value, notes);
            }
        }
        if let Some(directory) = loopback {
            let mount = render::read_only_mount(names::LOOPBACK_VOLUME, directory.as_str());
            target.mount(mount, &file_volume, false, &draft.volumes, notes);
            let file = format!("{directory}/{}", names::CREDENTIAL_FILE);
            impose(target, CREDENTIALS, &file, on_value, notes);
        }
        for name in METADATA_ADDRESSES {
            impose(target, name, &address, on_value, notes);
        }
        // Else Node's client looks for Google's hardware first.
        impose(target, DETECTION, "assume-present", on_value, notes);
        if !broker.has_proxy() {
            note_other_way(target, notes);
        }
    }
    for volume in unmounted {
        credentials::remove_unmounted(draft, volume, &policy.volumes);
    }
}

/// Removes variables that would lead the agent's clients past the broker: not those that are planned by now, nor those of the pod
/// that lead to its `proxy` anyway, as in a pod that was copied from one that is running.
pub(super) fn forbid_other_routes(
    target: &mut ContainerDraft<'_>,
    proxy: Option<&str>,
    on_value: OnValue,
    notes: &mut Notes,
) {
    let endpoints = Setting::Endpoint.variables();
    let endpoints: Vec<_> = endpoints
        .filter(|variable| !proxy.is_some_and(|proxy| settings::agrees(target, variable, proxy)))
        .map(|variable| variable.name)
        .collect();
    for name in endpoints.into_iter().chain(ROUTES.iter().copied()) {
        forbid(target, name, on_value, notes);
    }
}

fn is_address(name: &str) -> bool {
    name == DETECTION || METADATA_ADDRESSES.contains(&name)
}

fn container<'s>(placed: &PlacedBroker<'s>) -> InjectedContainer<'s> {
    let broker: &'s Broker = placed.broker;
    let mut mounts = Vec::new();
    if broker.held.volume().is_some() {
        mounts.push(render::read_only_mount(
            names::CREDENTIALS_VOLUME,
            names::CREDENTIAL_DIRECTORY,
        ));
    }
    if broker.trust.is_some() {
        mounts.push(render::read_only_mount(names::TRUST_VOLUME, names::TRUST_DIRECTORY));
    }
    let metrics = |port| json!({"name": "metrics", "containerPort": port, "protocol": "TCP"});
    InjectedContainer {
        name: names::BROKER_CONTAINER,
        image: &broker.program.image,
        pull_policy: broker.program.pull_policy,
        command: vec![names::PROGRAM_IN_IMAGE],
        args: vec![contract::broker::VERB],
        ports: placed.metrics.map(metrics).into_iter().collect(),
        env: environment(placed),
        startup_probe: Some(startup_probe()),
        readiness_probe: None,
        stays: true,
        resources: broker.container.resources.as_ref(),
        defaults: defaults(broker),
        mounts,
    }
}

/// Its environment in this pod. There nobody can edit its configuration later, as one could an annotation.
fn environment(placed: &PlacedBroker<'_>) -> Vec<Value> {
    let mut told = placed.broker.told.clone();
    told.metadata_port = placed.metadata;
    if let (Mode::Proxy(proxy), Some(port)) = (&mut told.mode, placed.proxy) {
        proxy.port = port;
    }
    told.metrics = placed.metrics.map(|port| (Ipv4Addr::UNSPECIFIED, port).into());
    let told = told.environment().into_iter();
    let told = told.map(|(name, value)| render::literal(name, &value));
    told.chain(placed.broker.way_out.iter().cloned()).collect()
}

/// What the container gets when the policy does not say. A proxy holds requests while it looks into them.
fn defaults(broker: &Broker) -> Defaults {
    let mode = broker.told.mode.name();
    let (cpu, memory) = match mode {
        ModeName::Proxy => (("20m", "500m"), "32Mi"),
        ModeName::Metadata => (("10m", "100m"), "16Mi"),
    };
    Defaults {
        cpu,
        memory: (memory, mode.usual_memory().quantity().into()),
    }
}

/// The credential file for clients that demand one: an `external_account` whose every endpoint is the broker's, for which
/// any token is as good. No secret.
fn loopback_configuration(port: u16) -> String {
    let root = format!("http://127.0.0.1:{port}{LOOPBACK_ROOT}");
    let file = json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": LOOPBACK_AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{root}{LOOPBACK_EXCHANGE}"),
        "credential_source": {
            "url": format!("{root}{LOOPBACK_SUBJECT}"),
            "headers": {"Metadata-Flavor": "Google"},
            "format": {"type": "text"},
        },
    });
    file.to_string()
}

/// It listens on loopback, where the kubelet cannot ask. Its port is in its environment, where `probe` finds it.
fn startup_probe() -> Value {
    json!({
        "exec": {"command": [names::PROGRAM_IN_IMAGE, contract::probe::VERB]},
        "periodSeconds": 1,
        "timeoutSeconds": 5,
        "failureThreshold": 120,
    })
}

/// The broker goes out as the operator says, whatever the agent does.
fn note_other_way(target: &ContainerDraft<'_>, notes: &mut Notes) {
    let name = target.name();
    let way = proxies::way_to(target, "googleapis.com");
    if !way.is_empty() {
        let warning = format!(
            "container {name} reaches the world through an HTTP proxy ({}), and the broker, which calls Google in its place, does not; where nothing else leads out, the operator must set broker.httpsProxy",
            way.join(", ")
        );
        notes.warn(Class::Unclear, name, way.first().copied().unwrap_or_default(), warning);
    }
}

/// Removes a variable of the pod's that would give the agent a credential or a way past the broker.
fn forbid(target: &mut ContainerDraft<'_>, name: &str, on_value: OnValue, notes: &mut Notes) {
    // What an earlier injection wrote goes by itself.
    if target.is_planned(name) || target.is_previous(name) || target.environment.known(name).is_none() {
        return;
    }
    let owner = target.name();
    match on_value {
        OnValue::Deny => {
            let problem = format!(
                "container {owner:?} sets {name}, which would lead it past the broker, and conflicts.values is Deny; remove the variable from the pod"
            );
            notes.deny(Some(owner), name, problem);
            return;
        }
        OnValue::Keep => {
            let warning = format!("container {owner} loses its {name}, which would lead it past the broker");
            notes.warn(Class::Replaced, owner, name, warning);
        }
        OnValue::Override => {}
    }
    target.remove_env(name);
}

/// Sets a variable that only the policy decides.
fn impose(target: &mut ContainerDraft<'_>, name: &str, value: &str, on_value: OnValue, notes: &mut Notes) {
    let own = match target.environment.known(name) {
        None => false,
        Some(Known::Text(text)) => **text != *value,
        Some(Known::Opaque { .. }) => true,
    };
    let (owner, foreign) = (target.name(), own && !target.is_previous(name));
    match on_value {
        OnValue::Deny if foreign => {
            let problem = format!(
                "container {owner:?} sets {name} to something else than the broker's, and conflicts.values is Deny; remove the variable from the pod"
            );
            notes.deny(Some(owner), name, problem);
            return;
        }
        OnValue::Keep if foreign => {
            let warning = format!(
                "container {owner} gets the broker's {name} in place of its own, which would lead it past the broker"
            );
            notes.warn(Class::Replaced, owner, name, warning);
        }
        OnValue::Deny | OnValue::Keep | OnValue::Override => {}
    }
    target.set_env(name, render::literal(name, value), notes);
}
