//! Where a sidecar's credential comes from, and how its server gets it.

use crate::contract::exec::{self, Signal};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Exactly one of three sources.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secret), has(self.http), has(self.ambientExchange)].filter(x, x).size() == 1")
    .message("exactly one of secret, http and ambientExchange must be set"))]
pub struct CredentialSource {
    /// A Secret of the pod's namespace; its keys are the credential's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<CredentialSecret>,
    /// An endpoint that accepts the pod's projected ServiceAccount token and answers a JSON object of fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<CredentialHttp>,
    /// The token exchange of the Ambient Code platform. It authenticates nobody: the agent holds the same key and URL. Needs
    /// `isolation: BestEffort`; prefer `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambient_exchange: Option<AmbientExchange>,
}

/// A Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// An endpoint.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialHttp {
    /// Its URL: https, or http to a service of the cluster (`NAME.NAMESPACE.svc`). The host must be on the operator's list.
    #[schemars(length(min = 9, max = 512), regex(pattern = r"^https?://[^?#@\s]+$"))]
    pub url: String,
    /// Audience of the token, which only this sidecar gets. Never the API server's.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^\S+$"))]
    pub audience: String,
    /// Lifetime of the token in seconds. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: Option<i64>,
}

/// The exchange takes everything from the agent's own variables: `SESSION_ID`, `AMBIENT_API_URL` (or `BACKEND_API_URL`),
/// `AMBIENT_CP_TOKEN_URL`, `AMBIENT_CP_TOKEN_PUBLIC_KEY` and `CREDENTIAL_IDS`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AmbientExchange {}

/// A variable of the server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialVariable {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The credential's field, or several such as `apiToken|token`, of which the first that exists is taken.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9._-]+(\|[A-Za-z0-9._-]+)*$")
    )]
    pub field: String,
}

/// A file for the server, with mode 0600.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialFile {
    /// Its absolute path. The directory becomes a volume in memory.
    #[schemars(length(min = 4, max = 253), regex(pattern = r"^/[A-Za-z0-9._@/-]+$"))]
    pub path: String,
    /// The credential's field, or several such as `kubeconfig|token`, of which the first that exists is taken.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9._-]+(\|[A-Za-z0-9._-]+)*$")
    )]
    pub field: String,
}

/// What happens to a server when its credential has changed.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefresh {
    /// It is ended and started anew.
    Restart,
    /// It is sent SIGHUP if only files have changed, else restarted.
    SignalHUP,
    /// Nothing: it reads its files by itself.
    None,
}

impl OnRefresh {
    /// As the wrapper is told it.
    pub fn told(self) -> exec::OnRefresh {
        match self {
            Self::Restart => exec::OnRefresh::Restart,
            Self::SignalHUP => exec::OnRefresh::Signal(Signal::Hup),
            Self::None => exec::OnRefresh::None,
        }
    }
}
