//! A policy as the API server has it. Its definitions may be newer than this program: what it does not know of a policy may
//! restrict, so such a policy is not used without it. It still selects, and its pods are denied.

use super::policy::{Compiled, Policy, PolicyName, PolicyObject};
use crate::api::{FieldErrors, schema};
use crate::manifest::policies;
use crate::operator::Operator;
use crate::policy;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

impl Policy {
    /// Compiles a policy as the API server has it, with `apiVersion` and `kind`.
    pub fn stored(object: &Value, operator: &Operator) -> Self {
        read(object).map_or_else(|newer| newer, |policy| Self::compile(&policy, operator))
    }
}

/// Reads a whole object.
///
/// # Errors
/// When this version does not know all that it says: what becomes of it.
pub(super) fn read(object: &Value) -> Result<PolicyObject, Policy> {
    let unknown = schema::unknown_fields(object);
    match policies::typed_policy(object, "") {
        Ok(policy) if unknown.is_empty() => Ok(policy),
        Ok(_) => Err(newer(object, &unknown, FieldErrors::default())),
        Err(errors) => Err(newer(object, &unknown, errors)),
    }
}

fn newer(object: &Value, unknown: &[String], errors: FieldErrors) -> Policy {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_of_cluster = text("/kind") == "ClusterInjectionPolicy";
    // The schema says more of a value than that it cannot be read.
    let mut told = schema::check(object).err().unwrap_or_default();
    told.0.retain(|error| error.field.starts_with("spec"));
    let errors = if told.0.is_empty() { errors } else { told };
    Policy {
        name: PolicyName {
            namespace: (!is_of_cluster).then(|| text("/metadata/namespace").to_owned()),
            name: text("/metadata/name").to_owned(),
        },
        generation: object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        // What of the selection is not understood is taken for the widest.
        compiled: Arc::new(Compiled {
            overridable: !is_of_cluster || part(object, "overridable", unknown).unwrap_or_default(),
            priority: part(object, "priority", unknown).unwrap_or(i32::MAX),
            namespaces: part(object, "namespaceSelector", unknown).flatten(),
            compilation: policy::newer(errors, part(object, "agents", unknown)),
        }),
    }
}

/// A field of the spec, or its default; none when this version does not know all of it.
fn part<T: DeserializeOwned + Default>(object: &Value, name: &str, unknown: &[String]) -> Option<T> {
    let value = object
        .pointer(&format!("/spec/{name}"))
        .filter(|value| !value.is_null());
    let field = format!("spec.{name}");
    let is_within = |path: &String| { path.strip_prefix(&field) }.is_some_and(|rest| rest.starts_with(['.', '[']));
    match value {
        None => Some(T::default()),
        Some(_) if unknown.iter().any(is_within) => None,
        Some(value) => serde_json::from_value(value.clone()).ok(),
    }
}
