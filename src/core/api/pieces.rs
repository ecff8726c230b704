//! The pieces that a policy adds to a pod beside its identity: helpers, tokens, variables, mounts.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A ConfigMap of helper programs, mounted read-only in the agent's containers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthHelper {
    /// The ConfigMap, in the pod's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub config_map_name: String,
    /// Where it is mounted.
    #[schemars(length(min = 2, max = 253), regex(pattern = r"^/[^:\s]*$"))]
    pub mount_path: String,
    /// File mode of the helpers. Default: 0755 (493 in JSON).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
    /// Whether the pod may start without the ConfigMap. Default: false.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub optional: bool,
}

/// A projected ServiceAccount token for another audience than Google's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Name of this token within the policy.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Who the token is for. Never the API server.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^\S+$"))]
    pub audience: String,
    /// Lifetime in seconds. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: Option<i64>,
    /// The directory that it is mounted in.
    #[schemars(length(min = 2, max = 253), regex(pattern = r"^/[^:\s]*$"))]
    pub mount_path: String,
    /// File name within the directory. Default: `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][-A-Za-z0-9._]*$"))]
    pub file_name: Option<String>,
    /// Variable that holds the path of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub env_name: Option<String>,
}

/// An environment variable: a literal `value` or a `valueFrom`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)")
    .message("exactly one of value and valueFrom must be set"))]
pub struct EnvVar {
    /// The name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The literal value, on one line. Secrets belong in `valueFrom.secretKeyRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = r"^[^\r\n]*$"))]
    pub value: Option<String>,
    /// Where the value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueSource>,
}

/// The source of a variable's value.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef)].filter(x, x).size() == 1")
    .message("exactly one of configMapKeyRef, secretKeyRef and fieldRef must be set"))]
pub struct ValueSource {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// A field of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<ObjectFieldSelector>,
}

/// One key of a ConfigMap or Secret of the pod's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeySelector {
    /// The object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Whether the pod may start without it. Default: false.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub optional: bool,
}

/// A field of the pod, as the downward API names it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFieldSelector {
    /// For example `metadata.name` or `spec.serviceAccountName`.
    #[schemars(length(min = 1, max = 317))]
    pub field_path: String,
}

/// A mount in the agent's containers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// A volume of the policy, or a volume of the pod that `podVolumes` lists.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it is mounted.
    #[schemars(length(min = 2, max = 253), regex(pattern = r"^/[^:\s]*$"))]
    pub mount_path: String,
    /// A path within the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub sub_path: Option<String>,
    /// Whether it is mounted read-only. Default: false.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub read_only: bool,
}
