//! Settings of the pod's own that the proxy would refuse: they are named at admission, where somebody reads it, and not
//! first by a call that fails.

use super::draft::{ContainerDraft, Notes};
use super::env::Known;
use super::finding::Class;
use super::settings::{Rule, given};
use crate::api::{Conflicts, OnValue};
use crate::clients::{MODEL_REGION_CLIENTS, MODEL_REGION_PREFIX, OTHER_MODELS, Setting};
use crate::contract::proxy::{Rules, shown};
use crate::policy::Vertex;

/// Longest name of a model that any pattern is held against.
const MAX_MODEL: usize = 253;

/// Denies what a chosen container keeps of its own and the proxy does not let through.
pub(super) fn check(
    target: &ContainerDraft<'_>,
    vertex: &Vertex,
    rules: &Rules,
    conflicts: &Conflicts,
    notes: &mut Notes,
) {
    let container = target.name();
    let mut judge = |name: &str, judged: &Judged| match target.environment.known(name) {
        Some(Known::Text(text)) if !judged.is_allowed(rules, text.trim()) => {
            let allowed = judged.describe(rules);
            let problem = format!(
                "container {container:?} sets {name} to what access: Proxy does not let through: {allowed}; remove it from the pod, or allow it in the policy"
            );
            notes.deny(Some(container), name, problem);
        }
        Some(Known::Opaque { .. }) => {
            let allowed = judged.describe(rules);
            let warning = format!(
                "container {container} takes {name} from what cannot be read at admission; its calls are refused unless {allowed}"
            );
            notes.warn(Class::Unseen, container, name, warning);
        }
        Some(Known::Text(_)) | None => {}
    };
    for (setting, judged) in Judged::SETTINGS {
        // What the policy says nothing of is the pod's own in any case.
        let stays = vertex.value(setting).is_none();
        if stays || Rule::of(setting, conflicts).on_value == OnValue::Keep {
            for variable in given(target, setting, vertex) {
                judge(variable.name, &judged);
            }
        }
    }
    if vertex
        .clients
        .iter()
        .any(|client| MODEL_REGION_CLIENTS.contains(client))
    {
        for name in OTHER_MODELS {
            judge(name, &Judged::Model);
        }
    }
    for name in model_regions(target) {
        let replaced = vertex
            .model_regions
            .keys()
            .any(|model| name.strip_prefix(MODEL_REGION_PREFIX) == Some(model));
        if !replaced || conflicts.values == OnValue::Keep {
            judge(&name, &Judged::Region);
        }
    }
}

/// The pod's own variables of single models' regions.
fn model_regions(target: &ContainerDraft<'_>) -> Vec<String> {
    let is_one = |name: &str| name.starts_with(MODEL_REGION_PREFIX) && !target.is_previous(name);
    target.environment.positions_of(is_one).into_keys().collect()
}

/// What the proxy judges of a setting.
enum Judged {
    Project,
    Region,
    Model,
}

impl Judged {
    /// Of these settings, none is left out that a call carries.
    const SETTINGS: [(Setting, Self); 6] = [
        (Setting::Project, Self::Project),
        (Setting::Region, Self::Region),
        (Setting::DefaultModel, Self::Model),
        (Setting::Opus, Self::Model),
        (Setting::Sonnet, Self::Model),
        (Setting::Haiku, Self::Model),
    ];

    fn is_allowed(&self, rules: &Rules, value: &str) -> bool {
        match self {
            Self::Project => value == rules.project.as_str(),
            Self::Region => rules.regions.iter().any(|region| region.as_str() == value),
            Self::Model => {
                // `opus` and its like are aliases, which other settings resolve; `[1m]` asks for a longer context.
                let model = value.strip_suffix("[1m]").unwrap_or(value);
                !model.contains('-')
                    || (model.len() <= MAX_MODEL && rules.models.iter().any(|glob| glob.matches(model)))
            }
        }
    }

    fn describe(&self, rules: &Rules) -> String {
        match self {
            Self::Project => format!("the project is {} (vertex.project)", rules.project),
            Self::Region => format!("the location is one of {} (proxy.regions)", shown(&rules.regions)),
            Self::Model => format!("the model is one of {} (proxy.models)", shown(&rules.models)),
        }
    }
}
