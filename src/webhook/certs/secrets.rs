//! The Secrets of one namespace, read and written whole.

use crate::kubernetes::{CallError, call};
use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::collections::BTreeMap;
use vertex_injector_core::names::FIELD_MANAGER;

pub(crate) struct Secrets {
    api: Api<Secret>,
    namespace: String,
    owner: Option<OwnerReference>,
}

/// A Secret as it was read, and what it holds.
pub(crate) struct Stored<T> {
    pub(crate) secret: Option<Secret>,
    pub(crate) content: Option<T>,
}

impl Secrets {
    /// `owner` is in the same namespace.
    pub(crate) fn of(client: &Client, namespace: &str, owner: Option<OwnerReference>) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            owner,
        }
    }

    /// Reads one that `flag` names.
    ///
    /// # Errors
    /// When the API server does not give it, or it is somebody else's.
    pub(crate) async fn read<T>(
        &self,
        name: &str,
        flag: &str,
        parse: impl Fn(&BTreeMap<String, ByteString>) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<Stored<T>> {
        let place = || format!("Secret {}/{name}", self.namespace);
        let secret = call(self.api.get_opt(name)).await.with_context(place)?;
        let content = match secret.as_ref().and_then(|secret| secret.data.as_ref()) {
            None => None,
            Some(data) => parse(data)
                .with_context(|| {
                    format!(
                        "delete it, name another one with {flag}, or give files with --tls-cert-file and --tls-key-file"
                    )
                })
                .with_context(place)?,
        };
        Ok(Stored { secret, content })
    }

    /// Writes one as it was read, or not at all.
    ///
    /// # Errors
    /// When the API server does not take it, also because somebody else was faster.
    pub(crate) async fn write(
        &self,
        name: &str,
        known: Option<Secret>,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), CallError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match known {
            Some(mut secret) => {
                secret.data = Some(data);
                if let Some(owner) = &self.owner {
                    // An account that was deleted and made again has another uid.
                    let owners = secret.metadata.owner_references.get_or_insert_default();
                    owners.retain(|known| known.kind != owner.kind || known.name != owner.name);
                    owners.push(owner.clone());
                }
                call(self.api.replace(name, &params, &secret)).await?;
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        owner_references: self.owner.clone().map(|owner| vec![owner]),
                        labels: Some([("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned())].into()),
                        ..ObjectMeta::default()
                    },
                    data: Some(data),
                    ..Secret::default()
                };
                call(self.api.create(&params, &secret)).await?;
            }
        }
        Ok(())
    }
}
