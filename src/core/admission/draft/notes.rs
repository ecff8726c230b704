//! What is noted while a policy is planned: for people, for the decision, and for whoever has to provide something.

use crate::admission::decision::{Reason, Unit, UnitState};
use crate::admission::finding::{Class, Finding, Findings};
use crate::policy::Needed;
use std::collections::BTreeMap;

/// All notes of one plan, each list in the order in which it is shown.
#[derive(Debug, Default)]
pub(in crate::admission) struct Notes {
    /// What stands in the way of the policy.
    pub(in crate::admission) problems: Findings,
    /// What lets the agent get around the broker, where that is denied.
    pub(in crate::admission) exposures: Findings,
    /// What the person who created the pod should know.
    pub(in crate::admission) warnings: Findings,
    /// What became of each unit of the policy.
    pub(in crate::admission) units: Vec<Unit>,
    /// Kind and name of objects, and whether the pod starts without them.
    needs: BTreeMap<(&'static str, String), bool>,
}

impl Notes {
    /// Notes what stands in the way of the policy.
    pub(in crate::admission) fn deny(&mut self, container: Option<&str>, field: &str, text: impl Into<String>) {
        self.problems.push(Finding::conflict(container, field, text));
    }

    /// Notes the problem of a step that could not be planned.
    pub(in crate::admission) fn check(&mut self, planned: Result<(), Finding>) {
        self.problems.extend(planned.err());
    }

    /// Notes what became of a value in a container.
    pub(in crate::admission) fn warn(&mut self, class: Class, container: &str, field: &str, text: String) {
        self.warnings.push(Finding::new(class, Some(container), field, text));
    }

    /// Leaves a unit out.
    pub(in crate::admission) fn skip(&mut self, name: &str, reason: Reason, detail: impl Into<String>) {
        self.unit(name, UnitState::Skipped, Some(reason), detail.into());
    }

    pub(super) fn unit(&mut self, name: &str, state: UnitState, reason: Option<Reason>, detail: String) {
        self.units.push(Unit {
            name: name.to_owned(),
            state,
            reason,
            detail,
            decides: false,
        });
    }

    /// Notes objects that the pod will wait for, or would take if they were there.
    pub(in crate::admission) fn need(&mut self, needed: impl IntoIterator<Item = Needed>) {
        for Needed { kind, name, optional } in needed {
            // One need that is not optional makes the object necessary.
            *self.needs.entry((kind, name)).or_insert(true) &= optional;
        }
    }

    /// Every needed object once.
    pub(in crate::admission) fn needs(&self) -> Vec<Needed> {
        let needed = |((kind, name), optional): (&(&'static str, String), &bool)| Needed {
            kind,
            name: name.clone(),
            optional: *optional,
        };
        self.needs.iter().map(needed).collect()
    }
}
