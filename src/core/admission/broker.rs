//! The broker of a policy as far as it is the same for every pod: its environment, its volumes, what comes of the operator.

use super::native::Defaults;
use super::render;
use crate::api::{
    self, Access, Broker as Wishes, GkeWorkloadIdentity, Identity, PolicySpec, Vertex, WorkloadIdentityFederation,
};
use crate::contract::broker::{self as contract, Credential, DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT, Mode, Proxy};
use crate::contract::proxy::{Project, Rules};
use crate::endpoint::Endpoint;
use crate::names;
use crate::operator::{self, CaConfigMap};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

/// What is rendered once.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) access: Access,
    pub(super) image: String,
    pub(super) pull_policy: &'static str,
    pub(super) pull_secrets: Vec<String>,
    /// The credential's volume, without its name; none on GKE.
    pub(super) volume: Option<Value>,
    /// The volume of the operator's certificates, without its name.
    pub(super) trust: Option<Value>,
    /// What it is told, but for its ports in a pod.
    told: contract::Broker,
    /// Its variables of the operator's.
    way_out: Vec<Value>,
    pub(super) wishes: Wishes,
    /// Audiences of tokens that the identity's provider takes.
    pub(super) audiences: Vec<String>,
    /// The Secret that holds the identity's key.
    pub(super) key_secret: Option<String>,
}

impl Broker {
    /// The broker of a policy, if it has one.
    ///
    /// # Errors
    /// When a field cannot be told to a broker.
    pub(super) fn of(spec: &PolicySpec, operator: &operator::Broker) -> Result<Option<Self>, Unreadable> {
        let (Some(identity), Some(vertex), true) = (&spec.identity, &spec.vertex, spec.access.has_broker()) else {
            return Ok(None);
        };
        let operator::Broker {
            image,
            image_pull_policy,
            image_pull_secrets,
            ca_config_map,
            ..
        } = operator;
        Ok(Some(Self {
            access: spec.access,
            image: image.clone(),
            pull_policy: image_pull_policy.name(),
            pull_secrets: image_pull_secrets.clone(),
            volume: render::broker_volume(identity),
            trust: ca_config_map.as_ref().map(trust_volume),
            told: told(spec, identity, vertex)?,
            way_out: way_out(operator),
            wishes: spec.broker.clone().unwrap_or_default(),
            audiences: identity
                .workload_identity_federation
                .iter()
                .flat_map(WorkloadIdentityFederation::audiences)
                .collect(),
            key_secret: identity.service_account_key.as_ref().map(|key| key.secret_name.clone()),
        }))
    }

    /// What the proxy lets through, if there is one.
    pub(super) fn rules(&self) -> Option<&Rules> {
        self.told.proxy().map(|proxy| &proxy.rules)
    }

    /// Its environment in a pod in which it has these ports.
    pub(super) fn environment(&self, metadata: i32, proxy: Option<i32>, metrics: Option<i32>) -> Vec<Value> {
        let mut told = self.told.clone();
        told.metadata_port = number(metadata);
        if let (Mode::Proxy(rest), Some(port)) = (&mut told.mode, proxy) {
            rest.port = number(port);
        }
        told.metrics = metrics.map(|port| (Ipv4Addr::UNSPECIFIED, number(port)).into());
        let told = told.environment().into_iter();
        let told = told.map(|(name, value)| render::literal(name, &value));
        told.chain(self.way_out.iter().cloned()).collect()
    }

    /// What the container gets when the policy does not say. A proxy holds requests while it looks into them.
    pub(super) fn defaults(&self) -> Defaults {
        match self.access {
            Access::Proxy => Defaults {
                cpu: ("20m", "500m"),
                memory: ("32Mi", "256Mi"),
            },
            Access::Metadata | Access::File => Defaults {
                cpu: ("10m", "100m"),
                memory: ("16Mi", "64Mi"),
            },
        }
    }
}

/// A port that the schema, or whoever gave it out, has bounded.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

/// What a broker of the policy is told, at the ports that it has where the pod does not use them. An error names the field.
fn told(spec: &PolicySpec, identity: &Identity, vertex: &Vertex) -> Result<contract::Broker, Unreadable> {
    let project: Project = read("spec.vertex.project", &vertex.project)?;
    let mode = if spec.access == Access::Proxy {
        Mode::Proxy(Proxy {
            port: DEFAULT_PROXY_PORT,
            rules: rules(project, vertex, spec.proxy.as_ref())?,
            endpoint: vertex
                .endpoint
                .as_ref()
                .map(|url| read("spec.vertex.endpoint", url.trim_end_matches('/')))
                .transpose()?,
        })
    } else {
        Mode::Metadata { project }
    };
    let audiences = identity.id_token_audiences.iter();
    Ok(contract::Broker {
        credential: match identity {
            Identity {
                workload_identity_federation: Some(federation),
                ..
            } => Credential::Json(render::external_account(federation, names::CREDENTIAL_DIRECTORY, None)),
            Identity {
                gke_workload_identity: Some(GkeWorkloadIdentity { .. }),
                ..
            } => Credential::NodeMetadata(Endpoint::node()),
            _ => Credential::File(Path::new(names::CREDENTIAL_DIRECTORY).join(names::CREDENTIAL_FILE)),
        },
        mode,
        project_number: None,
        id_token_audiences: audiences
            .map(|audience| read("spec.identity.idTokenAudiences", audience))
            .collect::<Result<_, _>>()?,
        metadata_port: DEFAULT_METADATA_PORT,
        metrics: None,
    })
}

fn rules(project: Project, vertex: &Vertex, proxy: Option<&api::Proxy>) -> Result<Rules, Unreadable> {
    let api::Proxy {
        publishers,
        models,
        regions,
        allow,
    } = proxy.cloned().unwrap_or_default();
    let own = || -> BTreeSet<&String> { vertex.model_regions.values().chain([&vertex.region]).collect() };
    let regions = if regions.is_empty() {
        own().into_iter().cloned().collect()
    } else {
        regions
    };
    let regions = regions.iter().map(|region| read("spec.proxy.regions", region));
    let models = models.iter().map(|glob| read("spec.proxy.models", glob));
    Ok(Rules::new(
        project,
        regions.collect::<Result<_, _>>()?,
        publishers,
        models.collect::<Result<_, _>>()?,
        allow,
    ))
}

/// A field, and why what it says cannot be told to a broker.
pub(super) type Unreadable = (&'static str, String);

fn read<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Unreadable> {
    text.parse()
        .map_err(|problem| (field, format!("{text:?} is {problem}")))
}

/// How the operator lets it out of the cluster's network.
fn way_out(operator: &operator::Broker) -> Vec<Value> {
    let mut env = Vec::new();
    if operator.ca_config_map.is_some() {
        let file = format!("{}/{}", names::TRUST_DIRECTORY, names::TRUST_FILE);
        env.push(render::literal("SSL_CERT_FILE", &file));
    }
    if let Some(proxy) = &operator.https_proxy {
        env.push(render::literal("HTTPS_PROXY", proxy.url()));
        env.push(render::literal("NO_PROXY", &operator.no_proxy.join(",")));
    }
    env
}

fn trust_volume(CaConfigMap { name, key }: &CaConfigMap) -> Value {
    json!({"configMap": {"name": name, "defaultMode": 0o444, "items": [{"key": key, "path": names::TRUST_FILE}]}})
}
