//! Self-made certificates, for clusters without cert-manager: two Secrets that all replicas share, one with authorities and the key
//! of the newest, one with what is served, and the `caBundle` of both webhook configurations, kept whatever a `helm upgrade` or a
//! person does to any of them. What is done next [`decision`] says.

mod authority;
mod bundles;
mod decision;
mod lifetimes;
mod secrets;

use super::clock::Clock;
use super::kubernetes::{CallError, Pause, Trouble, watch_config};
use super::ready::Part;
use super::tls::HotCert;
use anyhow::{Context, anyhow, bail};
use authority::{Authorities, Id, Pair};
use bundles::{Bundles, Configuration};
use decision::{Sight, Step};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client};
use rustls_pki_types::ServerName;
use secrets::{Secrets, Stored};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::info;

pub(crate) use lifetimes::{Lifetime, Plan};

/// How often everything is checked although nothing changed.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);

/// How often the clock is looked at meanwhile, which may have jumped.
const TICK: Duration = Duration::from_millis(500);

/// Pause after a check, so that two programs that both insist on their `caBundle` do not occupy the API server.
const CHECK_PAUSE: Duration = Duration::from_millis(200);

/// Most steps of one check. A whole rotation takes six.
const STEPS: usize = 20;

/// Where the certificates are, and for which names.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) namespace: String,
    /// The Secret with what is served.
    pub(crate) secret: String,
    /// The Secret with authorities, and the key of the newest.
    pub(crate) authority_secret: String,
    /// Of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration.
    pub(crate) configuration: String,
    pub(crate) names: Vec<ServerName<'static>>,
    /// Whose end is the end of both Secrets.
    pub(crate) owner: Option<OwnerReference>,
}

/// Keeps Secrets, served certificate and `caBundle` in agreement.
pub(crate) struct Keeper {
    client: Client,
    places: Places,
    plan: Plan,
    clock: Clock,
    hot: Arc<HotCert>,
    ready: Parts,
    served: Option<Pair>,
    /// Since when everybody has trusted the same.
    agreed: Option<(Agreement, Instant)>,
}

/// What it takes to be ready.
struct Parts {
    served: Part,
    /// For reviews of pods.
    trusted: Part,
    /// For reviews of policies.
    trusted_with_policies: Part,
}

/// What everybody trusts; `caBundle`s by the generations of their configurations, so that a change and its undoing are seen.
#[derive(Debug, PartialEq, Eq)]
struct Agreement {
    authorities: Vec<Id>,
    generations: Vec<Option<i64>>,
}

/// Everything that was read for one step.
struct Seen {
    mutating: Read,
    validating: Read,
    authorities: Stored<Authorities>,
    pair: Stored<Pair>,
}

type Read = Result<Option<Bundles>, CallError>;

impl Keeper {
    /// Nothing read yet. `part` adds a part to the readiness.
    pub(crate) fn new(
        client: Client,
        places: Places,
        (plan, clock): (Plan, Clock),
        hot: Arc<HotCert>,
        part: impl Fn(&'static str) -> Part,
    ) -> Self {
        Self {
            client,
            places,
            plan,
            clock,
            hot,
            ready: Parts {
                served: part("certificate"),
                trusted: part("caBundle"),
                trusted_with_policies: part("caBundle for policies"),
            },
            served: None,
            agreed: None,
        }
    }

    /// Keeps them until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::with("cannot keep the certificate");
        let mut pauses = Pause::default();
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &self.places.namespace);
        let mutating = Api::<PartialObjectMeta<MutatingWebhookConfiguration>>::all(self.client.clone());
        let validating = Api::<PartialObjectMeta<ValidatingWebhookConfiguration>>::all(self.client.clone());
        let mut changes = stream::select_all([
            changes(secrets.clone(), &self.places.secret),
            changes(secrets, &self.places.authority_secret),
            changes(mutating, &self.places.configuration),
            changes(validating, &self.places.configuration),
        ]);
        loop {
            let checked = self.check().await;
            let (longest, until) = match checked {
                Ok(until) => {
                    trouble.over();
                    (CHECK_INTERVAL, until)
                }
                Err(error) => {
                    trouble.met(&format!("{error:#}"));
                    (pauses.next().unwrap_or(CHECK_INTERVAL), None)
                }
            };
            sleep(CHECK_PAUSE).await;
            // Either way the next check reads everything anew, so it does not matter what changed.
            tokio::select! {
                _ = changes.next() => {}
                () = self.due(Instant::now() + longest, until) => {}
            }
        }
    }

    /// Waits until this moment, or this time of day, or until all is settled.
    async fn due(&self, end: Instant, until: Option<i64>) {
        let settles = self.agreed.as_ref().map(|(_, since)| *since + self.plan.settle);
        let end = settles.filter(|at| *at > Instant::now()).map_or(end, |at| end.min(at));
        while Instant::now() < end && until.is_none_or(|until| self.clock.now() < until) {
            sleep(TICK.min(end - Instant::now())).await;
        }
    }

    /// Does whatever there is to do; when the next thing is due.
    async fn check(&mut self) -> anyhow::Result<Option<i64>> {
        let mut unannounced = None;
        for _ in 0..STEPS {
            let seen = self.look().await?;
            let mut sight = self.sight(&seen);
            if unannounced.is_some() {
                // Whoever does not need that bundle is served all the same.
                sight.bundles.clear();
                sight.settled = false;
            }
            let step = sight.next(self.plan.lifetimes);
            self.tell(&seen);
            if let Step::Wait { until } = step {
                for read in [&seen.mutating, &seen.validating] {
                    read.as_ref().map_err(|error| anyhow!("{error}"))?;
                }
                return unannounced.map_or(Ok(until), Err);
            }
            let announces = step == Step::Announce;
            match self.take(step, seen, sight.now).await {
                Ok(()) => {}
                // Another replica was faster: what it wrote is as good as ours.
                Err(error) if error.downcast_ref().is_some_and(CallError::is_conflict) => {}
                Err(error) if announces => unannounced = Some(error),
                Err(error) => return Err(error),
            }
        }
        bail!("others change the certificates all the time")
    }

    /// Reads everything. Bundles come first: what we know of authorities is then newer than the bundle that we write over.
    async fn look(&self) -> anyhow::Result<Seen> {
        let (client, name) = (&self.client, &self.places.configuration);
        let mutating = Bundles::read::<MutatingWebhookConfiguration>(client, name).await;
        let validating = Bundles::read::<ValidatingWebhookConfiguration>(client, name).await;
        let secrets = self.secrets();
        let read = async {
            let pair = secrets
                .read(&self.places.secret, "--tls-secret", Pair::from_data)
                .await?;
            let name = &self.places.authority_secret;
            let authorities = secrets.read(name, "--ca-secret", Authorities::from_data).await?;
            anyhow::Ok((pair, authorities))
        };
        let (pair, authorities) = read.await.inspect_err(|error| {
            self.ready.served.still_missing(format!("{error:#}"));
            self.ready.trusted.still_missing("waiting for the certificate");
            self.ready
                .trusted_with_policies
                .still_missing("waiting for the certificate");
        })?;
        Ok(Seen {
            mutating,
            validating,
            authorities,
            pair,
        })
    }

    fn sight(&mut self, seen: &Seen) -> Sight<Id> {
        let (authorities, pair) = (seen.authorities.content.as_ref(), seen.pair.content.as_ref());
        let known = authorities.map(Authorities::facts).unwrap_or_default();
        let configurations = [&seen.mutating, &seen.validating];
        let present = configurations.map(|read| read.as_ref().ok().and_then(Option::as_ref));
        let bundles: Vec<Vec<Id>> = present.iter().flatten().flat_map(|bundles| bundles.trusted()).collect();
        let agreement = Agreement {
            authorities: known.iter().map(|authority| authority.id.clone()).collect(),
            generations: present
                .map(|bundles| bundles.and_then(|bundles| bundles.generation))
                .into(),
        };
        let agree = configurations.iter().all(|read| read.is_ok())
            && bundles.iter().all(|bundle| *bundle == agreement.authorities);
        self.agreed = match self.agreed.take() {
            _ if !agree => None,
            Some((before, since)) if before == agreement => Some((before, since)),
            Some(_) | None => Some((agreement, Instant::now())),
        };
        Sight {
            now: self.clock.now(),
            signs: authorities.is_some_and(Authorities::can_sign),
            authorities: known,
            stored: pair.and_then(|pair| pair.facts(&self.places.names)),
            remembered: pair.map(Pair::authorities).unwrap_or_default(),
            served: self.served.as_ref().and_then(|pair| pair.facts(&self.places.names)),
            serves_stored: self.served.as_ref() == pair,
            bundles,
            settled: self
                .agreed
                .as_ref()
                .is_some_and(|(_, since)| since.elapsed() >= self.plan.settle),
        }
    }

    /// Does one step. Whatever somebody else has changed meanwhile is left alone.
    async fn take(&mut self, step: Step<Id>, seen: Seen, now: i64) -> anyhow::Result<()> {
        let lifetimes = self.plan.lifetimes;
        let (authorities, pair) = (seen.authorities.content, seen.pair.content);
        match step {
            Step::MakeAuthority { keep, why } => {
                let made = Authorities::make(keep, now, lifetimes)?;
                let name = &self.places.authority_secret;
                self.secrets()
                    .write(name, seen.authorities.secret, made.to_data())
                    .await?;
                info!(secret = name, why, "made a certificate authority");
            }
            Step::Trust(ids) => {
                let authorities = authorities.context("there is no authority")?.trusting(ids);
                let name = &self.places.authority_secret;
                self.secrets()
                    .write(name, seen.authorities.secret, authorities.to_data())
                    .await?;
            }
            Step::Announce => {
                let authorities = authorities.context("there is no authority")?;
                let pods = self
                    .announce::<MutatingWebhookConfiguration>(&seen.mutating, &authorities)
                    .await;
                let policies = self
                    .announce::<ValidatingWebhookConfiguration>(&seen.validating, &authorities)
                    .await;
                pods.and(policies)?;
            }
            Step::Serve => {
                let pair = pair.context("there is no certificate")?;
                let place = format!("Secret {}/{}", self.places.namespace, self.places.secret);
                self.hot.serve(&pair.certificate(&place)?);
                self.served = Some(pair);
            }
            Step::MakeCertificate { why } => {
                let authorities = authorities.context("there is no authority")?;
                let made = authorities.sign(&self.places.names, pair.as_ref(), now, lifetimes)?;
                self.secrets()
                    .write(&self.places.secret, seen.pair.secret, made.to_data())
                    .await?;
                info!(secret = self.places.secret, why, "made a certificate");
            }
            Step::Wait { .. } => {}
        }
        Ok(())
    }

    async fn announce<C: Configuration>(&self, read: &Read, authorities: &Authorities) -> anyhow::Result<()> {
        let Ok(Some(bundles)) = read else { return Ok(()) };
        let name = &self.places.configuration;
        let written = bundles
            .write::<C>(&self.client, name, authorities.ids(), &authorities.pem())
            .await;
        written.with_context(|| format!("{} {name}", C::kind(&())))
    }

    /// Says what keeps API servers from calling us.
    fn tell(&self, seen: &Seen) {
        let Some(served) = self.served.as_ref().and_then(|pair| pair.facts(&self.places.names)) else {
            return;
        };
        self.ready.served.met();
        let told = |kind: &str, read: &Read, part: &Part, refuses: bool| {
            let place = format!("{kind} {}", self.places.configuration);
            let why = match read {
                // While the API server is away, nobody knows better than what was true last.
                Err(error) => return part.still_missing(format!("{place}: {error}")),
                Ok(None) => "it does not exist: install the chart, or name another one with --webhook-configuration",
                Ok(Some(bundles)) => {
                    let trusted = bundles.trusted();
                    if trusted.is_empty() {
                        "it has no webhooks"
                    } else if trusted.iter().any(|bundle| !bundle.contains(&served.authority.id)) {
                        "its caBundle does not have the authority of our certificate"
                    } else {
                        return part.met();
                    }
                }
            };
            if refuses {
                part.missing(format!("{place}: {why}"));
            } else {
                part.still_missing(format!("{place}: {why}"));
            }
        };
        // A pod would be refused.
        told(
            "MutatingWebhookConfiguration",
            &seen.mutating,
            &self.ready.trusted,
            true,
        );
        // A policy would be stored unseen, which is no reason to refuse pods: an installation must be whole to become ready, and
        // need not be so to stay it.
        let policies = &self.ready.trusted_with_policies;
        told("ValidatingWebhookConfiguration", &seen.validating, policies, false);
    }

    fn secrets(&self) -> Secrets {
        Secrets::of(&self.client, &self.places.namespace, self.places.owner.clone())
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
