//! Settings, not variables: each setting is resolved once per container and rendered into all of its variables.

use super::draft::{ContainerDraft, Notes};
use super::env::Known;
use super::finding::{Class, Finding};
use crate::api::{Conflicts, OnValue};
use crate::clients::{Form, MODEL_REGION_PREFIX, Setting, Variable};
use crate::policy::{Vertex, render};
use serde_json::Value;

/// Where the agent's calls go, when a broker has a say in it.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The proxy's URL.
    pub(super) proxy: Option<String>,
    /// Whether a route of the pod's own never stays.
    pub(super) imposed: bool,
}

/// Why nobody can say what a value will be.
const UNREADABLE: &str =
    "to what cannot be read at admission (a valueFrom, a reference that only the kubelet resolves, or very long ones)";

/// Plans every setting of the policy in one chosen container.
pub(super) fn plan_settings(
    target: &mut ContainerDraft<'_>,
    vertex: &Vertex,
    route: &Route,
    conflicts: &Conflicts,
    notes: &mut Notes,
) {
    for &setting in Setting::ALL {
        let endpoint = setting == Setting::Endpoint;
        let proxy = route.proxy.as_deref().filter(|_| endpoint);
        let field = if proxy.is_some() {
            "access: Proxy"
        } else {
            setting.field()
        };
        let rule = Rule::of(setting, conflicts);
        let on_value = match rule.on_value {
            OnValue::Keep if endpoint && route.imposed => OnValue::Override,
            other => other,
        };
        if let Some(value) = proxy.or_else(|| vertex.value(setting)) {
            let rule = Rule { on_value, ..rule };
            plan_setting(target, (setting, field), value, vertex, rule, notes);
        }
    }
    let on_value = conflicts.values;
    for (model, region) in &vertex.model_regions {
        let name = format!("{MODEL_REGION_PREFIX}{model}");
        plan_variable(target, &name, render::literal(&name, region.as_str()), on_value, notes);
    }
}

/// What gives way, and the field that says so.
#[derive(Debug, Clone, Copy)]
struct Rule {
    on_value: OnValue,
    field: &'static str,
}

impl Rule {
    /// The rule for variables that carry no setting.
    const fn of_values(on_value: OnValue) -> Self {
        let field = "conflicts.values";
        Self { on_value, field }
    }

    /// The rule for the variables of a setting.
    fn of(setting: Setting, conflicts: &Conflicts) -> Self {
        let (on_value, own) = if setting.is_switch() {
            (
                conflicts.of_switches(),
                conflicts.switches.map(|_| "conflicts.switches"),
            )
        } else if setting.is_model() {
            (conflicts.of_models(), conflicts.models.map(|_| "conflicts.models"))
        } else {
            (conflicts.values, None)
        };
        let values = Self::of_values(on_value);
        Self {
            field: own.unwrap_or(values.field),
            ..values
        }
    }
}

/// Plans one variable of its own, given as its whole entry, under the rule for values.
pub(super) fn plan_variable(
    target: &mut ContainerDraft<'_>,
    name: &str,
    entry: Value,
    on_value: OnValue,
    notes: &mut Notes,
) {
    let foreign = is_foreign(target, name, &entry);
    match on_value {
        OnValue::Keep if foreign => note_kept(target, &[name], "env", Rule::of_values(on_value), notes),
        OnValue::Deny if foreign => deny_differing(target, &[name], "env", Rule::of_values(on_value), notes),
        _ => target.set_env(name, entry, notes),
    }
}

/// Plans that a variable of the pod goes unless it is this entry: it would win over the policy's identity.
pub(super) fn plan_removal(
    target: &mut ContainerDraft<'_>,
    name: &str,
    entry: &Value,
    on_value: OnValue,
    notes: &mut Notes,
) {
    if !is_foreign(target, name, entry) {
        return;
    }
    match on_value {
        OnValue::Keep => note_kept(target, &[name], "identity", Rule::of_values(on_value), notes),
        OnValue::Deny => deny_differing(target, &[name], "identity", Rule::of_values(on_value), notes),
        OnValue::Override => target.remove_env(name),
    }
}

/// Whether the pod itself gives a variable another value than this entry.
pub(super) fn is_foreign(target: &ContainerDraft<'_>, name: &str, entry: &Value) -> bool {
    !target.is_previous(name) && target.environment.known(name).is_some() && !target.holds(name, entry)
}

/// Whether the switches of the pod, as they stand, say off; an error when they disagree or cannot be read.
pub(super) fn switched_off(
    target: &ContainerDraft<'_>,
    vertex: &Vertex,
    conflicts: &Conflicts,
) -> Result<Option<&'static str>, Finding> {
    let field = field_of_switches(conflicts);
    let (mut on, mut off) = (None, None);
    for variable in given(target, Setting::Switch, vertex) {
        match target.environment.known(variable.name) {
            Some(Known::Text(text)) if variable.says_on(text) => on = Some(variable.name),
            Some(Known::Text(_)) => off = Some(variable.name),
            _ => {
                let problem = format!(
                    "container {:?} sets {} {UNREADABLE}; give it a plain value, or set {field}: Override in the policy",
                    target.name(),
                    variable.name
                );
                return Err(Finding::conflict(Some(target.name()), variable.name, problem));
            }
        }
    }
    match (on, off) {
        (Some(on), Some(off)) => {
            let problem = format!(
                "container {:?} switches Vertex on with {on} and off with {off}; make them agree, or set {field}: Override in the policy",
                target.name()
            );
            Err(Finding::conflict(Some(target.name()), on, problem))
        }
        _ => Ok(off),
    }
}

/// The field that says what becomes of a pod's own switches.
pub(super) fn field_of_switches(conflicts: &Conflicts) -> &'static str {
    Rule::of(Setting::Switch, conflicts).field
}

/// The variables of a setting that the pod itself gives a value, among those that the clients read.
fn given<'d>(
    target: &'d ContainerDraft<'_>,
    setting: Setting,
    vertex: &'d Vertex,
) -> impl Iterator<Item = &'static Variable> + 'd {
    setting.variables().filter(|variable| {
        variable.is_read_by(&vertex.clients)
            && !target.is_previous(variable.name)
            && target.environment.known(variable.name).is_some()
    })
}

fn plan_setting(
    target: &mut ContainerDraft<'_>,
    (setting, field): (Setting, &str),
    value: &str,
    vertex: &Vertex,
    rule: Rule,
    notes: &mut Notes,
) {
    let given: Vec<&Variable> = given(target, setting, vertex).collect();
    let differing: Vec<&'static str> = given
        .iter()
        .filter(|variable| !agrees(target, variable, value))
        .map(|variable| variable.name)
        .collect();
    // Variables that no client needs set, but that an earlier injection had to replace: they stay and agree.
    let earlier: Vec<&'static str> = setting
        .variables()
        .map(|variable| variable.name)
        .filter(|name| target.is_previous(name) && target.environment.known(name).is_some())
        .collect();
    match rule.on_value {
        OnValue::Deny if !differing.is_empty() => deny_differing(target, &differing, field, rule, notes),
        OnValue::Keep if let Some((first, others)) = given.split_first() => {
            match references_to(target, setting, (first, others), vertex, rule) {
                Ok(entries) => {
                    for (name, entry) in entries {
                        target.set_env(name, entry, notes);
                    }
                    if !differing.is_empty() {
                        note_kept(target, &differing, field, rule, notes);
                    }
                }
                Err(problem) => notes.problems.push(problem),
            }
        }
        // Nothing of the pod's own stands in the way, or it gives way.
        _ => {
            for variable in setting.variables() {
                let name = variable.name;
                let replaces = differing.contains(&name) || (earlier.contains(&name) && variable.set_for.is_empty());
                if variable.is_set_for(&vertex.clients) || replaces {
                    let entry = render::literal(variable.name, &variable.render(value));
                    // An equal value of the pod's own stays as it is written, `$(…)` and all.
                    if differing.contains(&variable.name) || !given.iter().any(|own| own.name == variable.name) {
                        target.set_env(variable.name, entry, notes);
                    }
                }
            }
        }
    }
}

/// The pod's value becomes the setting's: the entries of the other variables, which refer to it.
fn references_to(
    target: &ContainerDraft<'_>,
    setting: Setting,
    (first, others): (&'static Variable, &[&'static Variable]),
    vertex: &Vertex,
    rule: Rule,
) -> Result<Vec<(&'static str, Value)>, Finding> {
    let (name, rule) = (target.name(), rule.field);
    let problem = |variable: &Variable, text: String| Finding::conflict(Some(name), variable.name, text);
    if let Some(other) = others.iter().find(|other| !same(target, first, other)) {
        return Err(problem(
            other,
            format!(
                "container {name:?} gives {} and {} different values, and both mean {}; make them agree, or set {rule}: Override in the policy",
                first.name,
                other.name,
                setting.field()
            ),
        ));
    }
    let optional = [first].into_iter().chain(others.iter().copied()).find(|variable| {
        matches!(
            target.environment.known(variable.name),
            Some(Known::Opaque { optional: true, .. })
        )
    });
    if let Some(variable) = optional {
        return Err(problem(
            variable,
            format!(
                "container {name:?} takes {} from an optional valueFrom, which may yield nothing; make it not optional, give it a value, or set {rule}: Override in the policy",
                variable.name
            ),
        ));
    }
    let known = match target.environment.known(first.name) {
        Some(Known::Text(text)) => Some(root(first, text)),
        _ => None,
    };
    let mut entries = Vec::new();
    for variable in setting
        .variables()
        .filter(|variable| variable.is_set_for(&vertex.clients))
    {
        if first.name == variable.name || others.iter().any(|own| own.name == variable.name) {
            continue;
        }
        let reference =
            variable.form == first.form && matches!(first.form, Form::Plain | Form::Url(_)) && target.json.is_none();
        let text = match (known, variable.form) {
            (_, Form::On(_)) => variable.render(""),
            _ if reference => format!("$({})", first.name),
            (Some(known), _) => variable.render(known),
            (None, _) => {
                return Err(problem(
                    first,
                    format!(
                        "container {name:?} sets {} {UNREADABLE}, so {} cannot be derived from it; give it a plain value, or set {rule}: Override in the policy",
                        first.name, variable.name
                    ),
                ));
            }
        };
        entries.push((variable.name, render::literal(variable.name, &text)));
    }
    Ok(entries)
}

/// Whether a variable of the pod already says what the policy says.
pub(super) fn agrees(target: &ContainerDraft<'_>, variable: &Variable, value: &str) -> bool {
    match target.environment.known(variable.name) {
        Some(Known::Text(text)) => match variable.form {
            Form::On(_) => variable.says_on(text),
            _ => root(variable, text) == root(variable, &variable.render(value)),
        },
        _ => false,
    }
}

/// Whether two variables of the pod say the same, as far as that can be known.
fn same(target: &ContainerDraft<'_>, one: &Variable, other: &Variable) -> bool {
    match (target.environment.known(one.name), target.environment.known(other.name)) {
        (Some(Known::Text(a)), Some(Known::Text(b))) => match (one.form, other.form) {
            (Form::On(_), Form::On(_)) => one.says_on(a) == other.says_on(b),
            _ => root(one, a) == root(other, b),
        },
        (Some(Known::Opaque { source: a, .. }), Some(Known::Opaque { source: b, .. })) => a == b && !a.is_empty(),
        _ => false,
    }
}

/// The setting's value in a variable's text.
fn root<'t>(variable: &Variable, text: &'t str) -> &'t str {
    let text = text.trim();
    match variable.form {
        Form::Url(path) => {
            let text = text.trim_end_matches('/');
            text.strip_suffix(path).unwrap_or(text)
        }
        _ => text,
    }
}

fn note_kept(target: &ContainerDraft<'_>, variables: &[&str], field: &str, rule: Rule, notes: &mut Notes) {
    let is_read = |name: &&str| matches!(target.environment.known(name), Some(Known::Text(_)));
    let differs = if variables.iter().any(is_read) {
        "differs"
    } else {
        "cannot be read at admission and may differ"
    };
    let (name, variables) = (target.name(), variables.join(", "));
    let text = format!(
        "container {name} keeps its own {variables}, which {differs} from the policy's {field} ({}: Keep)",
        rule.field
    );
    notes.warn(Class::Kept, name, &variables, text);
}

fn deny_differing(target: &ContainerDraft<'_>, variables: &[&str], field: &str, rule: Rule, notes: &mut Notes) {
    let (name, variables) = (target.name(), variables.join(", "));
    let text = format!(
        "container {name:?} sets {variables} to another value than the policy's {field}, and {} is Deny; remove it from the pod, or make it agree",
        rule.field
    );
    notes.deny(Some(name), &variables, text);
}
