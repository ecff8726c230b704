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

#[test]
fn kubectl_explain_has_a_sentence_for_every_field() {
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut silent = Vec::new();
        undescribed(schema, "", &mut silent);
        assert!(silent.is_empty(), "no description: {silent:#?}");
    }
}

/// The paths of fields that a schema says nothing about.
fn undescribed(schema: &Value, path: &str, all: &mut Vec<String>) {
    for below in ["items", "additionalProperties"] {
        if let Some(items) = schema.get(below) {
            undescribed(items, path, all);
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if schema["description"].as_str().is_none_or(str::is_empty) {
            all.push(path.clone());
        }
        undescribed(schema, &path, all);
    }
}

/// What `kubectl get` answers: how agents get there, whether they are served, and if not, why.
#[test]
fn kubectl_get_shows_the_access_and_the_reason_and_wide_the_rest() {
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let version = &crd["spec"]["versions"][0];
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let names = |wide: bool| -> Vec<&str> {
            let shown = columns.iter().filter(|column| (column["priority"] == 1) == wide);
            shown.map(|column| column["name"].as_str().unwrap()).collect()
        };
        let ours = names(false);
        let first = ours.iter().filter(|name| **name != "Overridable").copied();
        assert_eq!(
            first.collect::<Vec<_>>(),
            ["Project", "Region", "Access", "Ready", "Reason", "Age"]
        );
        assert_eq!(names(true), ["Priority", "Message"]);
        // Whoever writes no access sees what it is.
        let access = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["access"];
        assert_eq!(access["default"], "File");
    }
}
