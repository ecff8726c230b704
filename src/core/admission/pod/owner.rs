//! Who made the pod.

use crate::admission::object::only_from_objects;
use crate::admission::text::Text;
use serde::Deserialize;

/// One of `metadata.ownerReferences`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct OwnerReference<'a> {
    /// `apiVersion`.
    #[serde(borrow)]
    api_version: Text<'a>,
    /// `kind`.
    #[serde(borrow)]
    kind: Text<'a>,
    /// `name`.
    #[serde(borrow)]
    name: Text<'a>,
    /// `uid`.
    #[serde(borrow)]
    uid: Text<'a>,
    /// `controller`.
    #[serde(default)]
    controller: Option<bool>,
}

only_from_objects!(OwnerReference<'a>);

/// The object that made a pod, for example a ReplicaSet or a Job: who looks for the pod looks there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`, in the pod's namespace.
    pub name: String,
    /// `uid`.
    pub uid: String,
}

impl Owner {
    /// The owner that controls the object, or the only one.
    pub(in crate::admission) fn among(owners: &[OwnerReference<'_>]) -> Option<Self> {
        let controls = |owner: &&OwnerReference<'_>| owner.controller == Some(true);
        let owner = owners.iter().find(controls).or(match owners {
            [only] => Some(only),
            _ => None,
        })?;
        Some(Self {
            api_version: owner.api_version.to_string(),
            kind: owner.kind.to_string(),
            name: owner.name.to_string(),
            uid: owner.uid.to_string(),
        })
    }
}
