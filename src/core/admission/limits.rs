//! Settings of the pod's own that the proxy would refuse: they are named at admission, where somebody reads it, and not
//! first by a call that fails.

use super::draft::{ContainerDraft, Notes};
use super::env::Known;
use super::finding::Class;
use super::settings::given;
use crate::api::{OnValue, Vertex};
use crate::clients::{MODEL_REGION_PREFIX, Setting};
use crate::contract::proxy::{Rules, shown};

/// Denies what a chosen container keeps of its own and the proxy does not let through.
pub(super) fn check(target: &ContainerDraft<'_>, vertex: &Vertex, rules: &Rules, on_value: OnValue, notes: &mut Notes) {
    let container = target.name();
    let mut judge = |name: &str, setting: Setting| match target.environment.known(name) {
        Some(Known::Text(text)) if !allows(rules, setting, text.trim()) => {
            let allowed = describe(rules, setting);
            let problem = format!(
                "container {container:?} sets {name} to what access: Proxy does not let through: {allowed}; remove it from the pod, or allow it in the policy"
            );
            notes.deny(Some(container), name, problem);
        }
        Some(Known::Opaque { .. }) => {
            let allowed = describe(rules, setting);
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

fn allows(rules: &Rules, setting: Setting, value: &str) -> bool {
    match setting {
        Setting::Project => value == rules.project.as_str(),
        Setting::Region => rules.regions.iter().any(|region| region.as_str() == value),
        _ => {
            // `opus` and its like are aliases, which other settings resolve; `[1m]` asks for a longer context.
            let model = value.strip_suffix("[1m]").unwrap_or(value);
            !model.contains('-') || rules.models.iter().any(|glob| glob.matches(model))
        }
    }
}

fn describe(rules: &Rules, setting: Setting) -> String {
    match setting {
        Setting::Project => format!("the project is {} (vertex.project)", rules.project),
        Setting::Region => format!("the location is one of {} (proxy.regions)", shown(&rules.regions)),
        _ => format!("the model is one of {} (proxy.models)", shown(&rules.models)),
    }
}
