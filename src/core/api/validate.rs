//! The checks of a policy, the same for webhook and command line. The API server runs those that CEL can express,
//! the chart's ValidatingAdmissionPolicy those that need the operator's lists; here is the whole.

mod access;
mod env;
mod identity;
mod paths;
mod pieces;
mod sidecars;

use super::{Access, Agent, FieldErrors, OpenShell, PolicySpec, Requirement, Selector};
use crate::clients::{MODEL_REGION_CLIENTS, MODEL_REGION_PREFIX, Setting};
use crate::operator::Operator;
use std::collections::HashSet;

/// Everything that makes a policy unusable, with the field of each.
pub fn errors(spec: &PolicySpec, namespaces: Option<&Selector>, operator: &Operator) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if let Some(selector) = namespaces {
        check_selector(selector, "spec.namespaceSelector", &mut errors);
    }
    for (i, agent) in spec.agents.iter().enumerate() {
        check_agent(agent, &format!("spec.agents[{i}]"), &mut errors);
    }
    check_vertex(spec, operator, &mut errors);
    access::check(spec, &mut errors);
    identity::check(spec, operator, &mut errors);
    env::check(spec, &mut errors);
    pieces::check(spec, operator, &mut errors);
    sidecars::check(spec, operator, &mut errors);
    paths::check(spec, &mut errors);
    check_open_shell(spec, &mut errors);
    errors
}

/// Whether `name` is a DNS subdomain, as names of ConfigMaps, Secrets and ServiceAccounts are (RFC 1123).
fn is_object_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Notes `field` when `name` is not the name of an object.
fn check_object_name(name: &str, field: &str, errors: &mut FieldErrors) {
    if !is_object_name(name) {
        errors.add(
            field,
            format!("{name:?} is not a name: lower-case letters, digits, '-' and '.', as in DNS"),
        );
    }
}

fn check_agent(agent: &Agent, field: &str, errors: &mut FieldErrors) {
    match &agent.pod_selector {
        Some(selector) => check_selector(selector, &format!("{field}.podSelector"), errors),
        None if agent.service_accounts.is_empty() => errors.add(
            field,
            "an agent needs podSelector, serviceAccounts or both; podSelector: {} selects every pod",
        ),
        None => {}
    }
    for (i, name) in agent.service_accounts.iter().enumerate() {
        check_object_name(name, &format!("{field}.serviceAccounts[{i}]"), errors);
    }
}

fn check_selector(selector: &Selector, field: &str, errors: &mut FieldErrors) {
    for (key, value) in &selector.match_labels {
        if !is_label_key(key) {
            errors.add(
                format!("{field}.matchLabels"),
                format!("{key:?} is not a label key: [PREFIX/]NAME"),
            );
        }
        if !is_label_value(value) {
            errors.add(format!("{field}.matchLabels[{key}]"), label_value_problem(value));
        }
    }
    for (i, requirement) in selector.match_expressions.iter().enumerate() {
        check_requirement(requirement, &format!("{field}.matchExpressions[{i}]"), errors);
    }
}

fn check_requirement(requirement: &Requirement, field: &str, errors: &mut FieldErrors) {
    use super::Operator::{DoesNotExist, Exists, In, NotIn};
    if !is_label_key(&requirement.key) {
        errors.add(
            format!("{field}.key"),
            format!("{:?} is not a label key: [PREFIX/]NAME", requirement.key),
        );
    }
    match requirement.operator {
        In | NotIn if requirement.values.is_empty() => {
            errors.add(format!("{field}.values"), "required with In and NotIn");
        }
        Exists | DoesNotExist if !requirement.values.is_empty() => {
            errors.add(format!("{field}.values"), "not allowed with Exists and DoesNotExist");
        }
        _ => {}
    }
    for (i, value) in requirement.values.iter().enumerate() {
        if !is_label_value(value) {
            errors.add(format!("{field}.values[{i}]"), label_value_problem(value));
        }
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_label_name(name),
        None => is_label_name(key),
    }
}

fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_label_name(value)
}

fn is_label_name(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn label_value_problem(value: &str) -> String {
    format!(
        "{value:?} is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    )
}

fn check_vertex(spec: &PolicySpec, operator: &Operator, errors: &mut FieldErrors) {
    let Some(vertex) = &spec.vertex else { return };
    if spec.identity.is_none() {
        errors.add(
            "spec.identity",
            "vertex needs an identity: set identity.workloadIdentityFederation, identity.gkeWorkloadIdentity or identity.serviceAccountKey",
        );
    }
    for setting in Setting::ALL {
        let read = setting.variables().any(|variable| variable.is_set_for(&vertex.clients));
        let switch = matches!(setting, Setting::Switch) || setting.field() == "vertex.clients";
        // There it is the broker's.
        let elsewhere = setting == Setting::Endpoint && spec.access == Access::Proxy;
        if setting.value(vertex).is_some() && !read && !switch && !elsewhere {
            let clients: HashSet<_> = setting.variables().flat_map(|variable| variable.set_for).collect();
            let mut clients: Vec<_> = clients.into_iter().map(|client| format!("{client:?}")).collect();
            clients.sort();
            errors.add(
                format!("spec.{}", setting.field()),
                format!(
                    "none of the chosen clients reads it; it is read by {}",
                    clients.join(", ")
                ),
            );
        }
    }
    if !vertex.model_regions.is_empty()
        && !vertex
            .clients
            .iter()
            .any(|client| MODEL_REGION_CLIENTS.contains(client))
    {
        errors.add(
            "spec.vertex.modelRegions",
            format!("none of the chosen clients reads {MODEL_REGION_PREFIX}…; it is read by {MODEL_REGION_CLIENTS:?}"),
        );
    }
    for model in vertex.model_regions.keys() {
        let suffix = model
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !suffix || model.is_empty() || model.starts_with('_') {
            errors.add(
                "spec.vertex.modelRegions",
                format!("{model:?} is not the suffix of a variable {MODEL_REGION_PREFIX}…, such as HAIKU_4_5"),
            );
        }
    }
    if let Some(endpoint) = &vertex.endpoint {
        identity::check_endpoint(
            endpoint,
            "spec.vertex.endpoint",
            identity::is_vertex_host,
            operator,
            errors,
        );
    }
}

fn check_open_shell(spec: &PolicySpec, errors: &mut FieldErrors) {
    if spec.open_shell != OpenShell::PatchUserEnvironment {
        return;
    }
    if spec
        .identity
        .as_ref()
        .is_some_and(|identity| identity.gke_workload_identity.is_some())
    {
        errors.add(
            "spec.openShell",
            "PatchUserEnvironment needs a credential file, and gkeWorkloadIdentity has none: OpenShell blocks the metadata server; use workloadIdentityFederation",
        );
    }
    if !spec.sidecars.is_empty() {
        errors.add(
            "spec.openShell",
            "PatchUserEnvironment and sidecars exclude each other: a process in the sandbox has another loopback",
        );
    }
}
