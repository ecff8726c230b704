//! The `caBundle` of every webhook of both webhook configurations.

use super::authority::{Id, read_bundle};
use crate::kubernetes::{CallError, call};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::core::ClusterResourceScope;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use tracing::info;
use vertex_injector_core::names::FIELD_MANAGER;

/// A kind of webhook configuration, as far as certificates go.
pub(crate) trait Configuration:
    kube::Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned
{
    /// Its webhooks, each with its name and what the API server trusts.
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let all = self.webhooks.iter().flatten();
        all.map(|webhook| (&*webhook.name, webhook.client_config.ca_bundle.as_ref()))
            .collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let all = self.webhooks.iter().flatten();
        all.map(|webhook| (&*webhook.name, webhook.client_config.ca_bundle.as_ref()))
            .collect()
    }
}

/// One configuration, as it was read.
pub(crate) struct Bundles {
    version: Option<String>,
    /// Another one after every change of what is configured.
    pub(crate) generation: Option<i64>,
    webhooks: Vec<(String, ByteString)>,
}

impl Bundles {
    /// Reads it; none when there is none.
    ///
    /// # Errors
    /// When the API server does not give it.
    pub(crate) async fn read<C: Configuration>(client: &Client, name: &str) -> Result<Option<Self>, CallError> {
        let known = call(Api::<C>::all(client.clone()).get_opt(name)).await?;
        Ok(known.map(|known| Self {
            version: known.meta().resource_version.clone(),
            generation: known.meta().generation,
            webhooks: known
                .webhooks()
                .into_iter()
                .map(|(name, bundle)| (name.to_owned(), bundle.cloned().unwrap_or_default()))
                .collect(),
        }))
    }

    /// What each of its webhooks trusts.
    pub(crate) fn trusted(&self) -> Vec<Vec<Id>> {
        self.webhooks.iter().map(|(_, bundle)| read_bundle(&bundle.0)).collect()
    }

    /// Writes these authorities into every webhook that has others. Nothing, when it has changed since it was read.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(crate) async fn write<C: Configuration>(
        &self,
        client: &Client,
        configuration: &str,
        wanted: &[Id],
        pem: &str,
    ) -> anyhow::Result<()> {
        let value = ByteString(pem.as_bytes().to_vec());
        let mut operations = Vec::new();
        for (i, (name, bundle)) in self.webhooks.iter().enumerate() {
            if read_bundle(&bundle.0) == wanted {
                continue;
            }
            // Not a server-side apply: that would create an entry which a `helm upgrade` removes at this moment.
            operations.push(json!({"op": "test", "path": format!("/webhooks/{i}/name"), "value": name}));
            let path = format!("/webhooks/{i}/clientConfig/caBundle");
            operations.push(json!({"op": "add", "path": path, "value": value}));
        }
        if operations.is_empty() {
            return Ok(());
        }
        // What somebody else wrote meanwhile may be newer than what we want.
        operations.push(json!({"op": "test", "path": "/metadata/resourceVersion", "value": self.version}));
        let patch = Patch::Json::<()>(serde_json::from_value(operations.into())?);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        call(Api::<C>::all(client.clone()).patch(configuration, &params, &patch)).await?;
        info!(kind = %C::kind(&()), configuration, authorities = wanted.len(), "wrote the caBundle");
        Ok(())
    }
}
