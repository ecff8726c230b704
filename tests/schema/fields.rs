//! Every field of a policy is one that a golden case sets: what it does to a pod is written down, and a new field that nobody
//! finished is named here.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use support::golden::Case;
use vertex_injector_core::api::crds;
use vertex_injector_core::manifest;

#[test]
fn every_field_of_a_policy_is_set_in_a_golden_case() {
    let mut known = BTreeSet::new();
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        fields(schema, "spec", &mut known);
    }
    assert!(known.len() > 100);
    let mut set = BTreeSet::new();
    for case in Case::all() {
        let policies = fs::read_to_string(case.directory.join("policy.yaml")).unwrap();
        for policy in manifest::documents(&policies).unwrap() {
            used(&policy["spec"], "spec", &mut set);
        }
    }
    let missing: Vec<_> = known.difference(&set).collect();
    assert!(missing.is_empty(), "no golden case has a policy that sets {missing:#?}");
}

/// The paths of all fields that a schema has, lists as their items.
fn fields(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    if let Some(items) = schema.get("items") {
        fields(items, path, all);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(schema, &path, all);
        all.insert(path);
    }
}

/// The paths of all fields that an object has, lists as their items.
fn used(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    all.insert(path.to_owned());
    match value {
        Value::Array(items) => items.iter().for_each(|item| used(item, path, all)),
        Value::Object(object) => object
            .iter()
            .for_each(|(name, value)| used(value, &format!("{path}.{name}"), all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
