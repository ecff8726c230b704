//! Credential sidecars, described by a struct of our own: no security context, host ports or lifecycle hooks.

mod credential;
mod git;

pub use credential::{
    AmbientExchange, CredentialFile, CredentialHttp, CredentialSecret, CredentialSource, CredentialVariable, OnRefresh,
};
pub use git::{Git, GitCredentials, GitRule, GitService};

use super::EnvVar;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// A container that serves an integration to the agent on loopback and keeps the credential to itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.preset) || (has(self.name) && has(self.image) && has(self.port))")
    .message("a sidecar without a preset needs name, image and port"))]
#[x_kube(validation = Rule::new("has(self.credential) || !(has(self.credentialEnv) || has(self.credentialFiles) || has(self.onRefresh) || has(self.git) || has(self.gitCredentials))")
    .message("credentialEnv, credentialFiles, onRefresh, git and gitCredentials need credential, which says where it comes from"))]
pub struct Sidecar {
    /// A known server, for which every other field but `credential` has a default; each can be overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Name within the policy; the container is called `vertex-injector-NAME`. Default: the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// The image with a tag other than `latest`, or with a digest; it must be on the operator's list. Default: what the
    /// operator sets for the preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    #[x_kube(validation = Rule::new("self.matches('(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[a-f0-9]{64})$') && !self.endsWith(':latest')")
        .message("must name a version: a tag other than latest, or a digest (@sha256:…)"))]
    pub image: Option<String>,
    /// The command, in place of the image's entrypoint. Default: the preset's, which listens on loopback only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub args: Vec<String>,
    /// The port that the server listens on, on loopback. Default: the preset's, or the next that no container of the pod
    /// uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,
    /// How MCP is spoken there. Default: the preset's, else `SSE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Path of the MCP endpoint. Default: none for `SSE` (runners append `/sse`), `/mcp` for `StreamableHTTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    pub path: Option<String>,
    /// The key under which the endpoint is registered in `CREDENTIAL_MCP_URLS` and in `mcpConfig`. Default: the preset's;
    /// without any, it is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9_.]*$"))]
    pub mcp_key: Option<String>,
    /// Where the credential comes from. Only this container gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSource>,
    /// Variables in which the server gets fields of the credential. Default: the preset's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub credential_env: Vec<CredentialVariable>,
    /// Files in which the server gets fields of the credential, all in one directory, which is kept in memory. Default:
    /// the preset's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub credential_files: Vec<CredentialFile>,
    /// What happens to the server when its credential has changed. Default: `Restart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_refresh: Option<OnRefresh>,
    /// Git without a token in the agent: a proxy in this sidecar that adds the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// Hands the credential to git helpers that ask this sidecar for it, so that the agent can read it. Needs
    /// `isolation: BestEffort`; prefer `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_credentials: Option<GitCredentials>,
    /// Environment of the sidecar. A credential belongs in `credential`, or in `valueFrom.secretKeyRef`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Resources. Default: requests of 50m and 64Mi, limits of 500m and 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// A server whose ways are known.
#[derive(
    VariantArray, schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// `github-mcp-server` behind `mcp-proxy`.
    Github,
    /// `zereight-mcp-gitlab` behind `mcp-proxy`.
    Gitlab,
    /// `mcp-atlassian`.
    Jira,
    /// `kubernetes-mcp-server`.
    Kubeconfig,
    /// `workspace-mcp` behind `mcp-proxy`.
    Google,
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
