//! What the operator of the cluster allows: the chart's values, read once at start-up.

use crate::api::Selector;
use serde::{Deserialize, Serialize};

/// The operator's settings. The chart writes them into a file; the command line reads the same file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Operator {
    /// What marks a pod as an agent in the webhook configuration. A policy whose selector implies none of these is
    /// never asked about: the API server does not send us its pods.
    pub agent_selectors: Vec<AgentSelector>,
    /// Images that policies may run as sidecars: globs, `*` matches any characters, for example `ghcr.io/acme/*`.
    /// Empty: none.
    pub sidecar_images: Vec<String>,
    /// Hosts, beside Google's, that policies may name in `endpoints` and `vertex.endpoint`: `host` or `host:port`.
    pub endpoint_hosts: Vec<String>,
    /// Audiences that the API server accepts; no policy may project a token for one of them.
    pub api_server_audiences: Vec<String>,
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
    /// No restriction by selectors, no sidecar images, Google's hosts only, the usual audiences of an API server.
    fn default() -> Self {
        Self {
            agent_selectors: Vec::new(),
            sidecar_images: Vec::new(),
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
        }
    }
}
