//! The pod as far as injection reads it, borrowed from the request; everything else is skipped and never re-serialised.
//!
//! Volumes, mounts, variables and init containers also keep their raw text, because pieces under our names are
//! compared whole.

use super::bounds;
use super::explain::explain;
use super::object::{RawObject, only_from_objects};
use super::security::SecurityContext;
mod container;
mod owner;
mod volume;

pub(super) use super::text::{Text, or_default};
pub(super) use container::{Container, Env, EnvFrom, Mount, ObjectName, Quantity, ValueSource};
pub use owner::Owner;
pub(super) use owner::OwnerReference;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
pub(super) use volume::{Projected, Volume};

/// A lean view of a pod, or of a pod template.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Pod<'a> {
    /// `metadata`; a template may have none.
    #[serde(borrow, default)]
    pub(super) metadata: Option<Metadata<'a>>,
    /// `spec`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) spec: Spec<'a>,
    /// The whole text.
    #[serde(skip)]
    json: &'a [u8],
    /// The texts of the init containers, when somebody has asked.
    #[serde(skip)]
    init_containers: OnceLock<Vec<Box<RawValue>>>,
}

/// What we read of `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Metadata<'a> {
    /// `name`.
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    /// `generateName`.
    #[serde(borrow, default)]
    pub(super) generate_name: Option<Text<'a>>,
    /// `labels`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<Text<'a>, Text<'a>>,
    /// `annotations`; none and empty differ for a patch.
    #[serde(borrow, default)]
    pub(super) annotations: Option<BTreeMap<Text<'a>, Text<'a>>>,
    /// `ownerReferences`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) owner_references: Vec<OwnerReference<'a>>,
}

/// What we read of `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[expect(clippy::struct_excessive_bools, reason = "Kubernetes has them")]
pub(super) struct Spec<'a> {
    /// `serviceAccountName`.
    #[serde(borrow, default)]
    pub(super) service_account_name: Option<Text<'a>>,
    /// `serviceAccount`, its old name.
    #[serde(borrow, default)]
    pub(super) service_account: Option<Text<'a>>,
    /// `affinity`, whole.
    #[serde(borrow, default)]
    pub(super) affinity: Option<RawObject<'a>>,
    /// `enableServiceLinks`; true unless it says otherwise.
    #[serde(default)]
    pub(super) enable_service_links: Option<bool>,
    /// `nodeSelector`.
    #[serde(borrow, default)]
    pub(super) node_selector: Option<BTreeMap<Text<'a>, Text<'a>>>,
    /// `os`.
    #[serde(borrow, default)]
    pub(super) os: Option<Os<'a>>,
    /// `hostNetwork`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) host_network: bool,
    /// `hostPID`.
    #[serde(default, rename = "hostPID", deserialize_with = "or_default")]
    pub(super) host_pid: bool,
    /// `hostIPC`.
    #[serde(default, rename = "hostIPC", deserialize_with = "or_default")]
    pub(super) host_ipc: bool,
    /// `shareProcessNamespace`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) share_process_namespace: bool,
    /// `imagePullSecrets`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) image_pull_secrets: Vec<ObjectName<'a>>,
    /// `securityContext` of the pod.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) security_context: SecurityContext<'a>,
    /// `resources` of the pod (KEP-2837).
    #[serde(borrow, default)]
    pub(super) resources: Option<RawObject<'a>>,
    /// `containers`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) containers: Vec<Container<'a>>,
    /// `initContainers`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) init_containers: Vec<Container<'a>>,
    /// `volumes`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) volumes: Vec<&'a RawValue>,
}

/// `spec.os`.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Os<'a> {
    /// `linux` or `windows`.
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

only_from_objects!(Pod<'a>, Metadata<'a>, Spec<'a>, Os<'a>);

impl<'a> Pod<'a> {
    /// Reads a pod, or any object with a pod's `metadata` and `spec`.
    ///
    /// # Errors
    /// When a field that we read has a type that Kubernetes does not allow, or there is more than any pod has. The text names
    /// the field by its path, never its content.
    pub fn parse(json: &'a [u8]) -> Result<Self, String> {
        bounds::check_entries(json)?;
        let pod: Self = serde_json::from_slice(json).map_err(|_| explain::<Self>(json, ""))?;
        pod.check()?;
        Ok(Self { json, ..pod })
    }

    /// What is wrong with a pod that cannot be read, without the line: nobody wrote this JSON.
    pub fn problem_of(problem: &str) -> &str {
        problem.rsplit_once(" (line ").map_or(problem, |(problem, _)| problem)
    }

    /// Refuses what the API server refuses, too, where its cost would be ours.
    fn check(&self) -> Result<(), String> {
        let annotations = { self.metadata.iter() }.filter_map(|metadata| metadata.annotations.as_ref());
        let bytes = annotations.flatten().map(|(key, value)| key.len() + value.len());
        bounds::check_annotations(bytes.sum())?;
        let mut names = BTreeSet::new();
        for (list, containers) in [
            ("containers", &self.spec.containers),
            ("initContainers", &self.spec.init_containers),
        ] {
            for (i, container) in containers.iter().enumerate() {
                bounds::check_name(&container.name, &mut names, || format!("spec.{list}[{i}]"))?;
                for (j, mount) in container.volume_mounts.iter().flatten().enumerate() {
                    let field = || format!("spec.{list}[{i}].volumeMounts[{j}].mountPath");
                    bounds::check_path(&mount.mount_path, field)?;
                }
            }
        }
        Ok(())
    }

    /// An init container, whole. The texts are found on demand, once: only pods with sidecars of ours need them.
    pub(super) fn init_container(&self, index: usize) -> Option<serde_json::Value> {
        #[derive(Deserialize)]
        struct Whole {
            spec: WholeSpec,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WholeSpec {
            init_containers: Vec<Box<RawValue>>,
        }
        let texts = self.init_containers.get_or_init(|| {
            let whole: Option<Whole> = serde_json::from_slice(self.json).ok();
            whole.map(|whole| whole.spec.init_containers).unwrap_or_default()
        });
        serde_json::from_str(texts.get(index)?.get()).ok()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.as_ref()?.labels.get(key).map(|value| &*value.0)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata.as_ref()?.annotations.as_ref()?;
        annotations.get(key).map(|value| &*value.0)
    }

    /// The ServiceAccount that the pod runs as; the API server reads its old name where the new one is empty, and fills in
    /// `default`.
    pub fn service_account(&self) -> &str {
        let names = [&self.spec.service_account_name, &self.spec.service_account];
        let given = names.into_iter().flatten().find(|name| !name.is_empty());
        given.map_or("default", |name| name)
    }

    /// Who made the pod.
    pub(super) fn owner(&self) -> Option<Owner> {
        Owner::among(&self.metadata.as_ref()?.owner_references)
    }

    /// The name, or what it will begin with, or nothing.
    pub fn display_name(&self) -> String {
        let Some(metadata) = &self.metadata else {
            return String::new();
        };
        match (&metadata.name, &metadata.generate_name) {
            (Some(name), _) if !name.0.is_empty() => name.0.to_string(),
            (_, Some(prefix)) => format!("{}*", prefix.0),
            _ => String::new(),
        }
    }
}
