//! The broker of a policy as far as it is the same for every pod: its environment, its volumes, what comes of the operator.

use super::native::Defaults;
use super::render;
use crate::api::{
    Access, Broker as Wishes, GkeWorkloadIdentity, Identity, PolicySpec, Proxy, Publisher, Vertex,
    WorkloadIdentityFederation,
};
use crate::endpoint::NODE_METADATA;
use crate::glob::Glob;
use crate::names;
use crate::operator::{self, CaConfigMap};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    /// Its variables but the ports.
    pub(super) env: Vec<Value>,
    pub(super) wishes: Wishes,
    /// Audiences of tokens that the identity's provider takes.
    pub(super) audiences: Vec<String>,
    /// The Secret that holds the identity's key.
    pub(super) key_secret: Option<String>,
    /// What the proxy lets through; none without a proxy.
    pub(super) limits: Option<Limits>,
}

/// What the proxy lets through, with every default filled in.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) project: String,
    pub(super) regions: Vec<String>,
    pub(super) models: Vec<Glob>,
}

impl Broker {
    /// The broker of a policy, if it has one.
    pub(super) fn of(spec: &PolicySpec, operator: &operator::Broker) -> Option<Self> {
        let (Some(identity), Some(vertex), true) = (&spec.identity, &spec.vertex, spec.access.has_broker()) else {
            return None;
        };
        let limits = (spec.access == Access::Proxy).then(|| Limits::of(vertex, spec.proxy.as_ref()));
        let operator::Broker {
            image,
            image_pull_policy,
            image_pull_secrets,
            ca_config_map,
            ..
        } = operator;
        Some(Self {
            access: spec.access,
            image: image.clone(),
            pull_policy: image_pull_policy.name(),
            pull_secrets: image_pull_secrets.clone(),
            volume: render::broker_volume(identity),
            trust: ca_config_map.as_ref().map(trust_volume),
            env: environment(spec, identity, vertex, limits.as_ref(), operator),
            wishes: spec.broker.clone().unwrap_or_default(),
            audiences: identity
                .workload_identity_federation
                .iter()
                .flat_map(WorkloadIdentityFederation::audiences)
                .collect(),
            key_secret: identity.service_account_key.as_ref().map(|key| key.secret_name.clone()),
            limits,
        })
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

impl Limits {
    fn of(vertex: &Vertex, proxy: Option<&Proxy>) -> Self {
        let Proxy { models, regions, .. } = proxy.cloned().unwrap_or_default();
        let own = || -> BTreeSet<&String> { vertex.model_regions.values().chain([&vertex.region]).collect() };
        Self {
            project: vertex.project.clone(),
            regions: if regions.is_empty() {
                own().into_iter().cloned().collect()
            } else {
                regions
            },
            models: if models.is_empty() {
                vec![Glob::any()]
            } else {
                models.iter().filter_map(|glob| glob.parse().ok()).collect()
            },
        }
    }
}

/// The broker's flags as variables (`vertex-injector broker --help`), the ports excepted. In the container's own
/// environment nobody can edit them later, as one could an annotation.
fn environment(
    spec: &PolicySpec,
    identity: &Identity,
    vertex: &Vertex,
    limits: Option<&Limits>,
    operator: &operator::Broker,
) -> Vec<Value> {
    let mut env = Vec::new();
    let mut set = |name: &str, value: &str| env.push(render::literal(&format!("VERTEX_INJECTOR_{name}"), value));
    set("MODE", if limits.is_some() { "proxy" } else { "metadata" });
    set("PROJECT", &vertex.project);
    match identity {
        Identity {
            workload_identity_federation: Some(federation),
            ..
        } => set(
            "CREDENTIALS_JSON",
            &render::external_account(federation, names::CREDENTIAL_DIRECTORY, None),
        ),
        Identity {
            gke_workload_identity: Some(GkeWorkloadIdentity { .. }),
            ..
        } => set("NODE_METADATA_SERVER", NODE_METADATA),
        _ => set(
            "CREDENTIALS",
            &format!("{}/{}", names::CREDENTIAL_DIRECTORY, names::CREDENTIAL_FILE),
        ),
    }
    if !identity.id_token_audiences.is_empty() {
        set("ID_TOKEN_AUDIENCES", &identity.id_token_audiences.join(","));
    }
    if let Some(Limits { regions, models, .. }) = limits {
        let Proxy { publishers, allow, .. } = spec.proxy.clone().unwrap_or_default();
        let publishers = if publishers.is_empty() {
            Publisher::ALL.to_vec()
        } else {
            publishers
        };
        let publishers: Vec<&str> = publishers.into_iter().map(Publisher::name).collect();
        set("PUBLISHERS", &publishers.join(","));
        let models: Vec<&str> = models.iter().map(Glob::as_str).collect();
        set("MODELS", &models.join(","));
        set("REGIONS", &regions.join(","));
        if !allow.is_empty() {
            let allow: Vec<String> = allow.iter().map(|feature| format!("{feature:?}")).collect();
            set("ALLOW", &allow.join(","));
        }
        if let Some(endpoint) = &vertex.endpoint {
            set("VERTEX_ENDPOINT", endpoint.trim_end_matches('/'));
        }
    }
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
