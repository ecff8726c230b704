//! What the operator of the cluster allows: the chart's values, read once at start-up.

use crate::allowed::Listed;
use crate::api::{Preset, Selector};
use crate::contract::proxy::FieldName;
use crate::host::{HostPort, Url};
use crate::names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The operator's settings. The chart writes them into a file; the command line reads the same file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Operator {
    /// The namespaces that opted in: of others the API server sends us no pods. None: nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
    /// What marks a pod as an agent in the webhook configuration. A policy whose selector implies none of these is
    /// never asked about: the API server does not send us its pods.
    pub agent_selectors: Vec<AgentSelector>,
    /// Images that policies may run as sidecars: globs, `*` matches any characters, for example `ghcr.io/acme/*`.
    /// Empty: none.
    pub sidecar_images: Vec<String>,
    /// The image of each preset whose sidecars name none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub preset_images: BTreeMap<Preset, String>,
    /// Hosts that credential sidecars may send a token to, to get their credential: `host` or `host:port`; without a port the
    /// one that the URL's scheme stands for.
    pub credential_hosts: Vec<Listed>,
    /// Hosts, beside Google's, that policies may name in `endpoints` and `vertex.endpoint`: `host` or `host:port`.
    pub endpoint_hosts: Vec<HostPort>,
    /// Audiences that the API server accepts; no policy may project a token for one of them.
    pub api_server_audiences: Vec<String>,
    /// The broker's container, as far as it is not the policy's.
    pub broker: Broker,
}

impl Operator {
    /// Why the API server sends us no pods of a namespace with these labels, if so.
    pub fn not_opted_in(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
        let selector = self.namespace_selector.as_ref()?;
        let label = |key: &str| match key {
            names::NAMESPACE_NAME => Some(namespace),
            _ => labels.get(key).map(String::as_str),
        };
        if selector.matches(label) {
            return None;
        }
        let by_label = selector
            .match_labels
            .get(names::NAMESPACE_INJECTION)
            .map(String::as_str);
        let remedy = if by_label == Some(names::INJECTION_ENABLED) && label(names::NAMESPACE_INJECTION) != by_label {
            format!("label it {}={}", names::NAMESPACE_INJECTION, names::INJECTION_ENABLED)
        } else {
            "the chart's namespaceSelector says which do".to_owned()
        };
        Some(format!(
            "namespace {namespace} has not opted in, so the API server sends none of its pods to the webhook, and no agent pod is served by this policy; {remedy}"
        ))
    }
}

/// Where the broker comes from and whom it trusts.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Broker {
    /// Its image: this product's own, of the same version. Default: what `make image` builds and `make image-load` loads
    /// into nodes, because none is published.
    pub image: String,
    /// When the image is pulled.
    pub image_pull_policy: PullPolicy,
    /// Secrets with which it is pulled, by name. Pods that get a broker name them in `imagePullSecrets`, so they must exist
    /// in the pods' namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// Certificates that broker and credential sidecars trust beside those of their images, for endpoints behind a private CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<CaConfigMap>,
    /// The HTTP proxy by which it reaches Google, where nothing else leads out of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_proxy: Option<HttpProxy>,
    /// What it reaches without that proxy: domains with their subdomains, addresses, networks, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
    /// Members of requests' bodies that it lets pass although this version does not know them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_fields: Vec<FieldName>,
}

/// `http://HOST:PORT`, without a user and a password: they would stand in every pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct HttpProxy(String);

impl TryFrom<String> for HttpProxy {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        match url.parse::<Url>() {
            Ok(parsed) if !parsed.is_secure() && parsed.is_bare() && parsed.address().port.is_some() => Ok(Self(url)),
            _ => Err("must be http://HOST:PORT, without a user and a password"),
        }
    }
}

impl From<HttpProxy> for String {
    fn from(HttpProxy(url): HttpProxy) -> Self {
        url
    }
}

impl HttpProxy {
    /// The URL.
    pub fn url(&self) -> &str {
        &self.0
    }
}

/// A bundle of CA certificates (PEM) in a ConfigMap of the pods' namespaces.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaConfigMap {
    /// The ConfigMap.
    pub name: String,
    /// The key that holds the bundle.
    pub key: String,
}

/// Kubernetes' `imagePullPolicy`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

/// One entry of the chart's `agentSelectors`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSelector {
    /// Becomes part of the webhook's name.
    pub name: String,
    /// The labels of the pods; `{}` is every pod of an opted-in namespace.
    #[serde(default)]
    pub object_selector: Selector,
    /// ServiceAccounts of the pods, for pods without labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
}

impl Default for Operator {
    /// No restriction by selectors, no sidecar images, Google's hosts only, the usual audiences of an API server, the
    /// broker's image as it is built here.
    fn default() -> Self {
        Self {
            namespace_selector: None,
            agent_selectors: Vec::new(),
            sidecar_images: Vec::new(),
            preset_images: BTreeMap::new(),
            credential_hosts: Vec::new(),
            endpoint_hosts: Vec::new(),
            api_server_audiences: [
                "https://kubernetes.default.svc",
                "https://kubernetes.default.svc.cluster.local",
                "kubernetes.default.svc",
                "kubernetes",
                "api",
            ]
            .map(str::to_owned)
            .to_vec(),
            broker: Broker::default(),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            image: concat!("localhost/vertex-injector:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: PullPolicy::IfNotPresent,
            image_pull_secrets: Vec::new(),
            ca_config_map: None,
            https_proxy: None,
            no_proxy: Vec::new(),
            known_fields: Vec::new(),
        }
    }
}

impl Operator {
    /// Whether a credential sidecar may send a token to a URL.
    pub fn may_have_credentials(&self, url: &Url) -> bool {
        self.credential_hosts.iter().any(|listed| listed.covers(url))
    }
}

/// What is on a list of the operator's, as the end of a sentence.
pub(crate) fn listed(list: &str, hosts: &[impl ToString]) -> String {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() {
        format!("the operator's list of {list} is empty")
    } else {
        format!("the operator's list of {list} has {}", hosts.join(", "))
    }
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
