//! Watches of policies and namespaces that keep [`Current`] current.

use super::decode::whole;
use super::kubernetes::{Pause, Trouble, explain_watch, watch_config};
use super::listing::{Change, Listing};
use super::policies::Current;
use super::ready::Part;
use super::status::{Queue, Verdict};
use crate::metrics::PolicyState;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use tracing::{debug, info, warn};
use vertex_injector_core::admission::{Compiler, PolicyName, PolicySet};
use vertex_injector_core::api::{ClusterInjectionPolicy, InjectionPolicy, PolicyStatus};
use vertex_injector_core::operator::Operator;

/// Most events that are taken into one snapshot. They are held undecoded meanwhile.
const BATCH: usize = 128;

/// The watches.
pub(crate) struct Watch {
    client: Client,
    current: Arc<Current>,
    status: Arc<Queue>,
    operator: Arc<Operator>,
    compiler: Compiler,
    set: PolicySet,
    /// What is shown of policies whose namespaces are not known yet, so that nobody is told what may not be true.
    early: HashMap<PolicyName, Option<PolicyStatus>>,
    policies: Source<PolicyName>,
    cluster_policies: Source<PolicyName>,
    namespaces: Source<String>,
}

/// How one watch is doing.
struct Source<K> {
    resource: &'static str,
    listing: Listing<K>,
    listed: Part,
    trouble: Trouble,
}

/// One event of one of the watches.
enum Seen {
    Policy(watcher::Result<Event<DynamicObject>>),
    ClusterPolicy(watcher::Result<Event<DynamicObject>>),
    Namespace(watcher::Result<Event<PartialObjectMeta<Namespace>>>),
}

impl Watch {
    /// Watches that nothing came from yet. `part` adds a part to the readiness.
    pub(crate) fn new(
        client: Client,
        operator: Arc<Operator>,
        current: Arc<Current>,
        status: Arc<Queue>,
        part: impl Fn(&'static str) -> Part,
    ) -> Self {
        Self {
            client,
            current,
            status,
            compiler: Compiler::new(Arc::clone(&operator)),
            operator,
            set: PolicySet::default(),
            early: HashMap::new(),
            policies: Source::new("injectionpolicies.vertex-injector.dev", &part),
            cluster_policies: Source::new("clusterinjectionpolicies.vertex-injector.dev", &part),
            namespaces: Source::new("namespaces", &part),
        }
    }

    /// Follows the cluster until the task is dropped. While the API server is away, the last snapshot stays.
    pub(crate) async fn run(mut self) {
        let policies = Api::all_with(self.client.clone(), &ApiResource::erase::<InjectionPolicy>(&()));
        let cluster_policies = Api::all_with(self.client.clone(), &ApiResource::erase::<ClusterInjectionPolicy>(&()));
        let namespaces = Api::all(self.client.clone());
        let mut events = stream::select_all([
            follow(policies).map(Seen::Policy).boxed(),
            follow(cluster_policies).map(Seen::ClusterPolicy).boxed(),
            follow(namespaces).map(Seen::Namespace).boxed(),
        ])
        .ready_chunks(BATCH);
        let mut listed = false;
        while let Some(batch) = events.next().await {
            let changed = batch
                .into_iter()
                .fold(false, |changed, event| self.take(event) | changed);
            if changed {
                self.current.publish(self.set.clone());
                if !listed {
                    info!(
                        policies = self.set.policies().count(),
                        "the first lists of policies are in"
                    );
                }
                listed = true;
            }
        }
    }

    /// Whether the event changes the snapshot.
    fn take(&mut self, event: Seen) -> bool {
        let changed = match event {
            Seen::Policy(event) => {
                let known = || names(&self.set, |name| name.namespace.is_some());
                let change = self.policies.take(event, name, known);
                self.take_policy::<InjectionPolicy>(change)
            }
            Seen::ClusterPolicy(event) => {
                let known = || names(&self.set, |name| name.namespace.is_none());
                let change = self.cluster_policies.take(event, name, known);
                self.take_policy::<ClusterInjectionPolicy>(change)
            }
            Seen::Namespace(event) => {
                let known = || self.set.namespaces().map(str::to_owned).collect();
                let change = self.namespaces.take(event, ResourceExt::name_any, known);
                self.take_namespace(change)
            }
        };
        changed && self.complete()
    }

    fn complete(&self) -> bool {
        let policies = self.policies.listing.complete() && self.cluster_policies.listing.complete();
        policies && self.namespaces.listing.complete()
    }

    fn take_policy<T: Resource<DynamicType = ()>>(&mut self, change: Change<PolicyName, DynamicObject>) -> bool {
        match change {
            Change::Nothing => false,
            Change::Put(name, object) => self.read::<T>(&name, object),
            Change::Remove(name) => self.forget(&name),
            Change::Listed(gone) => {
                for name in &gone {
                    self.forget(name);
                }
                true
            }
        }
    }

    fn take_namespace(&mut self, change: Change<String, PartialObjectMeta<Namespace>>) -> bool {
        match change {
            Change::Nothing => false,
            Change::Put(namespace, object) => {
                let labels = self.compiler.labels(object.metadata.labels.unwrap_or_default());
                let changed = self.set.put_namespace(&namespace, labels);
                if changed {
                    self.judge_again(&namespace);
                }
                changed
            }
            Change::Remove(namespace) => self.set.remove_namespace(&namespace),
            Change::Listed(gone) => {
                for namespace in &gone {
                    self.set.remove_namespace(namespace);
                }
                true
            }
        }
    }

    /// Reads a policy and tells its author. Whether that changes the snapshot: not when only status or metadata changed.
    fn read<T: Resource<DynamicType = ()>>(&mut self, name: &PolicyName, object: DynamicObject) -> bool {
        let shown = object
            .data
            .get("status")
            .and_then(|status| PolicyStatus::deserialize(status).ok());
        let generation = object.metadata.generation.unwrap_or_default();
        let policy = self.compiler.stored(&whole::<T>(object));
        let verdict = Verdict::of(&policy, &self.set, &self.operator);
        let changed = self.set.put(policy);
        if changed {
            match verdict.state {
                PolicyState::Ready => debug!(policy = %name, generation, "loaded a policy"),
                PolicyState::Unusable
                | PolicyState::Unreachable
                | PolicyState::NotOptedIn
                | PolicyState::Unreadable => {
                    warn!(policy = %name, generation, problem = &*verdict.message, "a policy does not work");
                }
            }
        }
        let known = { name.namespace.as_ref() }.is_none_or(|namespace| self.set.labels(namespace).is_some());
        if known || self.operator.namespace_selector.is_none() || verdict.state != PolicyState::Ready {
            self.early.remove(name);
            self.status.offer(name, generation, verdict, shown.as_ref());
        } else {
            self.early.insert(name.clone(), shown);
        }
        changed
    }

    /// Tells the authors of a namespace's policies what its labels make of them.
    fn judge_again(&mut self, namespace: &str) {
        if self.operator.namespace_selector.is_none() {
            return;
        }
        for policy in self.set.of_namespace(namespace) {
            let verdict = Verdict::of(policy, &self.set, &self.operator);
            let shown = self.early.remove(policy.name()).flatten();
            self.status
                .offer(policy.name(), policy.generation(), verdict, shown.as_ref());
        }
    }

    /// The policy is gone. Whether it was there.
    fn forget(&mut self, name: &PolicyName) -> bool {
        self.status.forget(name);
        self.early.remove(name);
        self.set.remove(name)
    }
}

impl<K: Eq + Hash> Source<K> {
    fn new(resource: &'static str, part: impl Fn(&'static str) -> Part) -> Self {
        Self {
            resource,
            listing: Listing::new(),
            listed: part(resource),
            trouble: Trouble::with("a watch is interrupted; the last known policies stay"),
        }
    }

    fn take<O>(
        &mut self,
        event: watcher::Result<Event<O>>,
        key: impl FnOnce(&O) -> K,
        known: impl FnOnce() -> HashSet<K>,
    ) -> Change<K, O> {
        match event {
            Ok(event) => {
                // Every attempt to list begins with this, successful or not.
                if !matches!(event, Event::Init) {
                    self.trouble.over();
                }
                let change = self.listing.take(event, key, known);
                if matches!(change, Change::Listed(_)) {
                    self.listed.met();
                }
                change
            }
            Err(error) => {
                let problem = explain_watch(&error, self.resource);
                self.trouble.met(&problem);
                self.listed.still_missing(problem);
                Change::Nothing
            }
        }
    }
}

/// The names of the known policies of one kind.
fn names(set: &PolicySet, of_kind: impl Fn(&PolicyName) -> bool) -> HashSet<PolicyName> {
    let all = set.policies().map(|policy| policy.name());
    all.filter(|name| of_kind(name)).cloned().collect()
}

/// A watch that goes on after every failure.
fn follow<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, watch_config()).backoff(Pause::default())
}

fn name(object: &DynamicObject) -> PolicyName {
    PolicyName {
        namespace: object.namespace(),
        name: object.name_any(),
    }
}
