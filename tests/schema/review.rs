//! What the API server is told when it asks about a policy.

use serde_json::{Value, json};
use support::{cluster_policy, injection_policy};
use vertex_injector_core::operator::Operator;
use vertex_injector_core::validation::{Judgement, Outcome, review};

/// The lists of an operator.
pub(crate) fn operator() -> Operator {
    serde_json::from_value(json!({
        "sidecarImages": ["registry.example.com/acme/mcp-*", "ghcr.io/acme/github-mcp:1.0", "*/open/*:v?"],
        "presetImages": {"github": "ghcr.io/acme/github-mcp:1.0"},
        "credentialHosts": ["tokens.example.com", "tokens.agents.svc:8080"],
        "endpointHosts": ["psc.example.com", "proxy.example.com:8443"],
        "apiServerAudiences": ["https://kubernetes.default.svc", "https://issuer.example.com/", "api"],
        "agentSelectors": [],
    }))
    .unwrap()
}

/// The `response` to a review.
pub(crate) fn answer(operation: &str, object: &Value) -> Value {
    let review = review(&asked(operation, object), &operator()).unwrap();
    let answer: Value = serde_json::from_slice(&review.response).unwrap();
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    answer["response"].clone()
}

fn asked(operation: &str, object: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "operation": operation, "name": "case", "namespace": "default", "object": object,
            "kind": {"group": "vertex-injector.dev", "version": "v1alpha1", "kind": object["kind"]},
        },
    });
    review.to_string().into_bytes()
}

/// A policy with this many variables, each of them wrong.
fn wrong_variables(count: usize) -> Value {
    let env: Vec<Value> = (0..count)
        .map(|i| json!({"name": format!("VERTEX_INJECTOR_{i}"), "value": "x"}))
        .collect();
    injection_policy("case", &json!({ "env": env }))
}

#[test]
fn a_bad_policy_is_refused_in_the_words_of_validate_also_when_it_is_changed() {
    let spec = json!({"env": [{"name": "ANTHROPIC_BASE_URL", "value": "x"}], "podVolumes": ["vertex-injector-x"], "isolatoin": "None"});
    for object in [injection_policy("case", &spec), cluster_policy("case", &spec)] {
        let words = Judgement::of(&object, "default", &operator()).errors.to_string();
        for field in ["spec.env[0].name: ", "spec.podVolumes[0]: ", "spec.isolatoin: "] {
            assert!(words.contains(field), "{words}");
        }
        for operation in ["CREATE", "UPDATE"] {
            let answer = answer(operation, &object);
            assert_eq!(answer["allowed"], false);
            assert_eq!(
                answer["status"],
                json!({"code": 422, "reason": "Invalid", "message": words})
            );
            assert_eq!(answer["auditAnnotations"], json!({"outcome": "refused"}));
        }
    }
}

#[test]
fn more_errors_than_the_api_server_passes_on_are_counted() {
    let answer = answer("CREATE", &wrong_variables(64));
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.len() < 4100, "{}", message.len());
    let (shown, more) = message.rsplit_once("; and ").unwrap();
    let shown = shown.matches("; spec.env").count() + 1;
    assert_eq!(more, format!("{} more", 64 - shown));
    assert!(shown > 20, "{message}");
}

#[test]
fn a_good_policy_is_accepted_with_what_its_author_should_know() {
    let key = json!({"identity": {"serviceAccountKey": {"secretName": "key", "key": "key.json"}}});
    let accepted = answer("CREATE", &injection_policy("case", &key));
    assert_eq!(accepted["allowed"], true, "{accepted}");
    let notes = Judgement::of(&injection_policy("case", &key), "default", &operator()).notes;
    assert!(!notes.is_empty());
    assert_eq!(accepted["warnings"], json!(notes));
    assert_eq!(accepted["auditAnnotations"], json!({"outcome": "accepted"}));

    let mut narrow = operator();
    narrow.agent_selectors =
        serde_json::from_value(json!([{"name": "a", "objectSelector": {"matchLabels": {"a": "b"}}}])).unwrap();
    let elsewhere = injection_policy(
        "case",
        &json!({"agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}]}),
    );
    let review = review(&asked("CREATE", &elsewhere), &narrow).unwrap();
    assert_eq!(review.outcome, Outcome::Accepted);
    let response = String::from_utf8(review.response).unwrap();
    assert!(
        response.contains("the API server does not send pods of spec.agents[0] to the webhook"),
        "{response}"
    );
}

#[test]
fn what_nobody_will_use_is_not_looked_at() {
    let bad = wrong_variables(1);
    for operation in ["DELETE", "CONNECT"] {
        assert_eq!(answer(operation, &bad)["allowed"], true, "{operation}");
    }
    let mut pod = bad.clone();
    pod["kind"] = "Pod".into();
    assert_eq!(answer("CREATE", &pod)["allowed"], true);
    let mut status: Value = serde_json::from_slice(&asked("UPDATE", &bad)).unwrap();
    status["request"]["subResource"] = "status".into();
    let review = review(status.to_string().as_bytes(), &operator()).unwrap();
    assert_eq!((review.outcome, review.errors), (Outcome::Ignored, 0));
}

#[test]
fn a_review_without_an_object_is_refused_and_no_review_is_none() {
    let answer = answer("CREATE", &json!(null));
    assert_eq!(answer["allowed"], true, "a review of no kind of ours");
    let mut empty: Value = serde_json::from_slice(&asked("CREATE", &injection_policy("case", &json!({})))).unwrap();
    empty["request"]["object"] = Value::Null;
    let refused = review(empty.to_string().as_bytes(), &operator()).unwrap();
    assert_eq!(refused.outcome, Outcome::Refused);
    assert!(review(b"{}", &operator()).is_err());
}
