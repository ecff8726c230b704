//! What a container asks of the proxy by its variables and the proxy would refuse: it is named at admission, where somebody reads
//! it, and not first by a call that fails.

use super::draft::ContainerDraft;
use super::env::{Environment, Known};
use super::finding::{Class, Finding, Findings};
use super::resulting::Resulting;
use crate::clients::{MODEL_REGION_CLIENTS, MODEL_REGION_PREFIX, OTHER_MODELS, Setting};
use crate::contract::proxy::{Rules, may_be_called, shown};
use crate::policy::Vertex;

/// What was found.
#[derive(Default)]
pub(super) struct Beyond {
    /// Values that the proxy does not let through.
    pub(super) problems: Findings,
    /// Values that nobody can read yet.
    pub(super) unseen: Findings,
}

/// Everything that the served containers would ask for in vain.
pub(super) fn beyond(resulting: Resulting<'_, '_>, vertex: &Vertex, rules: &Rules) -> Beyond {
    let mut found = Beyond::default();
    for (container, environment) in resulting.served() {
        for (name, judged) in judged(container, &environment, vertex) {
            if let Some(value) = environment.known(&name) {
                found.judge(container.name(), &name, value, judged, rules);
            }
        }
    }
    found
}

impl Beyond {
    fn judge(&mut self, container: &str, name: &str, value: &Known<'_>, judged: Judged, rules: &Rules) {
        match value {
            Known::Text(text) if judged.is_allowed(rules, text.trim()) => {}
            Known::Text(_) => {
                let allowed = judged.describe(rules);
                let problem = format!(
                    "container {container:?} sets {name} to what access: Proxy does not let through: {allowed}; remove it from the pod, or allow it in the policy"
                );
                self.problems.push(Finding::conflict(Some(container), name, problem));
            }
            Known::Opaque { .. } => {
                let allowed = judged.describe(rules);
                let warning = format!(
                    "container {container} takes {name} from what cannot be read at admission; its calls are refused unless {allowed}"
                );
                let warning = Finding::new(Class::Unseen, Some(container), name, warning);
                self.unseen.push(warning);
            }
        }
    }
}

/// The variables that decide what is called, but for those that we render: a policy that rendered anything else was refused.
fn judged(container: &ContainerDraft<'_>, environment: &Environment<'_>, vertex: &Vertex) -> Vec<(String, Judged)> {
    let settings = Judged::SETTINGS.into_iter().flat_map(|(setting, judged)| {
        let read = setting
            .variables()
            .filter(|variable| variable.is_read_by(&vertex.clients));
        read.map(move |variable| (variable.name.to_owned(), judged))
    });
    let mut all: Vec<(String, Judged)> = settings.filter(|(name, _)| !container.is_rendered(name)).collect();
    let mut clients = vertex.clients.iter();
    if clients.any(|client| MODEL_REGION_CLIENTS.contains(client)) {
        all.extend(OTHER_MODELS.iter().map(|name| ((*name).to_owned(), Judged::Model)));
    }
    let of_models = environment.positions_of(|name| name.starts_with(MODEL_REGION_PREFIX));
    all.extend(of_models.into_keys().map(|name| (name, Judged::Region)));
    all
}

/// What the proxy judges of a setting.
#[derive(Clone, Copy)]
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

    fn is_allowed(self, rules: &Rules, value: &str) -> bool {
        match self {
            Self::Project => value == rules.project.as_str(),
            Self::Region => rules.regions.iter().any(|region| region.as_str() == value),
            Self::Model => may_be_called(value, &rules.models),
        }
    }

    fn describe(self, rules: &Rules) -> String {
        match self {
            Self::Project => format!("the project is {} (vertex.project)", rules.project),
            Self::Region => format!("the location is one of {} (proxy.regions)", shown(&rules.regions)),
            Self::Model => format!("the model is one of {} (proxy.models)", shown(&rules.models)),
        }
    }
}
