//! What is noted while a policy is planned: for people, for the decision, and for whoever has to provide something.

use crate::admission::decision::{Needed, Reason, Unit, UnitState};
use crate::admission::finding::{Class, Finding};
use crate::api::EnvVar;
use serde_json::Value;
use std::collections::BTreeMap;

/// All notes of one plan, each list in the order in which it is shown.
#[derive(Debug, Default)]
pub(in crate::admission) struct Notes {
    /// What stands in the way of the policy.
    pub(in crate::admission) problems: Vec<Finding>,
    /// What lets the agent get around the broker, where that is denied.
    pub(in crate::admission) exposures: Vec<Finding>,
    /// What the person who created the pod should know.
    pub(in crate::admission) warnings: Vec<Finding>,
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

    /// Whether a unit is planned and not left out.
    pub(in crate::admission) fn has_unit(&self, name: &str) -> bool {
        let mut units = self.units.iter();
        units.any(|unit| unit.name == name && unit.reason.is_none())
    }

    /// Notes an object that the pod will wait for, or would take if it were there.
    pub(in crate::admission) fn need(&mut self, kind: &'static str, name: &str, optional: bool) {
        // One need that is not optional makes the object necessary.
        *self.needs.entry((kind, name.to_owned())).or_insert(true) &= optional;
    }

    /// Notes the objects that a variable's value comes from.
    pub(in crate::admission) fn need_for_variable(&mut self, var: &EnvVar) {
        let Some(source) = &var.value_from else { return };
        for (kind, reference) in [
            ("ConfigMap", &source.config_map_key_ref),
            ("Secret", &source.secret_key_ref),
        ] {
            if let Some(reference) = reference {
                self.need(kind, &reference.name, reference.optional);
            }
        }
    }

    /// Notes the objects that a volume shows.
    pub(in crate::admission) fn need_for_volume(&mut self, volume: &Value) {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        for source in sources.into_iter().flatten().chain([volume]) {
            for (kind, key, name) in [
                ("ConfigMap", "configMap", "name"),
                ("Secret", "secret", "secretName"),
                ("Secret", "secret", "name"),
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ] {
                let Some(object) = source.get(key) else { continue };
                if let Some(name) = object.get(name).and_then(Value::as_str) {
                    let optional = object.get("optional").and_then(Value::as_bool).unwrap_or(false);
                    self.need(kind, name, optional);
                }
            }
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
