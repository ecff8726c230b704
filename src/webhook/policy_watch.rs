//! Watches of policies and namespaces that keep [`Current`] current.
//!
//! Every object is decoded by itself, as kube's `DeserializeGuard` does, so that one that this version cannot read
//! never stops the watch; unlike there, the error names the field.

use super::kubernetes::{Pause, Trouble, explain_watch, watch_config};
use super::policies::Current;
use super::ready::Part;
use super::status::{Queue, Verdict};
use super::table::{Changed, Table};
use crate::metrics::PolicyState;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use tracing::{debug, info, warn};
use vertex_injector_core::admission::{Namespaces, Policy, PolicyName, PolicyObject, PolicySet};
use vertex_injector_core::api::{ClusterInjectionPolicy, InjectionPolicy, PolicyStatus};
use vertex_injector_core::operator::Operator;

/// Most events that are taken into one snapshot.
const BATCH: usize = 1024;

/// The watches.
pub(crate) struct Watch {
    client: Client,
    current: Arc<Current>,
    policies: Source<PolicyName, Row>,
    cluster_policies: Source<PolicyName, Row>,
    namespaces: Source<String, BTreeMap<String, String>>,
    /// The labels of the last snapshot, until one changes.
    labels: Option<Arc<Namespaces>>,
    reader: Reader,
}

/// What one watch has brought.
struct Source<K, V> {
    resource: &'static str,
    table: Table<K, V>,
    listed: Part,
    trouble: Trouble,
}

/// A policy as far as it could be read.
struct Row {
    uid: Option<String>,
    generation: i64,
    policy: Option<Arc<Policy>>,
}

/// Makes rows of objects and tells their authors.
struct Reader {
    operator: Arc<Operator>,
    status: Arc<Queue>,
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
            policies: Source::new("injectionpolicies.vertex-injector.dev", &part),
            cluster_policies: Source::new("clusterinjectionpolicies.vertex-injector.dev", &part),
            namespaces: Source::new("namespaces", &part),
            labels: None,
            reader: Reader { operator, status },
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
                self.publish();
                if !listed {
                    info!(
                        policies = self.current.load().policies().count(),
                        "the first lists of policies are in"
                    );
                }
                listed = true;
            }
        }
    }

    /// Whether the event changes the snapshot.
    fn take(&mut self, event: Seen) -> bool {
        let reader = &self.reader;
        let changed = match event {
            Seen::Policy(event) => {
                let read = |object, row: Option<&Row>| reader.read(object, row, PolicyObject::Namespaced);
                reader.after(&self.policies.take(event, name, read), &self.policies.table)
            }
            Seen::ClusterPolicy(event) => {
                let read = |object, row: Option<&Row>| reader.read(object, row, PolicyObject::Cluster);
                reader.after(
                    &self.cluster_policies.take(event, name, read),
                    &self.cluster_policies.table,
                )
            }
            Seen::Namespace(event) => {
                let labels =
                    |object: PartialObjectMeta<Namespace>, _: Option<&_>| object.metadata.labels.unwrap_or_default();
                let changed = self.namespaces.take(event, ResourceExt::name_any, labels) != Changed::Nothing;
                if changed {
                    self.labels = None;
                }
                changed
            }
        };
        changed && self.complete()
    }

    fn complete(&self) -> bool {
        self.policies.table.complete() && self.cluster_policies.table.complete() && self.namespaces.table.complete()
    }

    fn publish(&mut self) {
        let namespaces = &self.namespaces.table;
        let labels = self.labels.get_or_insert_with(|| {
            Arc::new(
                namespaces
                    .rows()
                    .map(|(name, labels)| (name.clone(), labels.clone()))
                    .collect(),
            )
        });
        let rows = || {
            self.policies
                .table
                .rows()
                .chain(self.cluster_policies.table.rows())
                .map(|(_, row)| row)
        };
        let set = PolicySet::new(rows().filter_map(|row| row.policy.clone()), Arc::clone(labels));
        self.current
            .publish(set, rows().filter(|row| row.policy.is_none()).count());
    }
}

impl<K: Clone + Eq + Hash, V: PartialEq> Source<K, V> {
    fn new(resource: &'static str, part: impl Fn(&'static str) -> Part) -> Self {
        Self {
            resource,
            table: Table::new(),
            listed: part(resource),
            trouble: Trouble::with("a watch is interrupted; the last known policies stay"),
        }
    }

    fn take<O>(
        &mut self,
        event: watcher::Result<Event<O>>,
        key: impl Fn(&O) -> K,
        read: impl FnOnce(O, Option<&V>) -> V,
    ) -> Changed<K> {
        match event {
            Ok(event) => {
                // Every attempt to list begins with this, successful or not.
                if !matches!(event, Event::Init) {
                    self.trouble.over();
                }
                let changed = self.table.take(event, key, read);
                if changed == Changed::All {
                    self.listed.met();
                }
                changed
            }
            Err(error) => {
                let problem = explain_watch(&error, self.resource);
                self.trouble.met(&problem);
                self.listed.still_missing(problem);
                Changed::Nothing
            }
        }
    }
}

impl Reader {
    /// Reads a policy; the row that is there serves again when only status or metadata changed.
    fn read<T: DeserializeOwned>(
        &self,
        object: DynamicObject,
        row: Option<&Row>,
        kind: impl FnOnce(T) -> PolicyObject,
    ) -> Row {
        let name = name(&object);
        let shown = object
            .data
            .get("status")
            .and_then(|status| PolicyStatus::deserialize(status).ok());
        let uid = object.metadata.uid.clone();
        let generation = object.metadata.generation.unwrap_or_default();
        if let Some(Row {
            policy: Some(policy), ..
        }) = row.filter(|row| (&row.uid, row.generation) == (&uid, generation))
        {
            self.status
                .offer(&name, generation, &Verdict::of(policy), shown.as_ref());
            return Row {
                uid,
                generation,
                policy: Some(Arc::clone(policy)),
            };
        }
        let policy = decode(object).map(|policy| Arc::new(Policy::compile(&kind(policy), &self.operator)));
        let verdict = match &policy {
            Ok(policy) => Verdict::of(policy),
            Err(problem) => Verdict::unreadable(problem),
        };
        match verdict.state {
            PolicyState::Ready => debug!(policy = %name, generation, "loaded a policy"),
            _ => warn!(policy = %name, generation, problem = verdict.message, "a policy does not work"),
        }
        self.status.offer(&name, generation, &verdict, shown.as_ref());
        Row {
            uid,
            generation,
            policy: policy.ok(),
        }
    }

    /// Forgets policies that are gone. Whether anything changed.
    fn after(&self, changed: &Changed<PolicyName>, table: &Table<PolicyName, Row>) -> bool {
        match changed {
            Changed::Nothing => false,
            Changed::Row(name) => {
                if table.get(name).is_none() {
                    self.status.forget(name);
                }
                true
            }
            Changed::All => true,
        }
    }
}

impl PartialEq for Row {
    /// Same policy, not merely one that reads the same.
    fn eq(&self, other: &Self) -> bool {
        let policy = match (&self.policy, &other.policy) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        policy && self.generation == other.generation && self.uid == other.uid
    }
}

/// A watch that goes on after every failure.
fn follow<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, watch_config()).backoff(Pause::default())
}

fn name(object: &DynamicObject) -> PolicyName {
    PolicyName {
        namespace: object.namespace(),
        name: object.name_any(),
    }
}

/// Decodes a policy. The error names the field.
pub(super) fn decode<T: DeserializeOwned>(mut object: DynamicObject) -> Result<T, String> {
    object.metadata.managed_fields = None;
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "" | "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })
}
