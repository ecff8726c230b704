//! What we read of a volume and of where it comes from.

use super::container::ObjectName;
use crate::admission::object::only_from_objects;
use crate::admission::text::{Text, or_default};
use serde::Deserialize;

/// A volume's name and where it comes from, as far as decisions need it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Volume<'a> {
    /// `name`.
    #[serde(borrow, default)]
    pub(in crate::admission) name: Text<'a>,
    /// `configMap`.
    #[serde(default)]
    pub(in crate::admission) config_map: Option<Present>,
    /// `secret`.
    #[serde(borrow, default)]
    pub(in crate::admission) secret: Option<SecretVolume<'a>>,
    /// `projected`.
    #[serde(borrow, default)]
    pub(in crate::admission) projected: Option<Projected<'a>>,
    /// `downwardAPI`.
    #[serde(default, rename = "downwardAPI")]
    pub(in crate::admission) downward_api: Option<Present>,
    /// `hostPath`.
    #[serde(default)]
    pub(in crate::admission) host_path: Option<Present>,
    /// `image`.
    #[serde(default)]
    pub(in crate::admission) image: Option<Present>,
}

/// An object of which nothing is read.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(in crate::admission) struct Present {}

/// What we read of a volume of a Secret.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct SecretVolume<'a> {
    /// `secretName`.
    #[serde(borrow, default)]
    pub(in crate::admission) secret_name: Option<Text<'a>>,
}

/// What we read of a projected volume.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Projected<'a> {
    /// `defaultMode`.
    #[serde(default)]
    pub(in crate::admission) default_mode: Option<i64>,
    /// `sources`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) sources: Vec<ProjectedSource<'a>>,
}

/// What we read of a source of a projected volume.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct ProjectedSource<'a> {
    /// A token of the pod's ServiceAccount.
    #[serde(borrow, default)]
    pub(in crate::admission) service_account_token: Option<TokenSource<'a>>,
    /// A Secret.
    #[serde(borrow, default)]
    pub(in crate::admission) secret: Option<ObjectName<'a>>,
}

/// What we read of a projected token.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(in crate::admission) struct TokenSource<'a> {
    /// `audience`; none is the API server's.
    #[serde(borrow, default)]
    pub(in crate::admission) audience: Option<Text<'a>>,
}

only_from_objects!(
    Volume<'a>,
    Present,
    SecretVolume<'a>,
    Projected<'a>,
    ProjectedSource<'a>,
    TokenSource<'a>
);

impl Volume<'_> {
    /// Whether only the kubelet writes it: it mounts volumes of these kinds read-only, whatever a mount says.
    pub(in crate::admission) fn is_the_kubelets(&self) -> bool {
        self.config_map.is_some() || self.secret.is_some() || self.projected.is_some() || self.downward_api.is_some()
    }
}
