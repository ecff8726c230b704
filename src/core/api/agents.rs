//! Which pods are agents, and what gives way when a pod brings values of its own.

use super::{EnvVar, Selector};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A kind of agent pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.podSelector) || (has(self.serviceAccounts) && size(self.serviceAccounts) > 0)")
    .message("an agent needs podSelector, serviceAccounts or both; podSelector: {} selects every pod"))]
pub struct Agent {
    /// The pods, by label. May be omitted when `serviceAccounts` is given; `{}` selects every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Selector>,

    /// The pods, by the exact name of their ServiceAccount. With `podSelector`, both must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub service_accounts: Vec<String>,

    /// The containers that receive the injection. Default: those that have it already, else the one that the annotation
    /// `kubectl.kubernetes.io/default-container` names, else the one that is no sidecar of a mesh or platform; where several
    /// could be meant, a pod that asks is denied. Init containers only when named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub containers: Vec<String>,

    /// Where the credential file and the token are mounted. Default: `/var/run/secrets/vertex-injector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 253), regex(pattern = r"^/[^:\s]*$"))]
    pub credential_directory: Option<String>,

    /// Environment variables for this kind of pod only; they win over `spec.env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

/// What gives way when the pod brings something of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Conflicts {
    /// A variable that the policy also sets, with another value.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub values: OnValue,

    /// The same for switches that turn Vertex on or off, such as `USE_VERTEX`; default: as `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switches: Option<OnValue>,

    /// The same for variables that name models; default: as `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<OnValue>,

    /// An API key: `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`, `GEMINI_API_KEY`, `GOOGLE_API_KEY`.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub api_keys: OnKey,

    /// A switch to another model provider, such as `CLAUDE_CODE_USE_BEDROCK`.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub providers: OnKey,
}

impl Conflicts {
    /// The rule for switches.
    pub fn of_switches(&self) -> OnValue {
        self.switches.unwrap_or(self.values)
    }

    /// The rule for models.
    pub fn of_models(&self) -> OnValue {
        self.models.unwrap_or(self.values)
    }
}

/// What happens to a value of the pod that differs from the policy's.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnValue {
    /// The pod's value stays and is used for every other variable of the same setting.
    #[default]
    Keep,
    /// The policy's value takes its place.
    Override,
    /// The pod is denied.
    Deny,
}

/// What happens to an API key or another provider's switch in the pod.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnKey {
    /// It stays, and nothing of Vertex is injected.
    #[default]
    Keep,
    /// Its entry is removed, and Vertex is injected.
    Remove,
    /// The pod is denied.
    Deny,
}

/// What happens to a pod that NVIDIA OpenShell manages.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenShell {
    /// It is left alone: OpenShell routes its inference itself.
    #[default]
    Skip,
    /// The variables are added to the JSON in `OPENSHELL_USER_ENVIRONMENT`, the only environment that
    /// processes in the sandbox see. Only with `access: File`.
    PatchUserEnvironment,
}
