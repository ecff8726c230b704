//! Git over HTTPS with the credential of a sidecar.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A proxy in the sidecar that adds the credential to git's fetches and pushes. The agent's git is sent there by
/// `GIT_CONFIG_*` variables.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Git {
    /// Hosts that the credential is for: `HOST` or `HOST:PORT`, over HTTPS. Default: `github.com` and `gitlab.com` with the
    /// presets of these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$")
        )
    )]
    pub hosts: Vec<String>,
    /// Repositories and what may be done with them. Nothing else passes.
    #[schemars(length(min = 1, max = 32))]
    pub allow: Vec<GitRule>,
    /// Port of the proxy on 127.0.0.1. Default: one that no container of the pod uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,
}

/// Repositories, and what may be done with them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GitRule {
    /// `HOST/OWNER/REPO`; within a name `*` stands for any text, and `**` as a part for one part or more.
    #[schemars(
        length(min = 5, max = 253),
        regex(pattern = r"^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~*-]+)+$")
    )]
    pub repositories: String,
    /// `Fetch` and `Push`; neither implies the other.
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub services: Vec<GitService>,
}

/// What git does with a repository.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GitService {
    /// Clone and fetch.
    Fetch,
    /// Push.
    Push,
}

/// `GET /git-credentials` on the sidecar's control port, for runners that call it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GitCredentials {
    /// The only hosts for which it answers.
    #[schemars(
        length(min = 1, max = 8),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$")
        )
    )]
    pub hosts: Vec<String>,
}

impl GitRule {
    /// As `vertex-injector exec --git-allow` takes it.
    pub fn flag(&self) -> String {
        let services: Vec<&str> = self
            .services
            .iter()
            .map(|service| match service {
                GitService::Fetch => "fetch",
                GitService::Push => "push",
            })
            .collect();
        format!("{}:{}", self.repositories, services.join(","))
    }
}
