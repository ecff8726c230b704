//! The broker beside the agent, as far as a policy's author may choose; its image is the operator's.

use super::Resources;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The broker's container: what it may use, where it listens.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.metadataPort) && has(self.proxyPort) && self.metadataPort == self.proxyPort) && !(has(self.metadataPort) && has(self.metricsPort) && self.metadataPort == self.metricsPort) && !(has(self.proxyPort) && has(self.metricsPort) && self.proxyPort == self.metricsPort)")
    .message("metadataPort, proxyPort and metricsPort must differ"))]
pub struct Broker {
    /// Resources. Default: requests of 10m and 16Mi, limits of 100m and 64Mi; with `access: Proxy` requests of 20m and 32Mi,
    /// limits of 500m and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Port of the metadata server on 127.0.0.1. Default: 8470, or the next that no container of the pod uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub metadata_port: Option<i32>,

    /// Port of the Vertex proxy on 127.0.0.1, with `access: Proxy`. Default: 8471, or the next that no container of the
    /// pod uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub proxy_port: Option<i32>,

    /// Port of `/metrics` on all addresses of the pod; no token can be reached there. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub metrics_port: Option<i32>,
}
