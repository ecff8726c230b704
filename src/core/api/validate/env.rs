//! Which variables a policy may set: none that the injector itself sets (see [`reserved`]), no literal secret.

use crate::api::{EnvVar, FieldErrors, PolicySpec};
use crate::reserved;
use std::collections::HashMap;

pub(super) fn check(spec: &PolicySpec, errors: &mut FieldErrors) {
    check_list(&spec.env, "spec.env", errors);
    for (i, agent) in spec.agents.iter().enumerate() {
        check_list(&agent.env, &format!("spec.agents[{i}].env"), errors);
    }
    for (i, sidecar) in spec.sidecars.iter().enumerate() {
        let field = format!("spec.sidecars[{i}].env");
        check_unique(&sidecar.env, &field, errors);
        for (j, var) in sidecar.env.iter().enumerate() {
            check_shape(var, &format!("{field}[{j}]"), errors);
        }
    }
    let mut seen: HashMap<&str, String> = spec
        .env
        .iter()
        .enumerate()
        .map(|(i, var)| (var.name.as_str(), format!("spec.env[{i}]")))
        .collect();
    for (i, token) in spec.tokens.iter().enumerate() {
        let Some(name) = &token.env_name else { continue };
        let field = format!("spec.tokens[{i}].envName");
        check_name(name, &field, errors);
        if let Some(other) = seen.insert(name, field.clone()) {
            errors.add(field, format!("{name:?} is set by {other} already"));
        }
    }
}

fn check_list(env: &[EnvVar], field: &str, errors: &mut FieldErrors) {
    check_unique(env, field, errors);
    for (i, var) in env.iter().enumerate() {
        check_name(&var.name, &format!("{field}[{i}].name"), errors);
        check_shape(var, &format!("{field}[{i}]"), errors);
    }
}

fn check_unique(env: &[EnvVar], field: &str, errors: &mut FieldErrors) {
    for (i, var) in env.iter().enumerate() {
        if env.iter().take(i).any(|earlier| earlier.name == var.name) {
            errors.add(format!("{field}[{i}].name"), format!("{:?} occurs twice", var.name));
        }
    }
}

fn check_name(name: &str, field: &str, errors: &mut FieldErrors) {
    if let Some(because) = reserved::variable(name) {
        errors.add(field, format!("{name:?} may not be set by a policy: {because}"));
    }
}

fn check_shape(var: &EnvVar, field: &str, errors: &mut FieldErrors) {
    if var.value.is_some() == var.value_from.is_some() {
        errors.add(field, "exactly one of value and valueFrom must be set");
    }
    if var.value.as_deref().is_some_and(|value| !value.is_empty()) && reserved::is_secret(&var.name) {
        errors.add(
            format!("{field}.value"),
            format!("{:?} looks like a secret, and a literal is readable by everyone who may read the policy or the pod; use valueFrom.secretKeyRef", var.name),
        );
    }
    if let Some(source) = &var.value_from {
        let chosen = [
            source.config_map_key_ref.is_some(),
            source.secret_key_ref.is_some(),
            source.field_ref.is_some(),
        ];
        if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
            errors.add(
                format!("{field}.valueFrom"),
                "exactly one of configMapKeyRef, secretKeyRef and fieldRef must be set",
            );
        }
        for (reference, key) in [
            (&source.config_map_key_ref, "configMapKeyRef"),
            (&source.secret_key_ref, "secretKeyRef"),
        ] {
            if let Some(reference) = reference {
                super::check_object_name(&reference.name, &format!("{field}.valueFrom.{key}.name"), errors);
            }
        }
        if let Some(reference) = &source.field_ref {
            super::pieces::check_field_path(
                &reference.field_path,
                true,
                &format!("{field}.valueFrom.fieldRef.fieldPath"),
                errors,
            );
        }
    }
}
