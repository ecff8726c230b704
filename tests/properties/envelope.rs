//! Reviews around pods, and what every answer to one must be.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::OnceLock;
use vertex_injector_core::admission::{Outcome, PolicySet, Review, review as answer};

/// A review of a small pod that reads most of what we read, and is injected.
pub(crate) fn review() -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": crate::policies::NAMESPACE,
            "dryRun": false,
            "object": {
                "metadata": {
                    "generateName": "agent-",
                    "labels": {"vertex-injector.dev/inject": "true"},
                    "annotations": {"note": "x", "vertex-injector.dev/rendered-env": "agent/A"},
                },
                "spec": {
                    "serviceAccountName": "agent",
                    "nodeSelector": {"a": "b"},
                    "securityContext": {"runAsUser": 1000},
                    "volumes": [
                        {"name": "workspace", "emptyDir": {}},
                        {"name": "creds", "projected": {"defaultMode": 288, "sources": [{"serviceAccountToken": {"path": "t"}}]}},
                    ],
                    "initContainers": [{"name": "setup", "image": "x"}],
                    "containers": [{
                        "name": "agent",
                        "image": "example.com/agent:1",
                        "env": [
                            {"name": "A", "value": "1"},
                            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                            {"name": "GOOGLE_CLOUD_PROJECT", "value": "$(A)"},
                        ],
                        "envFrom": [{"configMapRef": {"name": "c"}}],
                        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace", "readOnly": false}],
                        "ports": [{"containerPort": 8080}],
                        "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": 1}},
                        "securityContext": {"runAsUser": 1000},
                    }],
                },
            },
        },
    })
    .to_string()
    .into_bytes()
}

/// A set in which one policy with everything selects the pod of [`review`].
pub(crate) fn policies() -> PolicySet {
    static SET: OnceLock<PolicySet> = OnceLock::new();
    SET.get_or_init(|| {
        crate::policies::set_of(&json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
            "metadata": {"name": "agents", "namespace": crate::policies::NAMESPACE},
            "spec": {
                "identity": {"workloadIdentityFederation": {
                    "provider": "projects/123/locations/global/workloadIdentityPools/pool/providers/prov"}},
                "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
                "authHelpers": [{"configMapName": "helpers", "mountPath": "/opt/helpers"}],
                "sidecars": [{"name": "github", "image": "example.com/mcp/github:1", "port": 18101, "mcpKey": "github"}],
            },
        }))
    })
    .clone()
}

/// A piece of JSON, or something like it.
pub(crate) fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "null",
            "true",
            "1",
            "-1.5e9",
            "\"",
            "\\u0000",
            "\"request\":{",
            "\"object\":{",
            "\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",",
            "\"uid\":\"u\",",
            "\"spec\":{",
            "\"containers\":[{\"name\":\"agent\"}]",
            "\"metadata\":{\"labels\":{\"vertex-injector.dev/inject\":\"true\"}},",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ]
}

/// The JSON pointers of a value and of everything in it.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            object.iter().map(|(key, value)| (escaped(key), value)).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, value)| (i.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        found.extend(pointers(child).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    found
}

/// Whatever the body: an error in words, or an AdmissionReview by the book. Gives the answer back.
pub(crate) fn check_answer(body: &[u8], policies: &PolicySet) -> Option<Review> {
    let review = match answer(body, policies) {
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("AdmissionReview") && message.len() < 300, "{message}");
            return None;
        }
        Ok(review) => review,
    };
    let sent: Value = serde_json::from_slice(body).expect("what was answered is JSON");
    let found: Value = serde_json::from_slice(&review.response).expect("the response is JSON");
    assert_eq!(found["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(found["kind"], "AdmissionReview");
    let response = &found["response"];
    assert_eq!(response["uid"], sent["request"]["uid"]);
    let denied = review.decision.outcome == Outcome::Denied;
    assert_eq!(response["allowed"], !denied);
    assert_eq!(
        response["auditAnnotations"]["outcome"],
        review.decision.outcome.to_string()
    );
    assert_eq!(
        response["auditAnnotations"]["reason"],
        review.decision.reason.to_string()
    );
    assert_eq!(
        response["auditAnnotations"].get("policy").and_then(Value::as_str),
        review.decision.policy.as_deref()
    );
    if denied {
        assert!(
            matches!(response["status"]["code"].as_u64(), Some(400 | 403)),
            "{response}"
        );
        assert!(
            response["status"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{response}"
        );
    } else {
        assert_eq!(response.get("status"), None);
    }
    assert_eq!(
        response.get("patch").is_some(),
        response.get("patchType").is_some(),
        "{response}"
    );
    assert_eq!(response.get("patch").is_some(), !review.decision.patch.is_empty());
    if let Some(patch) = response.get("patch") {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = base64_decoded(patch.as_str().expect("base64 text"));
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON Patch");
        assert_eq!(patch.0, review.decision.patch);
        let mut pod = sent["request"]["object"].clone();
        json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{error}: {patch:#?}"));
    }
    let warnings = response.get("warnings").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(warnings, json!(review.decision.warnings));
    Some(review)
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD
        .decode(text)
        .expect("base64 with padding")
}
