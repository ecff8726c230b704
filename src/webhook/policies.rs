//! The policies of the moment, which reviews are decided by: an immutable snapshot behind one atomic pointer.

use crate::metrics::{Metrics, PolicyLabels, PolicyState};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::watch;
use vertex_injector_core::admission::{Policy, PolicySet};

/// The snapshot, and who waits for the next one.
pub(crate) struct Current {
    set: ArcSwap<PolicySet>,
    changes: watch::Sender<()>,
    metrics: Arc<Metrics>,
}

impl Current {
    /// No policies.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            set: ArcSwap::default(),
            changes: watch::Sender::new(()),
            metrics,
        }
    }

    /// The policies of the moment. Neither locks nor waits.
    pub(crate) fn load(&self) -> Arc<PolicySet> {
        self.set.load_full()
    }

    /// Replaces them. `unreadable` is how many policies exist that the set cannot hold; they are only counted.
    pub(crate) fn publish(&self, set: PolicySet, unreadable: usize) {
        let count = |wanted| set.policies().filter(|policy| state(policy) == wanted).count();
        for (state, count) in [
            (PolicyState::Ready, count(PolicyState::Ready)),
            (PolicyState::Unusable, count(PolicyState::Unusable)),
            (PolicyState::Unreachable, count(PolicyState::Unreachable)),
            (PolicyState::Unreadable, unreadable),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.policies.get_or_create(&PolicyLabels { state }).set(count);
        }
        self.set.store(Arc::new(set));
        self.changes.send_replace(());
    }

    /// Wakes up whenever they are replaced.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

/// Whether a policy works.
pub(crate) fn state(policy: &Policy) -> PolicyState {
    if !policy.errors().0.is_empty() {
        PolicyState::Unusable
    } else if policy.unreachable().is_some() {
        PolicyState::Unreachable
    } else {
        PolicyState::Ready
    }
}
