//! The policies of the moment, which reviews are decided by: an immutable snapshot behind one atomic pointer.

use crate::metrics::{Metrics, PolicyLabels, PolicyState};
use arc_swap::ArcSwap;
use std::sync::Arc;
use strum::VariantArray;
use tokio::sync::watch;
use vertex_injector_core::admission::{Policy, PolicySet};
use vertex_injector_core::operator::Operator;
use vertex_injector_core::policy::Cause;

/// The snapshot, and who waits for the next one.
pub(crate) struct Current {
    set: ArcSwap<PolicySet>,
    changes: watch::Sender<()>,
    operator: Arc<Operator>,
    metrics: Arc<Metrics>,
}

impl Current {
    /// No policies.
    pub(crate) fn new(operator: Arc<Operator>, metrics: Arc<Metrics>) -> Self {
        Self {
            set: ArcSwap::default(),
            changes: watch::Sender::new(()),
            operator,
            metrics,
        }
    }

    /// The policies of the moment. Neither locks nor waits.
    pub(crate) fn load(&self) -> Arc<PolicySet> {
        self.set.load_full()
    }

    /// Replaces them.
    pub(crate) fn publish(&self, set: PolicySet) {
        self.set.store(Arc::new(set));
        self.changes.send_replace(());
    }

    /// Brings the metrics up to date. Not with every change: that would go through all policies because of one.
    pub(crate) fn count(&self) {
        let set = self.load();
        for state in PolicyState::VARIANTS {
            let of_it = |policy: &&Arc<Policy>| self::state(policy, &set, &self.operator) == *state;
            let count = i64::try_from(set.policies().filter(of_it).count()).unwrap_or(i64::MAX);
            let labels = PolicyLabels { state: *state };
            self.metrics.policies.get_or_create(&labels).set(count);
        }
    }

    /// Wakes up whenever they are replaced.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

/// Whether a policy works, beside the namespaces of a set.
pub(crate) fn state(policy: &Policy, set: &PolicySet, operator: &Operator) -> PolicyState {
    match policy.cause() {
        Some(Cause::Invalid) => PolicyState::Unusable,
        Some(Cause::Newer) => PolicyState::Unreadable,
        None if policy.unreachable().is_some() => PolicyState::Unreachable,
        None if not_opted_in(policy, set, operator).is_some() => PolicyState::NotOptedIn,
        None => PolicyState::Ready,
    }
}

/// Why the API server sends us no pods of a policy's namespace, if so. A namespace that is not known is not judged.
pub(crate) fn not_opted_in(policy: &Policy, set: &PolicySet, operator: &Operator) -> Option<String> {
    let namespace = policy.name().namespace.as_deref()?;
    operator.not_opted_in(namespace, set.labels(namespace)?)
}
