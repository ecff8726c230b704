//! The broker in one pod: its container with all that it needs, and an agent that has nothing but its address.

use super::identity::replace_credentials;
use crate::admission::broker::{Broker, Ports};
use crate::admission::draft::Draft;
use crate::admission::env::Known;
use crate::admission::native::{self, Native};
use crate::admission::render;
use crate::admission::select;
use crate::api::{OnValue, PolicySpec};
use crate::clients::{
    CREDENTIAL_SOURCES, CREDENTIALS, DETECTION, METADATA_ADDRESSES, METADATA_FENCES, ROUTES, Setting,
};
use crate::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Plans the container, its volumes and the agent's variables. `loopback` is where the secret-free credential file is
/// mounted, for clients that demand one.
pub(in crate::admission) fn plan(
    draft: &mut Draft<'_>,
    broker: &Broker,
    spec: &PolicySpec,
    ports: Ports,
    loopback: Option<&str>,
) {
    deny_taken_ports(draft, broker);
    match &broker.volume {
        Some(volume) => draft.add_volume(names::CREDENTIALS_VOLUME, volume),
        None => draft.select_node(names::GKE_METADATA_NODE, "true"),
    }
    if let Some(volume) = &broker.trust {
        draft.add_volume(names::TRUST_VOLUME, volume);
    }
    for secret in &broker.pull_secrets {
        draft.pull_with(secret);
    }
    native::plan(draft, container(broker, ports));
    // The configuration is the container's own environment.
    draft.annotate(names::CREDENTIAL_CONFIGURATION, None);
    let file = loopback.map(|directory| format!("{directory}/{}", names::CREDENTIAL_FILE));
    if loopback.is_some() {
        draft.add_volume(names::LOOPBACK_VOLUME, &render::loopback_volume());
        let configuration = render::loopback_configuration(ports.metadata);
        draft.annotate(names::LOOPBACK_CONFIGURATION, Some(configuration));
    }
    for container in 0..draft.containers.len() {
        if replace_credentials(draft, container, spec)
            && let Some(target) = draft.containers.get(container)
        {
            draft.left_files.push(target.name().to_owned());
        }
        for name in CREDENTIAL_SOURCES.iter().chain(METADATA_FENCES) {
            let demanded = *name == CREDENTIALS && file.is_some();
            if !demanded && !is_address(name) {
                forbid(draft, container, name, spec.conflicts.values);
            }
        }
        if let (Some(directory), Some(file)) = (loopback, &file) {
            let mount = render::read_only_mount(names::LOOPBACK_VOLUME, directory);
            draft.mount(container, mount, None);
            impose(draft, container, CREDENTIALS, file, spec.conflicts.values);
        }
        let address = format!("127.0.0.1:{}", ports.metadata);
        for name in METADATA_ADDRESSES {
            impose(draft, container, name, &address, spec.conflicts.values);
        }
        // Else Node's client looks for Google's hardware first.
        impose(draft, container, DETECTION, "assume-present", spec.conflicts.values);
    }
}

/// Ports that the pod's own containers and the policy's sidecars use.
pub(in crate::admission) fn taken_ports(draft: &Draft<'_>, spec: &PolicySpec) -> BTreeSet<i32> {
    let own = select::all(draft.pod).filter(|(place, container)| !select::is_ours(*place, container));
    own.flat_map(|(_, container)| &container.ports)
        .filter_map(|port| i32::try_from(port.container_port).ok())
        .chain(spec.sidecars.iter().filter_map(|sidecar| sidecar.port))
        .collect()
}

/// Variables that would lead the agent's clients past the broker, except those that are planned by now.
pub(in crate::admission) fn forbid_other_routes(draft: &mut Draft<'_>, container: usize, on_value: OnValue) {
    let endpoints = Setting::Endpoint.variables().map(|variable| variable.name);
    for name in endpoints.chain(ROUTES.iter().copied()) {
        forbid(draft, container, name, on_value);
    }
}

fn is_address(name: &str) -> bool {
    name == DETECTION || METADATA_ADDRESSES.contains(&name)
}

/// A port that the policy names is not moved: something else may rely on it.
fn deny_taken_ports(draft: &mut Draft<'_>, broker: &Broker) {
    let wishes = [
        ("metadataPort", broker.wishes.metadata_port),
        ("proxyPort", broker.wishes.proxy_port),
        ("metricsPort", broker.wishes.metrics_port),
    ];
    for (field, port) in wishes {
        let Some(port) = port else { continue };
        if let Some(user) = native::user_of_port(draft.pod, port) {
            draft.problems.push(format!(
                "the broker wants port {port} (broker.{field}), which container {user:?} uses; choose another port, or none, which takes one that is free"
            ));
        }
    }
}

fn container(broker: &Broker, ports: Ports) -> Native<'_> {
    let mut env = broker.env.clone();
    let mut set = |name: &str, value: String| env.push(render::literal(&format!("VERTEX_INJECTOR_{name}"), &value));
    set("METADATA_PORT", ports.metadata.to_string());
    if let Some(port) = ports.proxy {
        set("PROXY_PORT", port.to_string());
    }
    if let Some(port) = ports.metrics {
        set("METRICS_LISTEN", format!("0.0.0.0:{port}"));
    }
    let mut mounts = Vec::new();
    if broker.volume.is_some() {
        mounts.push(render::read_only_mount(
            names::CREDENTIALS_VOLUME,
            names::CREDENTIAL_DIRECTORY,
        ));
    }
    if broker.trust.is_some() {
        mounts.push(render::read_only_mount(names::TRUST_VOLUME, names::TRUST_DIRECTORY));
    }
    let metrics = |port| json!({"name": "metrics", "containerPort": port, "protocol": "TCP"});
    Native {
        name: names::BROKER_CONTAINER,
        image: &broker.image,
        pull_policy: broker.pull_policy,
        command: Vec::new(),
        args: vec!["broker"],
        ports: ports.metrics.map(metrics).into_iter().collect(),
        env,
        startup_probe: Some(startup_probe()),
        readiness_probe: None,
        stays: true,
        resources: broker.wishes.resources.as_ref(),
        defaults: broker.defaults(),
        mounts,
        sealed: true,
    }
}

/// It listens on loopback, where the kubelet cannot ask. Its port is in its environment, where `probe` finds it.
fn startup_probe() -> Value {
    json!({
        "exec": {"command": ["/vertex-injector", "probe"]},
        "periodSeconds": 1,
        "timeoutSeconds": 5,
        "failureThreshold": 120,
    })
}

/// Removes a variable of the pod's that would give the agent a credential or a way past the broker.
fn forbid(draft: &mut Draft<'_>, container: usize, name: &str, on_value: OnValue) {
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    // What an earlier injection wrote goes by itself.
    if target.is_planned(name) || target.is_previous(name) || target.environment.known(name).is_none() {
        return;
    }
    let owner = target.name();
    match on_value {
        OnValue::Deny => {
            draft.problems.push(format!(
                "container {owner:?} sets {name}, which would lead it past the broker, and conflicts.values is Deny; remove the variable from the pod"
            ));
            return;
        }
        OnValue::Keep => draft.warnings.push(format!(
            "container {owner} loses its {name}, which would lead it past the broker"
        )),
        OnValue::Override => {}
    }
    draft.remove_env(container, name);
}

/// Sets a variable that only the policy decides.
fn impose(draft: &mut Draft<'_>, container: usize, name: &str, value: &str, on_value: OnValue) {
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    let own = match target.environment.known(name) {
        None => false,
        Some(Known::Text(text)) => **text != *value,
        Some(Known::Opaque { .. }) => true,
    };
    let (owner, foreign) = (target.name(), own && !target.is_previous(name));
    if foreign && on_value == OnValue::Deny {
        draft.problems.push(format!(
            "container {owner:?} sets {name} to something else than the broker's, and conflicts.values is Deny; remove the variable from the pod"
        ));
        return;
    }
    if foreign && on_value == OnValue::Keep {
        draft.warnings.push(format!(
            "container {owner} gets the broker's {name} in place of its own, which would lead it past the broker"
        ));
    }
    draft.set_env(container, name, render::literal(name, value));
}
