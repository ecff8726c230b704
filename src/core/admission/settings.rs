//! Settings, not variables: each setting is resolved once per container and rendered into all of its variables.

use super::draft::{ContainerDraft, Draft};
use super::env::Known;
use super::render;
use crate::api::{OnValue, Vertex};
use crate::clients::{Form, MODEL_REGION_CLIENTS, MODEL_REGION_PREFIX, Setting, Variable};

/// Where the agent's calls go, when a broker has a say in it.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The proxy's URL.
    pub(super) proxy: Option<String>,
    /// Whether a route of the pod's own never stays.
    pub(super) imposed: bool,
}

/// Plans every setting of the policy in one chosen container.
pub(super) fn plan(draft: &mut Draft<'_>, container: usize, vertex: &Vertex, route: &Route, on_value: OnValue) {
    for setting in Setting::ALL {
        let endpoint = setting == Setting::Endpoint;
        let proxy = route.proxy.as_deref().filter(|_| endpoint);
        let field = if proxy.is_some() {
            "access: Proxy"
        } else {
            setting.field()
        };
        let on_value = match on_value {
            OnValue::Keep if endpoint && route.imposed => OnValue::Override,
            other => other,
        };
        if let Some(value) = proxy.or_else(|| setting.value(vertex)) {
            plan_setting(draft, container, (setting, field), value, vertex, on_value);
        }
    }
    if vertex
        .clients
        .iter()
        .any(|client| MODEL_REGION_CLIENTS.contains(client))
    {
        for (model, region) in &vertex.model_regions {
            plain(
                draft,
                container,
                &render::literal(&format!("{MODEL_REGION_PREFIX}{model}"), region),
                on_value,
            );
        }
    }
}

/// Plans one variable of its own under the rule for values.
pub(super) fn plain(draft: &mut Draft<'_>, container: usize, entry: &serde_json::Value, on_value: OnValue) {
    let name = entry
        .get("name")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    let foreign = !target.is_previous(name) && target.environment.known(name).is_some() && !target.holds(name, entry);
    match on_value {
        OnValue::Keep if foreign => keeps(draft, container, &[name], "env"),
        OnValue::Deny if foreign => {
            let problem = differs(target, &[name], "env");
            draft.problems.push(problem);
        }
        _ => draft.set_env(container, name, entry.clone()),
    }
}

/// Whether the switches of the pod, as they stand, say off; an error when they disagree or cannot be read.
pub(super) fn switched_off(target: &ContainerDraft<'_>, vertex: &Vertex) -> Result<Option<&'static str>, String> {
    let (mut on, mut off) = (None, None);
    for variable in given(target, Setting::Switch, vertex) {
        match target.environment.known(variable.name) {
            Some(Known::Text(text)) if variable.says_on(text) => on = Some(variable.name),
            Some(Known::Text(_)) => off = Some(variable.name),
            _ => {
                return Err(format!(
                    "container {:?} sets {} to what cannot be read at admission (a valueFrom, or very long references); give it a plain value, or set conflicts.values: Override in the policy",
                    target.name(),
                    variable.name
                ));
            }
        }
    }
    match (on, off) {
        (Some(on), Some(off)) => Err(format!(
            "container {:?} switches Vertex on with {on} and off with {off}; make them agree, or set conflicts.values: Override in the policy",
            target.name()
        )),
        _ => Ok(off),
    }
}

/// The variables of a setting that the pod itself gives a value, among those that the clients read.
pub(super) fn given<'d>(
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
    draft: &mut Draft<'_>,
    container: usize,
    (setting, field): (Setting, &str),
    value: &str,
    vertex: &Vertex,
    on_value: OnValue,
) {
    let Some(target) = draft.containers.get(container) else {
        return;
    };
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
    match on_value {
        OnValue::Deny if !differing.is_empty() => {
            let problem = differs(target, &differing, field);
            draft.problems.push(problem);
        }
        OnValue::Keep if !given.is_empty() => {
            if let Err(problem) = keep(draft, container, setting, &given, vertex) {
                draft.problems.push(problem);
            } else if !differing.is_empty() {
                keeps(draft, container, &differing, field);
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
                        draft.set_env(container, variable.name, entry);
                    }
                }
            }
        }
    }
}

/// The pod's value becomes the setting's; the other variables refer to it.
fn keep(
    draft: &mut Draft<'_>,
    container: usize,
    setting: Setting,
    given: &[&'static Variable],
    vertex: &Vertex,
) -> Result<(), String> {
    let Some(target) = draft.containers.get(container) else {
        return Ok(());
    };
    let Some(first) = given.first() else { return Ok(()) };
    if let Some(other) = given.iter().skip(1).find(|other| !same(target, first, other)) {
        return Err(format!(
            "container {:?} gives {} and {} different values, and both mean {}; make them agree, or set conflicts.values: Override in the policy",
            target.name(),
            first.name,
            other.name,
            setting.field()
        ));
    }
    let optional = given.iter().find(|variable| {
        matches!(
            target.environment.known(variable.name),
            Some(Known::Opaque { optional: true, .. })
        )
    });
    if let Some(variable) = optional {
        return Err(format!(
            "container {:?} takes {} from an optional valueFrom, which may yield nothing; make it not optional, give it a value, or set conflicts.values: Override in the policy",
            target.name(),
            variable.name
        ));
    }
    let known = match target.environment.known(first.name) {
        Some(Known::Text(text)) => Some(root(first, text).to_owned()),
        _ => None,
    };
    let json = target.json.is_some();
    let mut entries = Vec::new();
    for variable in setting
        .variables()
        .filter(|variable| variable.is_set_for(&vertex.clients))
    {
        if given.iter().any(|own| own.name == variable.name) {
            continue;
        }
        let reference = variable.form == first.form && matches!(first.form, Form::Plain | Form::Url(_)) && !json;
        let text = match (&known, variable.form) {
            (_, Form::On(_)) => variable.render(""),
            _ if reference => format!("$({})", first.name),
            (Some(known), _) => variable.render(known),
            (None, _) => {
                return Err(format!(
                    "container {:?} sets {} to what cannot be read at admission (a valueFrom, or very long references), so {} cannot be derived from it; give it a plain value, or set conflicts.values: Override in the policy",
                    target.name(),
                    first.name,
                    variable.name
                ));
            }
        };
        entries.push((variable.name, render::literal(variable.name, &text)));
    }
    for (name, entry) in entries {
        draft.set_env(container, name, entry);
    }
    Ok(())
}

/// Whether a variable of the pod already says what the policy says.
fn agrees(target: &ContainerDraft<'_>, variable: &Variable, value: &str) -> bool {
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

fn keeps(draft: &mut Draft<'_>, container: usize, names: &[&str], field: &str) {
    let Some(target) = draft.containers.get(container) else {
        return;
    };
    let warning = format!(
        "container {} keeps its own {}, which differs from the policy's {field} (conflicts.values: Keep)",
        target.name(),
        names.join(", ")
    );
    draft.warnings.push(warning);
}

fn differs(target: &ContainerDraft<'_>, names: &[&str], field: &str) -> String {
    format!(
        "container {:?} sets {} to another value than the policy's {field}, and conflicts.values is Deny; remove it from the pod, or make it agree",
        target.name(),
        names.join(", ")
    )
}
