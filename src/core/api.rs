//! The policy types as people write them: `InjectionPolicy` and `ClusterInjectionPolicy`, `vertex-injector.dev/v1alpha1`.
//!
//! Every list and string is bounded and the rules that the API server can check sit beside the fields they guard.
//! [`schema`] checks the same without a cluster; [`crate::policy`] compiles them to the form that works, or to all their errors.
#![allow(unreachable_pub, reason = "kube's derive makes such items beside each type")]

mod agents;
mod broker;
mod field;
mod identity;
mod mcp;
mod pieces;
mod proxy;
mod selector;
mod sidecar;
mod vertex;
mod volumes;

pub mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use serde::{Deserialize, Serialize};

pub use agents::{Agent, Conflicts, OnKey, OnValue, OpenShell};
pub use broker::Broker;
pub use field::{FieldError, FieldErrors};
pub use identity::{Endpoints, GkeWorkloadIdentity, Identity, ServiceAccountKey, WorkloadIdentityFederation};
pub use mcp::{McpConfig, McpFormat};
pub use pieces::{AuthHelper, EnvVar, KeySelector, ObjectFieldSelector, Token, ValueSource, VolumeMount};
pub use proxy::Proxy;
pub use selector::{Operator, Requirement, Selector};
pub use sidecar::{
    AmbientExchange, CredentialFile, CredentialHttp, CredentialSecret, CredentialSource, CredentialVariable, Git,
    GitCredentials, GitRule, GitService, OnRefresh, Preset, Quantities, Resources, Sidecar, Transport,
};
pub use vertex::{Access, Client, Isolation, Models, Vertex};
pub use volumes::{
    ConfigMapSource, DownwardApiItem, DownwardApiItems, DownwardApiSource, EmptyDirSource, KeyToPath,
    PersistentVolumeClaimSource, ProjectedObject, ProjectedSource, Projection, SecretSource, TokenProjection, Volume,
};

/// What agent pods of a namespace receive, and which pods are agents.
///
/// One policy applies to a pod, never a merge: cluster policies that are not overridable first, then higher
/// `priority`, then a namespaced policy before a cluster one, then the name.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "vertex-injector.dev",
    version = "v1alpha1",
    kind = "InjectionPolicy",
    plural = "injectionpolicies",
    shortname = "vip",
    category = "vertex-injector",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "What agent pods of this namespace receive, and which pods are agents.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.vertex.project"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.vertex.region"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.vertex) || has(self.identity)")
    .message("vertex needs an identity: set identity.workloadIdentityFederation, identity.gkeWorkloadIdentity or identity.serviceAccountKey")
    .field_path(".identity"))]
#[x_kube(validation = Rule::new("!has(self.access) || self.access == 'File' || has(self.identity)")
    .message("access: Metadata and access: Proxy need an identity, which the broker keeps from the agent")
    .field_path(".identity"))]
#[x_kube(validation = Rule::new("!has(self.access) || self.access == 'File' || has(self.vertex)")
    .message("access: Metadata and access: Proxy need vertex: the broker tells clients its project")
    .field_path(".vertex"))]
#[x_kube(validation = Rule::new("!has(self.sidecars) || (has(self.isolation) && self.isolation == 'BestEffort') || self.sidecars.all(sidecar, !has(sidecar.gitCredentials) && !(has(sidecar.credential) && has(sidecar.credential.ambientExchange)))")
    .message("ambientExchange and gitCredentials let the agent get the credential, which needs isolation: BestEffort")
    .field_path(".isolation"))]
#[x_kube(validation = Rule::new("!has(self.proxy) || (has(self.access) && self.access == 'Proxy')")
    .message("only access: Proxy has a proxy that could enforce it")
    .field_path(".proxy"))]
#[x_kube(validation = Rule::new("!has(self.broker) || (has(self.access) && self.access != 'File')")
    .message("only access: Metadata and access: Proxy have a broker")
    .field_path(".broker"))]
pub struct PolicySpec {
    /// Which policy wins when several match: the highest.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,

    /// The kinds of pods that this policy serves; the first that matches a pod decides. Without any, the policy
    /// serves the pods that carry the label `vertex-injector.dev/inject: "true"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub agents: Vec<Agent>,

    /// The Vertex AI settings to render into the variables that the chosen clients read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertex: Option<Vertex>,

    /// Whom the agents are for Google.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,

    /// How credentials reach the agent.
    // The API server fills it in, so that `kubectl get` shows it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "File"))]
    pub access: Access,

    /// Whether a pod is denied whose agent could get around what keeps a credential from it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolation: Isolation,

    /// What the agent may call, with `access: Proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,

    /// The broker's container, with `access: Metadata` and `access: Proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<Broker>,

    /// ConfigMaps with helper programs to mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub auth_helpers: Vec<AuthHelper>,

    /// More projected ServiceAccount tokens, each for one audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tokens: Vec<Token>,

    /// More environment variables for the agent's containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// More volumes for the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,

    /// More mounts for the agent's containers, of `volumes` or `podVolumes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub volume_mounts: Vec<VolumeMount>,

    /// Names of volumes that the pod itself brings and `volumeMounts` may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pod_volumes: Vec<String>,

    /// Credential sidecars: containers that hold an integration credential so that the agent does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub sidecars: Vec<Sidecar>,

    /// A file that names the sidecars' endpoints, for agents that read MCP configuration from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_config: Option<McpConfig>,

    /// What to do with values, keys and other providers that the pod brings.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conflicts: Conflicts,

    /// What to do with a pod that NVIDIA OpenShell manages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub open_shell: OpenShell,
}

/// A policy for the namespaces that its selector chooses.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "vertex-injector.dev",
    version = "v1alpha1",
    kind = "ClusterInjectionPolicy",
    plural = "clusterinjectionpolicies",
    shortname = "cvip",
    category = "vertex-injector",
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "What agent pods of the selected namespaces receive, and which pods are agents.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.vertex.project"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.vertex.region"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access"),
    printcolumn(name = "Overridable", type_ = "boolean", json_path = ".spec.overridable"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPolicySpec {
    /// The namespaces that this policy serves, among those that opted in; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,

    /// Whether a policy of the namespace or of higher priority may take this one's place.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overridable: bool,

    /// Everything that the namespaced policy has.
    #[serde(flatten)]
    pub policy: PolicySpec,
}

/// What the webhook says of a policy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The generation that `conditions` speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: whether pods are served by this policy, and if not, what to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
}

/// The definitions of both kinds, which the chart installs and `vertex-injector crds` prints.
pub fn crds() -> [CustomResourceDefinition; 2] {
    [InjectionPolicy::crd(), ClusterInjectionPolicy::crd()]
}

/// Whether `value` is what serde fills in when the field is absent.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
