//! The broker of a policy as far as it is the same for every pod: its environment, its volumes, what comes of the operator.

use super::errors::{Checked, Errors};
use super::identity::{Held, Identity};
use super::render::{Needed, literal};
use super::resources;
use super::sidecars::Filled;
use super::text::Port;
use crate::api::{self, Access, PolicySpec, Resources};
use crate::contract::{CA_FILES, broker as told};
use crate::names;
use crate::operator::{self, CaConfigMap, Operator};
use crate::quantity;
use serde_json::{Value, json};

/// A broker beside the agent, which keeps the identity's credential.
#[derive(Debug)]
pub struct Broker {
    /// Its image.
    pub program: Program,
    /// The identity's credential.
    pub held: Held,
    /// The operator's certificates.
    pub trust: Option<Trust>,
    /// What it is told, but for its ports in a pod.
    pub told: told::Broker,
    /// Variables by which it gets out of the cluster.
    pub way_out: Vec<Value>,
    /// What the policy says of its container.
    pub container: Container,
}

/// The image with our program.
#[derive(Debug)]
pub struct Program {
    /// The image.
    pub image: String,
    /// When it is pulled.
    pub pull_policy: &'static str,
    /// Secrets with which it is pulled.
    pub pull_secrets: Vec<String>,
}

/// The operator's certificates, which our containers trust beside those of their images.
#[derive(Debug)]
pub struct Trust {
    /// The volume, without its name.
    pub volume: Value,
    /// What the pod waits for because of it.
    pub needed: Needed,
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
        id_token_audiences: Vec<told::Audience>,
        mode: told::Mode,
        container: Container,
        operator: &Operator,
    ) -> Self {
        Self {
            program: Program::of(&operator.broker),
            held: identity.in_broker(),
            trust: Trust::of(&operator.broker),
            told: told::Broker {
                credential: identity.told(),
                mode,
                project_number: None,
                id_token_audiences,
                metadata_port: told::DEFAULT_METADATA_PORT,
                metrics: None,
                memory: memory(&container),
            },
            way_out: way_out(&operator.broker),
            container,
        }
    }

    /// Whether it reaches Google through an HTTP proxy of the operator's.
    pub fn has_proxy(&self) -> bool {
        let is_proxy = |var: &Value| var.get("name").and_then(Value::as_str) == Some("HTTPS_PROXY");
        self.way_out.iter().any(is_proxy)
    }
}

impl Program {
    pub(super) fn of(operator: &operator::Broker) -> Self {
        Self {
            image: operator.image.clone(),
            pull_policy: operator.image_pull_policy.name(),
            pull_secrets: operator.image_pull_secrets.clone(),
        }
    }
}

impl Trust {
    /// Its file in a container.
    pub fn file() -> String {
        format!("{}/{}", names::TRUST_DIRECTORY, names::TRUST_FILE)
    }

    pub(super) fn of(operator: &operator::Broker) -> Option<Self> {
        let CaConfigMap { name, key } = operator.ca_config_map.as_ref()?;
        let items = json!([{"key": key, "path": names::TRUST_FILE}]);
        Some(Self {
            volume: json!({"configMap": {"name": name, "defaultMode": 0o444, "items": items}}),
            needed: Needed::of("ConfigMap", name, false),
        })
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
        let mut sidecars = spec.sidecars.iter().map(Filled::of);
        if let Some(sidecar) = sidecars.find(|sidecar| sidecar.fixed == Some(port)) {
            let name = sidecar.name.unwrap_or_default();
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

/// The memory limit that a policy sets; the broker shares it out.
fn memory(container: &Container) -> Option<u64> {
    let memory = container.resources.as_ref()?.limits.memory.as_ref()?;
    let thousandths = quantity::thousandths(&Value::from(memory.as_str()))?;
    u64::try_from(thousandths / 1000).ok()
}

/// How the operator lets it out of the cluster's network.
fn way_out(operator: &operator::Broker) -> Vec<Value> {
    let mut env = Vec::new();
    if operator.ca_config_map.is_some() {
        env.push(literal(CA_FILES, &Trust::file()));
    }
    if let Some(proxy) = &operator.https_proxy {
        env.push(literal("HTTPS_PROXY", proxy.url()));
        env.push(literal("NO_PROXY", &operator.no_proxy.join(",")));
    }
    env
}
