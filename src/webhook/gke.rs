//! GKE workload identity: the annotation by which a ServiceAccount acts as a Google one, set as policies say.
//!
//! ServiceAccounts are reconciled, never admitted: a dead webhook on them would leave a new namespace without its
//! `default` account. They are watched only while a policy needs it.

use super::kubernetes::{CallError, Pause, Trouble, call, explain_watch, watch_config};
use super::listing::{Change, Listing};
use super::policies::Current;
use crate::metrics::Metrics;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{PartialObjectMeta, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};
use vertex_injector_core::admission::PolicySet;
use vertex_injector_core::names::{FIELD_MANAGER, GKE_SERVICE_ACCOUNT};

/// Pause between two writes: a policy for a thousand namespaces must not crowd out others.
const WRITE_PAUSE: Duration = Duration::from_millis(20);

/// How long policies may go on changing before they are looked at.
const SETTLE: Duration = Duration::from_millis(100);

/// A ServiceAccount: namespace and name.
type Key = (String, String);

/// One event of the watch.
type Seen = watcher::Result<Event<PartialObjectMeta<ServiceAccount>>>;

/// Most events that are taken before accounts are looked at.
const BATCH: usize = 1024;

/// Keeps the annotation on the ServiceAccounts that policies name.
pub(crate) struct Reconciler {
    client: Client,
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    accounts: BTreeMap<Key, Account>,
    listing: Listing<Key>,
    /// Differing values that were reported.
    reported: BTreeMap<Key, String>,
    trouble: Trouble,
}

/// What a policy wants of a ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    email: String,
    replace: bool,
    policy: String,
}

/// What a ServiceAccount has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    uid: String,
    email: Option<String>,
    /// Whether we set it.
    ours: bool,
    /// Whether it is being deleted.
    ending: bool,
}

/// What to do with a ServiceAccount.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// It is as it should be, or not ours to change.
    Leave,
    /// It has another value, which stays.
    Report,
    /// Set it, unless somebody else has set another value.
    Set,
    /// Set it, whatever there is.
    Replace,
    /// Remove what we set.
    Remove,
}

impl Reconciler {
    /// Nothing known yet.
    pub(crate) fn new(client: Client, current: Arc<Current>, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            current,
            metrics,
            accounts: BTreeMap::new(),
            listing: Listing::new(),
            reported: BTreeMap::new(),
            trouble: Trouble::with("cannot keep the GKE annotation of ServiceAccounts"),
        }
    }

    /// Reconciles until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut changes = self.current.changes();
        let mut events: Option<BoxStream<'static, Vec<Seen>>> = None;
        let mut pauses = Pause::default();
        loop {
            let wanted = wanted(&self.current.load());
            let needed = !wanted.is_empty() || self.accounts.values().any(|account| account.ours);
            if !needed {
                events = None;
                self.accounts.clear();
                self.listing = Listing::new();
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let retry = match self.reconcile(&wanted).await {
                Ok(()) => None,
                Err(error) => {
                    self.trouble.met(&error.to_string());
                    pauses.next().map(|pause| Instant::now() + pause)
                }
            };
            let events = events.get_or_insert_with(|| follow(self.client.clone()));
            tokio::select! {
                gone = changes.changed() => {
                    if gone.is_err() {
                        return;
                    }
                    // More of the same is likely to follow, and each time all policies are gone through.
                    sleep(SETTLE).await;
                }
                batch = events.next() => batch.into_iter().flatten().for_each(|event| self.take(event)),
                () = async { sleep_until(retry.unwrap_or_else(Instant::now)).await }, if retry.is_some() => {}
            }
        }
    }

    fn take(&mut self, event: Seen) {
        match event {
            Ok(event) => {
                if !matches!(event, Event::Init) {
                    self.trouble.over();
                }
                let key = |object: &PartialObjectMeta<ServiceAccount>| {
                    (object.namespace().unwrap_or_default(), object.name_any())
                };
                match self
                    .listing
                    .take(event, key, || self.accounts.keys().cloned().collect())
                {
                    Change::Nothing => {}
                    Change::Put(key, object) => {
                        self.accounts.insert(key, Account::read(&object));
                    }
                    Change::Remove(key) => {
                        self.accounts.remove(&key);
                    }
                    Change::Listed(gone) => self.accounts.retain(|key, _| !gone.contains(key)),
                }
            }
            Err(error) => self.trouble.met(&explain_watch(&error, "serviceaccounts")),
        }
    }

    async fn reconcile(&mut self, wanted: &BTreeMap<Key, Wanted>) -> Result<(), CallError> {
        if !self.listing.complete() {
            return Ok(());
        }
        let ours = self
            .accounts
            .iter()
            .filter(|(_, account)| account.ours)
            .map(|(key, _)| key.clone());
        let keys: BTreeSet<Key> = ours.chain(wanted.keys().cloned()).collect();
        let mut conflicts = BTreeMap::new();
        let mut failed = Ok(());
        for key in keys {
            let Some(account) = self.accounts.get(&key).cloned() else {
                continue;
            };
            let wish = wanted.get(&key);
            let mut action = account.action(wish);
            if matches!(action, Action::Set | Action::Replace | Action::Remove) {
                let email = wish.map(|wish| wish.email.as_str());
                match self.apply(&key, &account.uid, email, action == Action::Replace).await {
                    Ok(()) => self.note(&key, email),
                    // Somebody else has set it, or the account is another one by now; the watch will tell.
                    Err(error) if error.is_conflict() => action = Action::Report,
                    Err(error) if error.is_not_found() => {}
                    // One namespace may forbid what others allow.
                    Err(error) if error.is_answer() => failed = Err(error),
                    Err(error) => return Err(error),
                }
                sleep(WRITE_PAUSE).await;
            }
            if let (Action::Report, Some(wish)) = (action, wish) {
                self.report(&key, wish);
                conflicts.insert(key, wish.email.clone());
            }
        }
        self.metrics
            .gke_conflicts
            .set(i64::try_from(conflicts.len()).unwrap_or(i64::MAX));
        self.reported = conflicts;
        failed
    }

    /// Server-side apply of this annotation only, or of nothing, which removes what we applied before. The uid keeps it
    /// from creating an account that was deleted in the meantime.
    async fn apply(
        &self,
        (namespace, name): &Key,
        uid: &str,
        email: Option<&str>,
        force: bool,
    ) -> Result<(), CallError> {
        let annotations = email.map(|email| json!({ GKE_SERVICE_ACCOUNT: email }));
        let object = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "uid": uid, "annotations": annotations },
        });
        let params = PatchParams {
            force,
            ..PatchParams::apply(FIELD_MANAGER)
        };
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        call(api.patch_metadata(name, &params, &Patch::Apply(object))).await?;
        match email {
            Some(email) => info!(
                namespace,
                service_account = name,
                email,
                "set the GKE workload identity"
            ),
            None => info!(namespace, service_account = name, "removed the GKE workload identity"),
        }
        Ok(())
    }

    /// Takes over what we wrote before the watch tells, so that it is not written twice.
    fn note(&mut self, key: &Key, email: Option<&str>) {
        if let Some(account) = self.accounts.get_mut(key) {
            account.email = email.map(str::to_owned);
            account.ours = email.is_some();
        }
    }

    fn report(&self, key: &Key, wish: &Wanted) {
        if self.reported.get(key) != Some(&wish.email) {
            let (namespace, service_account) = key;
            warn!(
                namespace,
                service_account,
                policy = wish.policy,
                wanted = wish.email,
                "a ServiceAccount keeps another {GKE_SERVICE_ACCOUNT}; remove it, or set conflicts.values: Override"
            );
        }
    }
}

impl Account {
    fn read(object: &PartialObjectMeta<ServiceAccount>) -> Self {
        Self {
            uid: object.uid().unwrap_or_default(),
            email: object.annotations().get(GKE_SERVICE_ACCOUNT).cloned(),
            ours: object.managed_fields().iter().any(sets_annotation),
            ending: object.metadata.deletion_timestamp.is_some(),
        }
    }

    fn action(&self, wanted: Option<&Wanted>) -> Action {
        match (wanted, &self.email) {
            _ if self.ending => Action::Leave,
            (None, _) if self.ours => Action::Remove,
            (None, _) => Action::Leave,
            (Some(wanted), Some(email)) if *email == wanted.email => Action::Leave,
            (Some(wanted), _) if wanted.replace => Action::Replace,
            (Some(_), Some(_)) if !self.ours => Action::Report,
            (Some(_), _) => Action::Set,
        }
    }
}

/// What the policies want, of each account what the first one in its namespace that names it wants: that is the one that
/// applies.
fn wanted(set: &PolicySet) -> BTreeMap<Key, Wanted> {
    let mut all = BTreeMap::new();
    for namespace in set.namespaces() {
        for policy in set.serving(namespace) {
            let Some(binding) = policy.gke_binding() else {
                continue;
            };
            for account in &binding.service_accounts {
                all.entry((namespace.to_owned(), (*account).clone()))
                    .or_insert_with(|| Wanted {
                        email: binding.email.clone(),
                        replace: binding.replace,
                        policy: policy.name().to_string(),
                    });
            }
        }
    }
    all
}

/// Whether this entry says that we applied the annotation.
fn sets_annotation(entry: &ManagedFieldsEntry) -> bool {
    let field = format!("f:{GKE_SERVICE_ACCOUNT}");
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.fields_v1.as_ref().is_some_and(|fields| {
            let annotations = fields
                .0
                .get("f:metadata")
                .and_then(|metadata| metadata.get("f:annotations"));
            annotations.is_some_and(|annotations| annotations.get(&field).is_some())
        })
}

fn follow(client: Client) -> BoxStream<'static, Vec<Seen>> {
    watcher(Api::all(client), watch_config())
        .backoff(Pause::default())
        .ready_chunks(BATCH)
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vertex_injector_core::admission::{Compiler, PolicyObject};

    fn account(email: Option<&str>, ours: bool) -> Account {
        Account {
            uid: "1".to_owned(),
            email: email.map(str::to_owned),
            ours,
            ending: false,
        }
    }

    fn wants(email: &str, replace: bool) -> Wanted {
        Wanted {
            email: email.to_owned(),
            replace,
            policy: "team/policy".to_owned(),
        }
    }

    #[test]
    fn a_missing_annotation_is_set_and_an_equal_one_is_left() {
        assert_eq!(account(None, false).action(Some(&wants("a", false))), Action::Set);
        assert_eq!(
            account(Some("a"), false).action(Some(&wants("a", false))),
            Action::Leave
        );
    }

    #[test]
    fn a_differing_one_of_others_stays_unless_the_policy_replaces() {
        assert_eq!(
            account(Some("b"), false).action(Some(&wants("a", false))),
            Action::Report
        );
        assert_eq!(
            account(Some("b"), false).action(Some(&wants("a", true))),
            Action::Replace
        );
        assert_eq!(account(Some("b"), true).action(Some(&wants("a", false))), Action::Set);
    }

    #[test]
    fn only_ours_is_removed() {
        assert_eq!(account(Some("a"), true).action(None), Action::Remove);
        assert_eq!(account(Some("a"), false).action(None), Action::Leave);
    }

    #[test]
    fn an_account_is_what_the_policy_wants_that_applies_in_its_namespace() {
        let gke = |email: &str| {
            json!({
                "agents": [{"serviceAccounts": ["agent"]}],
                "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"]},
                "identity": {"gkeWorkloadIdentity": {"serviceAccount": email}},
            })
        };
        let object = |kind: &str, name: &str, spec| {
            json!({
                "apiVersion": "vertex-injector.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": name, "namespace": "team"},
                "spec": spec,
            })
        };
        let mut common = gke("common@my-project.iam.gserviceaccount.com");
        common["overridable"] = true.into();
        let common = object("ClusterInjectionPolicy", "common", common);
        let own = object("InjectionPolicy", "own", gke("own@my-project.iam.gserviceaccount.com"));
        let mut compiler = Compiler::new(Arc::default());
        let policies = [
            compiler.policy(&PolicyObject::Cluster(serde_json::from_value(common).unwrap())),
            compiler.policy(&PolicyObject::Namespaced(serde_json::from_value(own).unwrap())),
        ];
        let namespaces = ["team", "other"].map(|name| (name.to_owned(), BTreeMap::new()));
        let wanted = wanted(&PolicySet::new(policies, &namespaces.into()));
        let of = |namespace: &str| wanted[&(namespace.to_owned(), "agent".to_owned())].policy.as_str();
        assert_eq!((of("team"), of("other")), ("team/own", "common"));
    }

    #[test]
    fn an_account_that_is_being_deleted_is_left() {
        let ending = Account {
            ending: true,
            ..account(None, false)
        };
        assert_eq!(ending.action(Some(&wants("a", true))), Action::Leave);
    }
}
