//! Self-made certificates, for clusters without cert-manager: one Secret that all replicas share, and the `caBundle`
//! of both webhook configurations, kept whatever a `helm upgrade` or a person does to either.

mod bundle;

use super::kubernetes::{CallError, Pause, Trouble, call, watch_config};
use super::ready::Part;
use super::tls::HotCert;
use anyhow::{Context, anyhow, bail};
use bundle::{Bundle, Due};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PartialObjectMeta, Patch, PatchParams, PostParams};
use kube::core::ClusterResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client};
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::info;
use vertex_injector_core::names::FIELD_MANAGER;

/// How often everything is checked although nothing changed. By the wall clock in the end, because a certificate's
/// lifetime is.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);

/// Pause after a check, so that two programs that both insist on their `caBundle` do not occupy the API server.
const CHECK_PAUSE: Duration = Duration::from_millis(200);

/// How often to read a Secret again that another replica was faster to write.
const ATTEMPTS: usize = 5;

/// Where the certificates are, and for which names.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) namespace: String,
    pub(crate) secret: String,
    /// Of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration.
    pub(crate) configuration: String,
    pub(crate) names: Vec<ServerName<'static>>,
}

/// Keeps Secret, served certificate and `caBundle` in agreement.
pub(crate) struct Keeper {
    client: Client,
    places: Places,
    hot: Arc<HotCert>,
    served: Part,
    /// For reviews of pods.
    trusted: Part,
    /// For reviews of policies.
    trusted_with_policies: Part,
}

/// A kind of webhook configuration, as far as certificates go.
trait Configuration:
    kube::Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned
{
    /// Its webhooks, each with its name and what the API server trusts.
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)>;

    /// Notes that the API server does not trust us at this moment.
    fn distrusted(trusted: &Part, why: String);
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let all = self.webhooks.iter().flatten();
        all.map(|webhook| (&*webhook.name, webhook.client_config.ca_bundle.as_ref()))
            .collect()
    }

    /// A pod would be refused.
    fn distrusted(trusted: &Part, why: String) {
        trusted.missing(why);
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let all = self.webhooks.iter().flatten();
        all.map(|webhook| (&*webhook.name, webhook.client_config.ca_bundle.as_ref()))
            .collect()
    }

    /// A policy would be stored unseen, which is no reason to refuse pods: an installation must be whole to become ready,
    /// and need not be so to stay it.
    fn distrusted(trusted: &Part, why: String) {
        trusted.still_missing(why);
    }
}

impl Keeper {
    /// Nothing read yet. `part` adds a part to the readiness.
    pub(crate) fn new(client: Client, places: Places, hot: Arc<HotCert>, part: impl Fn(&'static str) -> Part) -> Self {
        Self {
            client,
            places,
            hot,
            served: part("certificate"),
            trusted: part("caBundle"),
            trusted_with_policies: part("caBundle for policies"),
        }
    }

    /// Keeps them until the task is dropped.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::with("cannot keep the certificate");
        let mut pauses = Pause::default();
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &self.places.namespace);
        let mutating = Api::<PartialObjectMeta<MutatingWebhookConfiguration>>::all(self.client.clone());
        let validating = Api::<PartialObjectMeta<ValidatingWebhookConfiguration>>::all(self.client.clone());
        let mut changes = stream::select_all([
            changes(secrets, &self.places.secret),
            changes(mutating, &self.places.configuration),
            changes(validating, &self.places.configuration),
        ]);
        loop {
            let next = match self.check().await {
                Ok(()) => {
                    trouble.over();
                    CHECK_INTERVAL
                }
                Err(error) => {
                    trouble.met(&format!("{error:#}"));
                    pauses.next().unwrap_or(CHECK_INTERVAL)
                }
            };
            sleep(CHECK_PAUSE).await;
            // Either way the next check reads everything anew, so it does not matter what changed.
            let _ = timeout(next, changes.next()).await;
        }
    }

    async fn check(&self) -> anyhow::Result<()> {
        let secret = format!("Secret {}/{}", self.places.namespace, self.places.secret);
        let bundle = self.bundle().await.with_context(|| secret.clone());
        let bundle = bundle.inspect_err(|error| {
            self.served.still_missing(format!("{error:#}"));
            self.trusted.still_missing("waiting for the certificate");
            self.trusted_with_policies.still_missing("waiting for the certificate");
        })?;
        self.hot.serve(&bundle.certificate(&secret)?);
        self.served.met();
        let ca = bundle.ca_bundle();
        let pods = self.trust::<MutatingWebhookConfiguration>(ca, &self.trusted).await;
        let policies = self
            .trust::<ValidatingWebhookConfiguration>(ca, &self.trusted_with_policies)
            .await;
        pods.and(policies)
    }

    /// The certificates of the Secret, made or renewed first if they are due.
    async fn bundle(&self) -> anyhow::Result<Bundle> {
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.places.namespace);
        for _ in 0..ATTEMPTS {
            let secret = call(api.get_opt(&self.places.secret)).await?;
            let known = match &secret {
                Some(Secret { data: Some(data), .. }) => Bundle::from_data(data).context(
                    "delete it, name another one with --tls-secret, or give its files with --tls-cert-file and --tls-key-file",
                )?,
                _ => None,
            };
            let (names, now) = (&self.places.names, jiff::Timestamp::now().as_second());
            let (bundle, why) = match known {
                None => (Bundle::make(names, now)?, "there was none".to_owned()),
                Some(bundle) => match bundle.due(names, now) {
                    Due::Nothing => return Ok(bundle),
                    Due::Leaf(why) => (bundle.renew(names, now)?, why),
                    Due::Authority(why) => (Bundle::make(names, now)?, why),
                },
            };
            match self.store(&api, secret, &bundle).await {
                Ok(()) => {
                    info!(secret = self.places.secret, why, "made a certificate");
                    return Ok(bundle);
                }
                // Another replica was faster: its certificates are as good as ours.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("others change it all the time")
    }

    /// Writes the Secret as it was read, or not at all.
    async fn store(&self, api: &Api<Secret>, known: Option<Secret>, bundle: &Bundle) -> Result<(), CallError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match known {
            Some(secret) => {
                let secret = Secret {
                    data: Some(bundle.to_data()),
                    ..secret
                };
                call(api.replace(&self.places.secret, &params, &secret)).await?;
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(self.places.secret.clone()),
                        labels: Some([("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned())].into()),
                        ..ObjectMeta::default()
                    },
                    data: Some(bundle.to_data()),
                    ..Secret::default()
                };
                call(api.create(&params, &secret)).await?;
            }
        }
        Ok(())
    }

    /// Writes `ca` into every webhook of a configuration that has another one.
    async fn trust<C: Configuration>(&self, ca: &[u8], trusted: &Part) -> anyhow::Result<()> {
        let configuration = format!("{} {}", C::kind(&()), self.places.configuration);
        // While the API server is away, nobody knows better than what was true last.
        self.write_ca::<C>(ca, |why| C::distrusted(trusted, format!("{configuration}: {why}")))
            .await
            .context(configuration.clone())
            .inspect_err(|error| trusted.still_missing(format!("{error:#}")))?;
        trusted.met();
        Ok(())
    }

    /// `distrusted` is told why when the API server does not trust us at this moment.
    async fn write_ca<C: Configuration>(&self, ca: &[u8], distrusted: impl Fn(&str)) -> anyhow::Result<()> {
        let refuse = |why: &'static str| {
            distrusted(why);
            Err(anyhow!(why))
        };
        let api = Api::<C>::all(self.client.clone());
        let Some(known) = call(api.get_opt(&self.places.configuration)).await? else {
            return refuse("it does not exist: install the chart, or name another one with --webhook-configuration");
        };
        let webhooks = known.webhooks();
        if webhooks.is_empty() {
            return refuse("it has no webhooks");
        }
        let wanted = ByteString(ca.to_vec());
        let mut operations = Vec::new();
        for (i, (name, _)) in webhooks.iter().enumerate().filter(|(_, (_, ca))| *ca != Some(&wanted)) {
            // Not a server-side apply: that would create an entry which a `helm upgrade` removes at this moment.
            operations.push(json!({"op": "test", "path": format!("/webhooks/{i}/name"), "value": name}));
            let path = format!("/webhooks/{i}/clientConfig/caBundle");
            operations.push(json!({"op": "add", "path": path, "value": wanted}));
        }
        if operations.is_empty() {
            return Ok(());
        }
        distrusted("its caBundle is not that of the Secret");
        let patch = Patch::Json::<()>(serde_json::from_value(operations.into())?);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        call(api.patch(&self.places.configuration, &params, &patch)).await?;
        info!(kind = %C::kind(&()), configuration = self.places.configuration, "wrote the caBundle");
        Ok(())
    }
}

/// Says when one object may have changed. Its content is none of our business here: no key passes through.
fn changes<K>(api: Api<PartialObjectMeta<K>>, name: &str) -> BoxStream<'static, ()>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let config = watch_config().fields(&format!("metadata.name={name}"));
    let events = watcher(api, config).backoff(Pause::default());
    // Every attempt to list begins with `Init`. A failure is no change; the check itself says what is wrong.
    events
        .filter_map(async |event| event.ok().filter(|event| !matches!(event, Event::Init)).map(|_| ()))
        .boxed()
}
