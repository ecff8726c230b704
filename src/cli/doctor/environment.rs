//! How this pod comes to its tokens, from the variables that a broker or an agent has.

use super::asked::Asked;
use anyhow::{anyhow, bail};
use std::path::PathBuf;
use std::str::FromStr;
use vertex_injector_core::clients::{CREDENTIALS, Form, METADATA_ADDRESSES, Setting};
use vertex_injector_core::contract::broker::{Broker, Credential, MODE};
use vertex_injector_core::contract::setting::{Given, Setting as Told};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_sidecar::doctor::{Pod, Target, Way};

/// What a variable holds.
type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Reads the environment, of which the arguments may say otherwise.
///
/// # Errors
/// When there is nothing that leads to a model, or something that cannot be understood.
pub(super) fn pod(asked: Asked, variable: Variables<'_>) -> anyhow::Result<Pod> {
    let mut pod = match &asked.credentials {
        Some(file) => agent(variable, Some(Way::Credential(Credential::File(file.clone())))),
        None if is_set(variable, MODE.variable.unwrap_or_default()) => broker(variable),
        None => agent(variable, None),
    }?;
    let target = &mut pod.target;
    target.project = asked.project.or(target.project.take());
    target.region = asked.region.or(target.region.take());
    target.model = asked.model.or(target.model.take());
    pod.hosts = asked.reach;
    Ok(pod)
}

/// In a broker's container.
fn broker(variable: Variables<'_>) -> anyhow::Result<Pod> {
    let values = |told: Told| told.variable.and_then(variable).into_iter().collect();
    let told = Broker::read(&Given::new(&values)).map_err(|wrong| anyhow!("{wrong}"))?;
    let rules = told.proxy().map(|proxy| &proxy.rules);
    let models = rules.into_iter().flat_map(|rules| &rules.models);
    let model = models.map(ToString::to_string).find(|model| !model.contains('*'));
    Ok(Pod {
        target: Target {
            project: Some(told.project().clone()),
            region: rules.and_then(|rules| rules.regions.first().cloned()),
            model,
            endpoint: told.proxy().and_then(|proxy| proxy.endpoint.clone()),
        },
        way: Way::Credential(told.credential),
        hosts: Vec::new(),
    })
}

/// In an agent's container.
fn agent(variable: Variables<'_>, chosen: Option<Way>) -> anyhow::Result<Pod> {
    let endpoint = endpoint(variable)?;
    let project = first(variable, Setting::Project);
    let way = match (chosen, &endpoint) {
        (Some(way), _) => way,
        (None, Some(root)) if is_brokers(root) => Way::Proxy(root.clone()),
        (None, _) => Way::Credential(credential(variable, project.is_some())?),
    };
    let models = Setting::MODELS.into_iter().flat_map(Setting::variables);
    let models = models.filter_map(|known| variable(known.name));
    // Names without a hyphen are aliases, and what is in brackets asks for a longer context.
    let model = { models.into_iter() }
        .filter_map(|model| model.split('[').next().map(str::to_owned))
        .find(|model| model.contains('-'));
    Ok(Pod {
        way,
        target: Target {
            project,
            region: first(variable, Setting::Region),
            model,
            endpoint: endpoint.filter(|root| !is_brokers(root)),
        },
        hosts: Vec::new(),
    })
}

fn credential(variable: Variables<'_>, calls_models: bool) -> anyhow::Result<Credential> {
    let [host, ..] = METADATA_ADDRESSES;
    if let Some(address) = set(variable, host) {
        let server = Endpoint::node_metadata(&address).map_err(|problem| anyhow!("{host}: {problem}"))?;
        return Ok(Credential::NodeMetadata(server));
    }
    if let Some(file) = set(variable, CREDENTIALS) {
        return Ok(Credential::File(PathBuf::from(file)));
    }
    if calls_models {
        // GKE's metadata server needs no variable.
        return Ok(Credential::NodeMetadata(Endpoint::node()));
    }
    bail!(
        "there is nothing to look at: no variable of a broker ({}) or of an injected agent ({CREDENTIALS}, {host}, a project) is set; run it in the pod, print a Job for the pod with --job, or say --credentials FILE",
        MODE.variable.unwrap_or_default()
    )
}

/// The root of Vertex AI, or of the broker's proxy, without the path that a client wants behind it.
fn endpoint(variable: Variables<'_>) -> anyhow::Result<Option<Endpoint>> {
    for known in Setting::Endpoint.variables() {
        let (Some(url), Form::Url(path)) = (set(variable, known.name), known.form) else {
            continue;
        };
        let root = url.trim_end_matches('/');
        let root = root.strip_suffix(path).unwrap_or(root);
        let root = Endpoint::parse(root).map_err(|problem| anyhow!("{} {problem}", known.name))?;
        return Ok(Some(root));
    }
    Ok(None)
}

/// Brokers listen on loopback, without TLS.
fn is_brokers(root: &Endpoint) -> bool {
    root.host().is_loopback() && !root.is_secure()
}

fn first<T: FromStr>(variable: Variables<'_>, setting: Setting) -> Option<T> {
    let mut known = setting.variables();
    known.find_map(|known| set(variable, known.name)?.parse().ok())
}

fn set(variable: Variables<'_>, name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}

fn is_set(variable: Variables<'_>, name: &str) -> bool {
    set(variable, name).is_some()
}
