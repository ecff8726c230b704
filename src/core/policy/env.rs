//! Variables that a policy sets: none that the injector itself sets, no literal secret.

use super::errors::{Checked, Errors, all, exactly_one};
use super::render::Needed;
use super::text::{ObjectName, check_field_path};
use crate::api::{EnvVar, KeySelector, ValueSource};
use crate::reserved;
use serde_json::Value;

/// A variable of the policy's own.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub source: Source,
    /// The whole entry of a container.
    pub entry: Value,
}

/// Where the value of a variable comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// It stands in the policy.
    Literal,
    /// A key of a ConfigMap, and whether the pod starts without it.
    ConfigMap(ObjectName, bool),
    /// A key of a Secret, and whether the pod starts without it.
    Secret(ObjectName, bool),
    /// A field of the pod.
    Field,
}

/// Whose variables they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The agents'.
    OfAgents,
    /// A credential sidecar's, whose image and command are the policy's as well.
    OfSidecars,
}

impl Variable {
    /// What the pod waits for because of it.
    pub fn needed(&self) -> Option<Needed> {
        match &self.source {
            Source::Literal | Source::Field => None,
            Source::ConfigMap(name, optional) => Some(Needed::config_map(name, *optional)),
            Source::Secret(name, optional) => Some(Needed::secret(name, *optional)),
        }
    }

    /// The Secret that its value comes from.
    pub fn secret(&self) -> Option<&str> {
        match &self.source {
            Source::Literal | Source::Field | Source::ConfigMap(..) => None,
            Source::Secret(name, _) => Some(name.as_str()),
        }
    }
}

pub(super) fn compile(env: &[EnvVar], names: Names, field: &str, errors: &mut Errors) -> Checked<Vec<Variable>> {
    let variables = env.iter().enumerate().map(|(i, var)| {
        let field = format!("{field}[{i}]");
        if env.iter().take(i).any(|earlier| earlier.name == var.name) {
            errors.add(format!("{field}.name"), format!("{:?} occurs twice", var.name));
        }
        check_name(&var.name, names, &format!("{field}.name"), errors);
        variable(var, &field, errors)
    });
    all(variables)
}

pub(super) fn check_name(name: &str, names: Names, field: &str, errors: &mut Errors) {
    let because = match names {
        Names::OfAgents => reserved::variable(name),
        Names::OfSidecars => reserved::variable_of_sidecar(name),
    };
    if let Some(because) = because {
        errors.add(field, format!("{name:?} may not be set by a policy: {because}"));
    }
}

fn variable(var: &EnvVar, field: &str, errors: &mut Errors) -> Checked<Variable> {
    let EnvVar {
        name,
        value,
        value_from,
    } = var;
    if value.as_deref().is_some_and(|value| !value.is_empty()) && reserved::is_secret(name) {
        errors.add(
            format!("{field}.value"),
            format!("{name:?} looks like a secret, and a literal is readable by everyone who may read the policy or the pod; use valueFrom.secretKeyRef"),
        );
    }
    let literal = value.as_ref().map(|_| Ok(Source::Literal));
    let from = value_from
        .as_ref()
        .map(|from| source(from, &format!("{field}.valueFrom"), errors));
    let source = exactly_one(
        [literal, from],
        field,
        "exactly one of value and valueFrom must be set",
        errors,
    )?;
    Ok(Variable {
        name: name.clone(),
        source,
        entry: serde_json::to_value(var).unwrap_or_default(),
    })
}

fn source(from: &ValueSource, field: &str, errors: &mut Errors) -> Checked<Source> {
    let ValueSource {
        config_map_key_ref,
        secret_key_ref,
        field_ref,
    } = from;
    let mut object = |reference: &KeySelector, key: &str| {
        let name = ObjectName::parse(&reference.name, &format!("{field}.{key}.name"), errors);
        name.map(|name| (name, reference.optional))
    };
    let config_map = config_map_key_ref
        .as_ref()
        .map(|reference| object(reference, "configMapKeyRef"));
    let secret = secret_key_ref
        .as_ref()
        .map(|reference| object(reference, "secretKeyRef"));
    if let Some(reference) = field_ref {
        check_field_path(
            &reference.field_path,
            true,
            &format!("{field}.fieldRef.fieldPath"),
            errors,
        );
    }
    exactly_one(
        [
            config_map.map(|found| found.map(|(name, optional)| Source::ConfigMap(name, optional))),
            secret.map(|found| found.map(|(name, optional)| Source::Secret(name, optional))),
            field_ref.as_ref().map(|_| Ok(Source::Field)),
        ],
        field,
        "exactly one of configMapKeyRef, secretKeyRef and fieldRef must be set",
        errors,
    )
}
