//! Credential sidecars, described by a struct of our own: no security context, host ports or lifecycle hooks.

use super::EnvVar;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A container that serves an integration to the agent on loopback and keeps the credential to itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Name within the policy; the container is called `vertex-injector-NAME`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self != 'broker'").message("vertex-injector-broker is the injector's own broker"))]
    pub name: String,
    /// The image; it must be on the operator's list.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// The command, in place of the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub args: Vec<String>,
    /// The port that the server listens on, on loopback.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// How MCP is spoken there.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub transport: Transport,
    /// Path of the MCP endpoint. Default: none for `SSE` (runners append `/sse`), `/mcp` for `StreamableHTTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    pub path: Option<String>,
    /// The key under which the endpoint is registered in `CREDENTIAL_MCP_URLS`; without it, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9_.]*$"))]
    pub mcp_key: Option<String>,
    /// Environment of the sidecar. A credential belongs in `valueFrom.secretKeyRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Resources. Default: requests of 50m and 64Mi, limits of 500m and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// How MCP is spoken.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTP with server-sent events.
    #[default]
    SSE,
    /// Streamable HTTP.
    StreamableHTTP,
}

/// Requests and limits.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What is reserved.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub requests: Quantities,
    /// The most that may be used.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub limits: Quantities,
}

/// CPU and memory.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Quantities {
    /// Cores, such as `100m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?m?$"))]
    pub cpu: Option<String>,
    /// Bytes, such as `64Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?([kMGTPE]i?|Ki)?$"))]
    pub memory: Option<String>,
}
