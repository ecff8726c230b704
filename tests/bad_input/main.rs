//! What is wrong with a body, a pod, a policy or a file is said precisely, and without repeating what was in it.
#![cfg(test)]

mod manifests;
mod sizes;

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use vertex_injector_core::admission::{
    Decision, Namespaces, Operator, Outcome, Pod, Policy, PolicySet, Reason, Review, decide, review,
};
use vertex_injector_core::api::schema;
use vertex_injector_core::manifest;

/// What no message may repeat.
const SECRET: &str = "hunter2";

fn policies() -> PolicySet {
    let policy = manifest::policies::policy(&policy(), "team-a").expect("a policy");
    let policy = Policy::compile(&policy, &Operator::default());
    assert_eq!(policy.errors().to_string(), "");
    PolicySet::new([Arc::new(policy)], &Namespaces::new())
}

fn policy() -> Value {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "agents", "namespace": "team-a"},
        "spec": {
            "identity": {"workloadIdentityFederation": {
                "provider": "projects/123/locations/global/workloadIdentityPools/pool/providers/prov"}},
            "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
        },
    })
}

/// A pod with every field that we read.
fn full_pod() -> Value {
    let container = json!({
        "name": "agent",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "p", "subPathExpr": "", "readOnly": true}],
        "ports": [{"containerPort": 8080}],
        "securityContext": {"runAsUser": 1000},
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": 1}},
    });
    let mut setup = container.clone();
    setup["name"] = "setup".into();
    json!({
        "metadata": {
            "name": "agent-0", "generateName": "agent-",
            "labels": {"vertex-injector.dev/inject": "true"},
            "annotations": {"note": "x"},
        },
        "spec": {
            "serviceAccountName": "agent",
            "nodeSelector": {"disk": "ssd"},
            "os": {"name": "linux"},
            "securityContext": {"runAsUser": 1000, "fsGroup": 7},
            "resources": {"limits": {"cpu": "1"}},
            "containers": [container],
            "initContainers": [setup],
            "volumes": [
                {"name": "v", "configMap": {"name": "c"}},
                {"name": "w", "secret": {"secretName": "s"}},
                {"name": "x", "projected": {"defaultMode": 292, "sources": [{"serviceAccountToken": {"path": "t"}}]}},
            ],
        },
    })
}

fn review_of(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "subResource": "", "name": "agent-0", "namespace": "team-a", "dryRun": false, "object": object,
        },
    })
}

fn answered(object: &Value) -> Review {
    review(review_of(object).to_string().as_bytes(), &policies()).expect("an answer")
}

/// The message with which a body is refused.
fn refused(body: &[u8]) -> String {
    let message = review(body, &policies()).expect_err("a refusal").to_string();
    assert!(!message.contains(SECRET), "{message}");
    message
}

fn decided(pod: &Value) -> Decision {
    let json = pod.to_string();
    decide(&Pod::parse(json.as_bytes()).expect("a pod"), "team-a", &policies())
}

/// A pod of one container that asks for injection.
fn agent(container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = "agent".into();
    let labels = json!({"vertex-injector.dev/inject": "true"});
    json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}})
}

#[test]
fn a_body_that_is_no_review_is_refused_with_what_is_wrong() {
    let with = |pointer: &str, value: Value| {
        let mut review = review_of(&full_pod());
        *review.pointer_mut(pointer).expect("a field") = value;
        review.to_string().into_bytes()
    };
    let mut without_uid = review_of(&full_pod());
    without_uid["request"].as_object_mut().expect("an object").remove("uid");
    let cut_off = format!("{{\"apiVersion\": \"{SECRET}");
    let twice = br#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "a", "uid": "hunter2"}}"#;
    let two = [with("/request/uid", json!("u")), b"{}".to_vec()].concat();
    let table: [(Vec<u8>, &str); 14] = [
        (vec![], "body is not an AdmissionReview: not JSON (line 1, column 0)"),
        (
            b"hunter2".to_vec(),
            "body is not an AdmissionReview: not JSON (line 1, column 1)",
        ),
        (
            cut_off.into_bytes(),
            "body is not an AdmissionReview: not JSON (line 1, column 23)",
        ),
        (
            b"\xff\xfe{}".to_vec(),
            "body is not an AdmissionReview: not UTF-8 at byte 0",
        ),
        (
            two,
            "body is not an AdmissionReview: trailing characters after the JSON value",
        ),
        (
            b"[]".to_vec(),
            "body is not an AdmissionReview: the whole: must be an object (line 1, column 0)",
        ),
        (
            twice.to_vec(),
            "body is not an AdmissionReview: request.uid: given twice (line 1, column 94)",
        ),
        (
            b"{}".to_vec(),
            "body is not an AdmissionReview of admission.k8s.io/v1: check apiVersion and kind",
        ),
        (
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "body is not an AdmissionReview of admission.k8s.io/v1: check apiVersion and kind",
        ),
        (
            with("/kind", json!(SECRET)),
            "body is not an AdmissionReview of admission.k8s.io/v1: check apiVersion and kind",
        ),
        (with("/request", Value::Null), "the AdmissionReview has no request"),
        (
            with("/request/uid", json!("")),
            "the AdmissionReview's request has no uid",
        ),
        (
            with("/request/uid", Value::Null),
            "the AdmissionReview's request has no uid",
        ),
        (
            without_uid.to_string().into_bytes(),
            "the AdmissionReview's request has no uid",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(refused(&body), expected, "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn a_review_without_an_object_is_denied() {
    let mut without = review_of(&full_pod());
    without["request"].as_object_mut().expect("an object").remove("object");
    for body in [without, review_of(&Value::Null)] {
        let answer = review(body.to_string().as_bytes(), &policies()).expect("an answer");
        assert_eq!(answer.decision.reason, Reason::MalformedPod);
        assert_eq!(answer.decision.message, "the AdmissionReview's request has no object");
        let response: Value = serde_json::from_slice(&answer.response).expect("JSON");
        assert_eq!(
            response["response"],
            json!({
                "uid": "u-1", "allowed": false,
                "status": {"code": 400, "reason": "BadRequest", "message": "the AdmissionReview's request has no object"},
                "auditAnnotations": {"outcome": "denied", "reason": "MalformedPod"},
            })
        );
    }
}

#[test]
fn a_review_of_something_else_is_admitted_unread() {
    for (pointer, value) in [
        ("/request/kind/kind", json!("Deployment")),
        ("/request/kind/group", json!("apps")),
        ("/request/operation", json!("UPDATE")),
        ("/request/subResource", json!("ephemeralcontainers")),
    ] {
        let mut body = review_of(&json!({"spec": SECRET}));
        *body.pointer_mut(pointer).expect("a field") = value;
        let answer = review(body.to_string().as_bytes(), &policies()).expect("an answer");
        assert_eq!(
            (answer.decision.outcome, answer.decision.reason),
            (Outcome::Skipped, Reason::NotSelected)
        );
    }
}

#[test]
fn every_field_of_the_envelope_is_refused_by_name_when_its_type_is_wrong() {
    let fields = [
        ("/apiVersion", "string"),
        ("/kind", "string"),
        ("/request", "object"),
        ("/request/uid", "string"),
        ("/request/kind", "object"),
        ("/request/kind/group", "string"),
        ("/request/kind/kind", "string"),
        ("/request/operation", "string"),
        ("/request/subResource", "string"),
        ("/request/name", "string"),
        ("/request/namespace", "string"),
        ("/request/dryRun", "boolean"),
    ];
    for (pointer, right) in fields {
        for wrong in wrong_values(right) {
            let mut body = review_of(&full_pod());
            *body.pointer_mut(pointer).expect("a field") = wrong.clone();
            let expected = format!(
                "body is not an AdmissionReview: {}: must be {} (line 1, column ",
                dotted(pointer),
                with_article(right)
            );
            let message = refused(body.to_string().as_bytes());
            assert!(message.starts_with(&expected), "{pointer} = {wrong}: {message}");
        }
    }
}

/// Every field of a pod that is read, with its type.
fn fields() -> Vec<(String, &'static str)> {
    let mut fields: Vec<(String, &'static str)> = [
        ("", "object"),
        ("/metadata", "object"),
        ("/metadata/name", "string"),
        ("/metadata/generateName", "string"),
        ("/metadata/labels", "object"),
        ("/metadata/labels/vertex-injector.dev~1inject", "string"),
        ("/metadata/annotations", "object"),
        ("/metadata/annotations/note", "string"),
        ("/spec", "object"),
        ("/spec/serviceAccountName", "string"),
        ("/spec/nodeSelector", "object"),
        ("/spec/nodeSelector/disk", "string"),
        ("/spec/os", "object"),
        ("/spec/os/name", "string"),
        ("/spec/securityContext", "object"),
        ("/spec/securityContext/runAsUser", "integer"),
        ("/spec/securityContext/fsGroup", "integer"),
        ("/spec/resources", "object"),
        ("/spec/containers", "array"),
        ("/spec/initContainers", "array"),
        ("/spec/volumes", "array"),
        ("/spec/volumes/0", "object"),
        ("/spec/volumes/0/name", "string"),
        ("/spec/volumes/0/configMap", "object"),
        ("/spec/volumes/1/secret", "object"),
        ("/spec/volumes/2/projected", "object"),
        ("/spec/volumes/2/projected/defaultMode", "integer"),
        ("/spec/volumes/2/projected/sources", "array"),
        ("/spec/volumes/2/projected/sources/0", "object"),
    ]
    .map(|(pointer, right)| (pointer.to_owned(), right))
    .to_vec();
    for list in ["containers", "initContainers"] {
        let of_container = [
            ("", "object"),
            ("/name", "string"),
            ("/env", "array"),
            ("/env/0", "object"),
            ("/env/0/name", "string"),
            ("/env/0/value", "string"),
            ("/env/1/valueFrom", "object"),
            ("/envFrom", "array"),
            ("/envFrom/0", "object"),
            ("/envFrom/0/configMapRef", "object"),
            ("/envFrom/0/configMapRef/name", "string"),
            ("/envFrom/1/secretRef", "object"),
            ("/envFrom/1/secretRef/name", "string"),
            ("/volumeMounts", "array"),
            ("/volumeMounts/0", "object"),
            ("/volumeMounts/0/name", "string"),
            ("/volumeMounts/0/mountPath", "string"),
            ("/volumeMounts/0/subPath", "string"),
            ("/volumeMounts/0/subPathExpr", "string"),
            ("/volumeMounts/0/readOnly", "boolean"),
            ("/ports", "array"),
            ("/ports/0", "object"),
            ("/ports/0/containerPort", "integer"),
            ("/securityContext", "object"),
            ("/securityContext/runAsUser", "integer"),
            ("/resources", "object"),
            ("/resources/requests", "object"),
            ("/resources/requests/cpu", "quantity"),
            ("/resources/limits", "object"),
            ("/resources/limits/cpu", "quantity"),
        ];
        fields.extend(of_container.map(|(pointer, right)| (format!("/spec/{list}/0{pointer}"), right)));
    }
    fields
}

/// One value of every type that is not the right one.
fn wrong_values(right: &str) -> Vec<Value> {
    [
        ("string", json!(SECRET)),
        ("integer", json!(7)),
        ("number", json!(1.5)),
        ("boolean", json!(true)),
        ("array", json!([])),
        ("array", json!([SECRET])),
        ("object", json!({})),
        ("object", json!({"hunter": SECRET})),
    ]
    .into_iter()
    .filter(|(kind, _)| match right {
        "quantity" => !matches!(*kind, "string" | "integer" | "number"),
        right => *kind != right,
    })
    .map(|(_, value)| value)
    .collect()
}

/// The type in a message.
fn with_article(right: &str) -> String {
    match right {
        "array" => "a list".to_owned(),
        "integer" | "object" => format!("an {right}"),
        _ => format!("a {right}"),
    }
}

/// `/spec/containers/0/env` as people write it.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1).map(|part| part.replace("~1", "/")) {
        match part.parse::<usize>() {
            Ok(index) => write!(path, "[{index}]").expect("text grows"),
            Err(_) if path.is_empty() => path.push_str(&part),
            Err(_) => write!(path, ".{part}").expect("text grows"),
        }
    }
    if path.is_empty() { "the whole".to_owned() } else { path }
}

#[test]
fn every_field_of_a_pod_is_refused_by_name_when_its_type_is_wrong() {
    for (pointer, right) in fields() {
        for wrong in wrong_values(right) {
            let mut pod = full_pod();
            *pod.pointer_mut(&pointer).unwrap_or_else(|| panic!("no {pointer}")) = wrong.clone();
            let decision = answered(&pod).decision;
            let expected = format!(
                "the pod cannot be read: {}: must be {}",
                dotted(&pointer),
                with_article(right)
            );
            assert!(
                decision.message.starts_with(&expected),
                "{pointer} = {wrong}: {}",
                decision.message
            );
            assert!(!decision.message.contains(SECRET), "{}", decision.message);
            assert_eq!(
                (decision.outcome, decision.reason),
                (Outcome::Denied, Reason::MalformedPod)
            );
            assert_eq!(decision.patch, []);
        }
    }
}

#[test]
fn every_field_of_a_pod_may_be_null_or_absent_unless_kubernetes_needs_it() {
    let needed = |pointer: &str| {
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let entry = last == "0" || pointer.is_empty();
        let name = last == "name" && pointer != "/metadata/name";
        entry
            || name
            || [
                "/mountPath",
                "/containerPort",
                "/labels/vertex-injector.dev~1inject",
                "/annotations/note",
                "/nodeSelector/disk",
            ]
            .iter()
            .any(|end| pointer.ends_with(end))
    };
    for (pointer, _) in fields() {
        if needed(&pointer) {
            continue;
        }
        let mut pod = full_pod();
        *pod.pointer_mut(&pointer).expect("a field") = Value::Null;
        let decision = answered(&pod).decision;
        assert_ne!(decision.reason, Reason::MalformedPod, "{pointer}: {}", decision.message);
    }
}

#[test]
fn a_field_that_is_given_twice_is_refused_by_name() {
    for (text, field) in [
        (r#"{"spec": {}, "spec": {"hunter2": 1}}"#, "spec"),
        (
            r#"{"spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": "x", "value": "hunter2"}]}]}}"#,
            "spec.containers[0].env[0].value",
        ),
    ] {
        let problem = Pod::parse(text.as_bytes()).expect_err("a duplicate");
        assert!(
            problem.starts_with(&format!("{field}: given twice (line 1")),
            "{problem}"
        );
        assert!(!problem.contains(SECRET), "{problem}");
    }
}

#[test]
fn a_pod_without_containers_is_denied() {
    for spec in [
        json!({}),
        json!({"containers": []}),
        json!({"containers": null}),
        Value::Null,
    ] {
        let labels = json!({"vertex-injector.dev/inject": "true"});
        let decision = answered(&json!({"metadata": {"labels": labels}, "spec": spec})).decision;
        assert_eq!(
            (decision.outcome, decision.reason),
            (Outcome::Denied, Reason::ContainerNotFound)
        );
        assert_eq!(decision.message, "policy team-a/agents: the pod has no containers");
    }
}
