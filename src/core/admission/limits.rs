//! Settings of the pod's own that the proxy would refuse: they are named at admission, where somebody reads it, and not
//! first by a call that fails.

use super::broker::Limits;
use super::draft::{ContainerDraft, Notes};
use super::env::Known;
use super::finding::Class;
use super::settings::given;
use crate::api::{OnValue, Vertex};
use crate::clients::{MODEL_REGION_PREFIX, Setting};
use crate::glob::Glob;

/// Denies what a chosen container keeps of its own and the proxy does not let through.
pub(super) fn check(
    target: &ContainerDraft<'_>,
    vertex: &Vertex,
    limits: &Limits,
    on_value: OnValue,
    notes: &mut Notes,
) {
    let container = target.name();
    let mut judge = |name: &str, setting: Setting| match target.environment.known(name) {
        Some(Known::Text(text)) if !limits.allow(setting, text.trim()) => {
            let allowed = limits.describe(setting);
            let problem = format!(
                "container {container:?} sets {name} to what access: Proxy does not let through: {allowed}; remove it from the pod, or allow it in the policy"
            );
            notes.deny(Some(container), name, problem);
        }
        Some(Known::Opaque { .. }) => {
            let allowed = limits.describe(setting);
            let warning = format!(
                "container {container} takes {name} from what cannot be read at admission; its calls are refused unless {allowed}"
            );
            notes.warn(Class::Unseen, container, name, warning);
        }
        _ => {}
    };
    if on_value == OnValue::Keep {
        for setting in [
            Setting::Project,
            Setting::Region,
            Setting::DefaultModel,
            Setting::Opus,
            Setting::Sonnet,
            Setting::Haiku,
        ] {
            // What the policy says nothing of is the pod's own in any case.
            for variable in given(target, setting, vertex) {
                judge(variable.name, setting);
            }
        }
    }
    for name in model_regions(target) {
        let replaced = vertex
            .model_regions
            .keys()
            .any(|model| name.strip_prefix(MODEL_REGION_PREFIX) == Some(model));
        if !replaced || on_value == OnValue::Keep {
            judge(&name, Setting::Region);
        }
    }
}

/// The pod's own variables of single models' regions.
fn model_regions(target: &ContainerDraft<'_>) -> Vec<String> {
    let is_one = |name: &str| name.starts_with(MODEL_REGION_PREFIX) && !target.is_previous(name);
    target.environment.positions_of(is_one).into_keys().collect()
}

impl Limits {
    fn allow(&self, setting: Setting, value: &str) -> bool {
        match setting {
            Setting::Project => value == self.project,
            Setting::Region => self.regions.iter().any(|region| region == value),
            _ => {
                // `opus` and its like are aliases, which other settings resolve; `[1m]` asks for a longer context.
                let model = value.strip_suffix("[1m]").unwrap_or(value);
                !model.contains('-') || self.models.iter().any(|glob| glob.matches(model))
            }
        }
    }

    fn describe(&self, setting: Setting) -> String {
        match setting {
            Setting::Project => format!("the project is {} (vertex.project)", self.project),
            Setting::Region => format!("the location is one of {} (proxy.regions)", self.regions.join(", ")),
            _ => {
                let models: Vec<&str> = self.models.iter().map(Glob::as_str).collect();
                format!("the model is one of {} (proxy.models)", models.join(", "))
            }
        }
    }
}
