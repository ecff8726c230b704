//! The broker of a policy as far as it is the same for every pod: its environment, its volumes, what comes of the operator.

use super::errors::{Checked, Errors};
use super::identity::{Held, Identity};
use super::proxy::Limits;
use super::render::{literal, trust_volume};
use super::resources;
use super::text::Port;
use super::vertex::Vertex;
use crate::api::{self, Access, PolicySpec, Resources};
use crate::glob::Glob;
use crate::names;
use crate::operator::{self, CaConfigMap, Operator};
use serde_json::Value;

/// A broker beside the agent, which keeps the identity's credential.
#[derive(Debug)]
pub struct Broker {
    /// What it does for the agent.
    pub mode: Mode,
    /// Its image.
    pub image: String,
    /// When the image is pulled.
    pub pull_policy: &'static str,
    /// Secrets with which it is pulled.
    pub pull_secrets: Vec<String>,
    /// The identity's credential.
    pub held: Held,
    /// The volume of the operator's certificates, without its name, and the ConfigMap.
    pub trust: Option<(Value, String)>,
    /// Its variables but the ports.
    pub env: Vec<Value>,
    /// What the policy says of its container.
    pub container: Container,
}

/// What a broker does for the agent.
#[derive(Debug)]
pub enum Mode {
    /// It hands out access tokens.
    Metadata,
    /// It makes the calls, within these limits.
    Proxy(Limits),
}

/// What a policy says of the broker's container.
#[derive(Debug, Default)]
pub struct Container {
    /// What it may use.
    pub resources: Option<Resources>,
    /// Where the metadata server listens; otherwise where it is free.
    pub metadata_port: Option<Port>,
    /// Where the proxy listens; otherwise where it is free.
    pub proxy_port: Option<Port>,
    /// Where `/metrics` is served; otherwise nowhere.
    pub metrics_port: Option<Port>,
}

impl Broker {
    pub(super) fn new(
        identity: &Identity,
        spec: &PolicySpec,
        vertex: &Vertex,
        mode: Mode,
        container: Container,
        operator: &Operator,
    ) -> Self {
        let operator::Broker {
            image,
            image_pull_policy,
            image_pull_secrets,
            ca_config_map,
            ..
        } = &operator.broker;
        Self {
            image: image.clone(),
            pull_policy: image_pull_policy.name(),
            pull_secrets: image_pull_secrets.clone(),
            held: identity.in_broker(),
            trust: ca_config_map
                .as_ref()
                .map(|CaConfigMap { name, key }| (trust_volume(name, key), name.clone())),
            env: environment(identity, spec, vertex, &mode, &operator.broker),
            container,
            mode,
        }
    }
}

impl Mode {
    /// As the policy's `access` names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Metadata => "Metadata",
            Self::Proxy(_) => "Proxy",
        }
    }

    /// What the proxy lets through.
    pub fn limits(&self) -> Option<&Limits> {
        match self {
            Self::Metadata => None,
            Self::Proxy(limits) => Some(limits),
        }
    }
}

/// The broker's container, as far as it is the policy's.
pub(super) fn container(spec: &PolicySpec, errors: &mut Errors) -> Checked<Container> {
    let api::Broker {
        resources,
        metadata_port,
        proxy_port,
        metrics_port,
    } = spec.broker.clone().unwrap_or_default();
    let ports = [
        ("metadataPort", metadata_port),
        ("proxyPort", proxy_port),
        ("metricsPort", metrics_port),
    ];
    let mut parsed = |i: usize| -> Checked<Option<Port>> {
        let Some((name, Some(port))) = ports.get(i).copied() else {
            return Ok(None);
        };
        let field = format!("spec.broker.{name}");
        if let Some((other, _)) = ports.iter().take(i).find(|(_, other)| *other == Some(port)) {
            errors.add(&*field, format!("{port} is {other} already; the ports must differ"));
        }
        let parsed = Port::parse(port, &field, errors)?;
        parsed.check_agents(&field, errors);
        if let Some(sidecar) = spec.sidecars.iter().find(|sidecar| sidecar.port == Some(port)) {
            let name = sidecar.name.as_deref().unwrap_or_default();
            errors.add(&*field, format!("{port} is the port of sidecar {name:?} already"));
        }
        Ok(Some(parsed))
    };
    let (metadata_port, proxy_port, metrics_port) = (parsed(0), parsed(1), parsed(2));
    if matches!(proxy_port, Ok(Some(_))) && spec.access != Access::Proxy {
        errors.add(
            "spec.broker.proxyPort",
            "only access: Proxy has a proxy that would listen there",
        );
    }
    Ok(Container {
        resources: resources.map(|resources| resources::checked(resources, "spec.broker.resources", errors)),
        metadata_port: metadata_port?,
        proxy_port: proxy_port?,
        metrics_port: metrics_port?,
    })
}

/// The broker's flags as variables (`vertex-injector broker --help`), the ports excepted. In the container's own
/// environment nobody can edit them later, as one could an annotation.
fn environment(
    identity: &Identity,
    spec: &PolicySpec,
    vertex: &Vertex,
    mode: &Mode,
    operator: &operator::Broker,
) -> Vec<Value> {
    let mut env = Vec::new();
    let mut set = |name: &str, value: &str| env.push(literal(&format!("VERTEX_INJECTOR_{name}"), value));
    set("MODE", &mode.name().to_ascii_lowercase());
    set("PROJECT", &vertex.project);
    let (name, value) = identity.flag();
    set(name, &value);
    let id_tokens = spec.identity.iter().flat_map(|identity| &identity.id_token_audiences);
    let id_tokens: Vec<&str> = id_tokens.map(String::as_str).collect();
    if !id_tokens.is_empty() {
        set("ID_TOKEN_AUDIENCES", &id_tokens.join(","));
    }
    match mode {
        Mode::Metadata => {}
        Mode::Proxy(limits) => {
            let publishers: Vec<&str> = limits.publishers.iter().map(|publisher| publisher.name()).collect();
            set("PUBLISHERS", &publishers.join(","));
            let models: Vec<&str> = limits.models.iter().map(Glob::as_str).collect();
            set("MODELS", &models.join(","));
            set("REGIONS", &limits.regions.join(","));
            if !limits.features.is_empty() {
                let features: Vec<String> = limits.features.iter().map(|feature| format!("{feature:?}")).collect();
                set("ALLOW", &features.join(","));
            }
            if let Some(endpoint) = &vertex.endpoint {
                set("VERTEX_ENDPOINT", endpoint.as_str());
            }
        }
    }
    if operator.ca_config_map.is_some() {
        let file = format!("{}/{}", names::TRUST_DIRECTORY, names::TRUST_FILE);
        env.push(literal("SSL_CERT_FILE", &file));
    }
    if let Some(proxy) = &operator.https_proxy {
        env.push(literal("HTTPS_PROXY", proxy.url()));
        env.push(literal("NO_PROXY", &operator.no_proxy.join(",")));
    }
    env
}
