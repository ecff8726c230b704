//! The schema's checks without an API server say every error at once, by field, and show no secret.
#![cfg(test)]

mod fields;
mod review;
mod rules;

use serde_json::{Value, json};
use support::policy_object;
use vertex_injector_core::api::schema::{MAX_ERRORS, check};
use vertex_injector_core::manifest;

/// The object of a case in `schema/refused.yaml`.
fn object(case: &Value) -> Value {
    case.get("object")
        .cloned()
        .unwrap_or_else(|| policy_object("InjectionPolicy", "case", &case["spec"]))
}

fn errors(object: &Value) -> Vec<String> {
    match check(object) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_error_is_told_with_its_field_and_what_would_be_valid() {
    let cases = manifest::documents(include_str!("refused.yaml")).unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let expected: Vec<_> = case["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(errors(&object(&case)), expected, "{}", case["name"]);
    }
}

#[test]
fn a_policy_with_hundreds_of_errors_is_told_the_first_and_how_many_more() {
    let volumes: Vec<_> = (0..32)
        .map(|i| json!({"name": format!("v{i}"), "wrong": 1, "more": 2}))
        .collect();
    let told = errors(&policy_object(
        "InjectionPolicy",
        "case",
        &json!({ "volumes": volumes }),
    ));
    assert_eq!(told.len(), MAX_ERRORS + 1);
    assert_eq!(told.last().unwrap(), "spec: 14 more errors are not shown");
}

#[test]
fn what_is_no_object_is_told_so() {
    for wrong in [json!(null), json!([]), json!("x"), json!({})] {
        assert!(check(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn no_value_of_a_variable_or_argument_and_no_credential_is_shown() {
    let secret = "s3cr3t-canary";
    for spec in [
        json!({"env": [{"name": "A", "value": format!("{secret}\n")}]}),
        json!({"env": [{"name": "A", "value": [secret]}]}),
        json!({"agents": [{"podSelector": {}, "env": [{"name": "A", "value": {"x": secret}}]}]}),
        json!({"sidecars": [{"name": "a", "image": "i", "port": 8080, "args": [format!("{secret}{}", "x".repeat(1024))]}]}),
        json!({"identity": {"serviceAccountKey": {"secretName": "s", "key": format!("{{\"private_key\": \"{secret}\"}}")}}}),
        json!({"vertex": {"project": format!("sk-ant-{secret}"), "region": format!("ya29.{secret}"), "clients": []}}),
        json!({"identity": secret, "vertex": [secret], "agents": secret}),
    ] {
        let told = errors(&policy_object("InjectionPolicy", "case", &spec));
        assert!(!told.is_empty(), "{spec}");
        assert!(!told.join("\n").contains(secret), "{told:?}");
    }
}

#[test]
fn a_name_full_of_control_characters_cannot_reach_a_terminal() {
    let told = errors(&policy_object(
        "InjectionPolicy",
        "case",
        &json!({"\u{1b}[31mred\u{7}": 1}),
    ));
    assert_eq!(told.len(), 1);
    assert!(!told[0].contains(char::is_control), "{told:?}");
}
