//! Whom an agent is for Google, and by which means it proves it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Exactly one of three ways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.workloadIdentityFederation), has(self.gkeWorkloadIdentity), has(self.serviceAccountKey)].filter(x, x).size() == 1")
    .message("exactly one of workloadIdentityFederation, gkeWorkloadIdentity and serviceAccountKey must be set"))]
pub struct Identity {
    /// The pod's ServiceAccount token is exchanged at Google's token service. No key anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity_federation: Option<WorkloadIdentityFederation>,

    /// GKE's metadata server answers for the pod's ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gke_workload_identity: Option<GkeWorkloadIdentity>,

    /// A service account key in a Secret. Long-lived: the least preferred way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_key: Option<ServiceAccountKey>,

    /// Audiences for which agents may have Google ID tokens from a broker; for no other is one minted. Needs a service
    /// account. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = r"^[^\s,]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub id_token_audiences: Vec<String>,
}

/// Workload identity federation, direct or with impersonation of a service account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentityFederation {
    /// Resource name of the provider:
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    #[schemars(
        length(max = 253),
        regex(
            pattern = r"^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}$"
        )
    )]
    pub provider: String,

    /// E-mail of the service account to impersonate; without it the federated identity calls Vertex itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com$")
    )]
    pub service_account: Option<String>,

    /// Lifetime of impersonated tokens in seconds. Default: Google's of 3600, 1800 with a broker; more than 3600 needs an
    /// organisation policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 43200))]
    pub service_account_token_lifetime_seconds: Option<i64>,

    /// Audience of the projected token. Default: `https://iam.googleapis.com/` and the provider, which every
    /// provider accepts that names no other audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^\S+$"))]
    pub audience: Option<String>,

    /// Lifetime of the projected token in seconds. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 86400))]
    pub token_expiration_seconds: Option<i64>,

    /// Other endpoints of Google's token services; their hosts must be on the operator's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
}

/// Where tokens are exchanged.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Root URL of the Security Token Service. Default: `https://sts.googleapis.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 253), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub sts: Option<String>,

    /// Root URL of the IAM Credentials API. Default: `https://iamcredentials.googleapis.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 253), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub iam_credentials: Option<String>,
}

/// GKE workload identity: the annotation `iam.gke.io/gcp-service-account` on the policy's ServiceAccounts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GkeWorkloadIdentity {
    /// E-mail of the Google service account.
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com$")
    )]
    pub service_account: String,
}

/// A key file in a Secret of the pod's namespace. We mount it and never read it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// The key within the Secret that holds the JSON.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
