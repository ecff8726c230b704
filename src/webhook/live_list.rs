//! The one remote call on the admission path: a review that meets an unknown policy or namespace may look once.
//!
//! A policy and a pod that are created one right after the other reach us by different ways; without this, the pod
//! could be denied although its policy exists. What a pod's author can cause with it is bounded: one list at a time
//! for a namespace, its answer used for a second, few lists at once, each short and small.

use super::decode::whole;
use super::kubernetes::{explain, is_namespace};
use crate::metrics::{LiveList as Outcome, LiveListLabels, Metrics};
use anyhow::{anyhow, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, Resource};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::warn;
use vertex_injector_core::admission::{Namespaces, Policy, PolicySet};
use vertex_injector_core::api::{ClusterInjectionPolicy, InjectionPolicy};
use vertex_injector_core::operator::Operator;

/// How long a live list may take. The API server waits five seconds for the review.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// How long an answer serves further reviews of its namespace.
const FRESH: Duration = Duration::from_secs(1);

/// Most namespaces with a live list within [`FRESH`]; further ones do without.
const MAX_NAMESPACES: usize = 32;

/// Most live lists at the same time.
const MAX_AT_ONCE: usize = 4;

/// Most policies that one list may return; more come by the watch only.
const MAX_POLICIES: u32 = 500;

/// Asks the API server about one namespace.
pub(crate) struct LiveList {
    client: Client,
    operator: Arc<Operator>,
    metrics: Arc<Metrics>,
    answers: Mutex<HashMap<String, (Instant, Answer)>>,
    at_once: Semaphore,
}

/// Filled by the first review that waits for it; none when the list failed.
type Answer = Arc<OnceCell<Option<Arc<PolicySet>>>>;

impl LiveList {
    /// Nothing asked yet.
    pub(crate) fn new(client: Client, operator: Arc<Operator>, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            operator,
            metrics,
            answers: Mutex::default(),
            at_once: Semaphore::new(MAX_AT_ONCE),
        }
    }

    /// The policies that can apply in a namespace, and its labels, as the API server has them now. None when it
    /// cannot be asked; the review stands as it is then.
    pub(crate) async fn policies(&self, namespace: &str) -> Option<Arc<PolicySet>> {
        // It becomes part of a URL, and whoever sends a review chooses it.
        if !is_namespace(namespace) {
            return None;
        }
        let Some(answer) = self.answer(namespace) else {
            self.count(Outcome::Limited);
            return None;
        };
        let asked = answer.get_or_init(async || {
            let (outcome, set) = match timeout(TIMEOUT, self.ask(namespace)).await {
                Ok(Ok(set)) => (Outcome::Done, Some(Arc::new(set))),
                Ok(Err(error)) => {
                    warn!(namespace, %error, "cannot list policies for a review; it stands as it is");
                    (Outcome::Failed, None)
                }
                Err(_) => {
                    warn!(
                        namespace,
                        "listing policies for a review took too long; it stands as it is"
                    );
                    (Outcome::Failed, None)
                }
            };
            self.count(outcome);
            set
        });
        asked.await.clone()
    }

    fn answer(&self, namespace: &str) -> Option<Answer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, answer)) = answers.get(namespace) {
            return Some(Arc::clone(answer));
        }
        if answers.len() >= MAX_NAMESPACES {
            return None;
        }
        let answer = Answer::default();
        answers.insert(namespace.to_owned(), (Instant::now(), Arc::clone(&answer)));
        Some(answer)
    }

    async fn ask(&self, namespace: &str) -> anyhow::Result<PolicySet> {
        let _permit = self.at_once.acquire().await?;
        let resource = ApiResource::erase::<InjectionPolicy>(&());
        let policies = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let resource = ApiResource::erase::<ClusterInjectionPolicy>(&());
        let cluster_policies = Api::all_with(self.client.clone(), &resource);
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let (mut policies, cluster_policies, labels) = tokio::try_join!(
            self.list::<InjectionPolicy>(&policies),
            self.list::<ClusterInjectionPolicy>(&cluster_policies),
            async {
                namespaces
                    .get_metadata_opt(namespace)
                    .await
                    .map_err(|error| anyhow!(explain(&error)))
            },
        )?;
        policies.extend(cluster_policies);
        let labels = labels.map(|object| (namespace.to_owned(), object.metadata.labels.unwrap_or_default()));
        Ok(PolicySet::new(policies, &labels.into_iter().collect::<Namespaces>()))
    }

    async fn list<T: Resource<DynamicType = ()>>(&self, api: &Api<DynamicObject>) -> anyhow::Result<Vec<Arc<Policy>>> {
        let list = api.list(&ListParams::default().limit(MAX_POLICIES)).await;
        let list = list.map_err(|error| anyhow!(explain(&error)))?;
        let more = list.metadata.continue_.is_some_and(|token| !token.is_empty());
        ensure!(!more, "there are more than {MAX_POLICIES} policies");
        let policies = list.items.into_iter().map(whole::<T>);
        Ok(policies
            .map(|policy| Arc::new(Policy::stored(&policy, &self.operator)))
            .collect())
    }

    fn count(&self, result: Outcome) {
        self.metrics.live_lists.get_or_create(&LiveListLabels { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use kube::client::Body;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A live list whose API server hangs, and how often that was asked.
    fn hanging() -> (LiveList, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |_: http::Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<Result<http::Response<Body>, std::convert::Infallible>>()
        });
        let metrics = Arc::new(Metrics::new());
        let live = LiveList::new(Client::new(service, "default"), Arc::default(), metrics);
        (live, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_of_a_namespace_share_one_list_and_its_time_limit() {
        let (live, asked) = hanging();
        let start = Instant::now();
        let answers = join_all((0..100).map(|_| live.policies("team"))).await;
        assert!(answers.iter().all(Option::is_none));
        assert_eq!(start.elapsed(), TIMEOUT);
        // Policies, cluster policies, the namespace.
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_namespaces_there_are_few_are_asked_about() {
        let (live, asked) = hanging();
        let namespaces: Vec<_> = (0..100).map(|i| format!("team-{i}")).collect();
        join_all(namespaces.iter().map(|namespace| live.policies(namespace))).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3 * MAX_AT_ONCE);
        let limited = LiveListLabels {
            result: Outcome::Limited,
        };
        assert_eq!(
            live.metrics.live_lists.get_or_create(&limited).get(),
            100 - MAX_NAMESPACES as u64
        );
    }
}
