//! `validate`: everything that is wrong with policies.

use super::{Files, POLICY, TEAM_POLICY, pod, run, run_with};
use serde_json::{Value, json};

#[test]
fn a_valid_policy_is_told_so() {
    let ran = run(&["validate", "-f", POLICY, "hack/demo/platform.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ran.stdout,
        "hack/demo/policy.yaml: InjectionPolicy/kartograph: valid\n\
         hack/demo/platform.yaml: ClusterInjectionPolicy/ambient: valid\n\
         hack/demo/platform.yaml (document 2): InjectionPolicy/fracta: valid\n\
         hack/demo/platform.yaml (document 3): InjectionPolicy/gastown: valid\n\
         hack/demo/platform.yaml (document 4): InjectionPolicy/kagent: valid\n"
    );
    // The same policy in other modes: one of them at a time.
    for mode in ["metadata", "proxy"] {
        let file = format!("hack/demo/{mode}.yaml");
        let ran = run(&["validate", "-f", &file]);
        let valid = format!("{file}: InjectionPolicy/kartograph: valid\n");
        assert_eq!((ran.code, ran.stdout), (Some(0), valid));
    }
}

#[test]
fn errors_of_the_schema_and_of_the_policy_are_told_together() {
    let policy = TEAM_POLICY.replace("us-east5", "us east").replace(
        "  authHelpers:",
        "  env: [{name: ANTHROPIC_BASE_URL, value: x}]\n  volumeMounts: [{name: missing, mountPath: /m}]\n  authHelpers:",
    );
    let files = Files::new(&[("policy.yaml", &policy)]);
    let ran = run(&["validate", "-f", &files.path("policy.yaml")]);
    assert_eq!(ran.code, Some(1));
    let place = format!("{}: InjectionPolicy/agents: ", files.path("policy.yaml"));
    let fields: Vec<&str> = ran
        .stdout
        .lines()
        .map(|line| line.strip_prefix(&place).unwrap().split(": ").next().unwrap())
        .collect();
    for field in ["spec.vertex.region", "spec.env[0].name", "spec.volumeMounts[0].name"] {
        assert_eq!(
            fields.iter().filter(|told| **told == field).count(),
            1,
            "{field}\n{}",
            ran.stdout
        );
    }
}

#[test]
fn what_an_access_mode_needs_and_excludes_is_told() {
    let validated = |fields: &str| {
        let policy = TEAM_POLICY.replace("spec:", &format!("spec:\n{fields}"));
        let ran = run_with(&["validate", "-f", "-"], &policy);
        (ran.code, ran.stdout)
    };
    for mode in ["Metadata", "Proxy"] {
        let (code, told) = validated(&format!("  access: {mode}"));
        assert_eq!(
            (code, told.as_str()),
            (Some(0), "standard input: InjectionPolicy/agents: valid\n")
        );
    }
    for (fields, problem) in [
        (
            "  access: Metadata\n  proxy: {models: [claude-*]}",
            "spec.proxy: only access: Proxy has a proxy that could enforce it",
        ),
        (
            "  broker: {metadataPort: 8600}",
            "spec.broker: only access: Metadata and access: Proxy have a broker",
        ),
        (
            "  access: Proxy\n  proxy: {regions: [europe-west1]}",
            "spec.vertex.region: \"us-east5\" is not allowed by proxy.regions, which has europe-west1",
        ),
        (
            "  isolation: BestEffort",
            "spec.isolation: nothing is kept from the agent with access: File and no sidecars, so there is nothing to choose; remove it",
        ),
    ] {
        let told = format!("standard input: InjectionPolicy/agents: {problem}\n");
        assert_eq!(validated(fields), (Some(1), told));
    }
}

#[test]
fn warnings_and_notes_leave_a_policy_valid() {
    let policy = TEAM_POLICY.replace(
        "    workloadIdentityFederation:\n      provider: projects/1/locations/global/workloadIdentityPools/agents/providers/cluster\n",
        "    serviceAccountKey: {secretName: key, key: key.json}\n",
    );
    let files = Files::new(&[
        ("policy.yaml", &policy),
        (
            "operator.yaml",
            "agentSelectors: [{name: other, objectSelector: {matchLabels: {other: x}}}]\n",
        ),
    ]);
    let ran = run(&[
        "validate",
        "-f",
        &files.path("policy.yaml"),
        "--config",
        &files.path("operator.yaml"),
    ]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    for part in [
        "agents: valid\n",
        "agents: warning: the API server does not send",
        "agents: note: identity.serviceAccountKey",
    ] {
        assert!(ran.stdout.contains(part), "{part}\n{}", ran.stdout);
    }
}

#[test]
fn the_namespace_of_a_cluster_policy_is_told_as_ignored() {
    let policy = TEAM_POLICY.replace("kind: InjectionPolicy", "kind: ClusterInjectionPolicy");
    let ran = run_with(&["validate", "-f", "-"], &policy);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("note: metadata.namespace is ignored"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_no_policy_is_told_as_ignored_and_nothing_but_that_is_an_error() {
    let ran = run_with(&["validate", "-f", "-"], &format!("{}---\n{TEAM_POLICY}", pod("a")));
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stdout.ends_with("standard input: Pod/a: not a policy, ignored\n"),
        "{}",
        ran.stdout
    );
    let ran = run_with(&["validate", "-f", "-"], &pod("a"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_eq!(ran.stderr, "error: no policy in the input\n");
}

#[test]
fn json_has_every_policy_with_its_errors_in_the_order_of_the_input() {
    let broken = TEAM_POLICY
        .replace("name: agents,", "name: broken,")
        .replace("region: us-east5", "region: 5");
    let stream = format!("{broken}---\n{TEAM_POLICY}---\n{}", pod("a"));
    let ran = run_with(&["validate", "-f", "-", "-o", "json"], &stream);
    assert_eq!(ran.code, Some(1));
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        told,
        json!({
            "policies": [
                {
                    "source": "standard input", "document": 1, "kind": "InjectionPolicy", "namespace": "team", "name": "broken",
                    "valid": false,
                    "errors": [{"field": "spec.vertex.region", "problem": "must be a string, is a number; put it in quotes"}],
                    "warnings": [], "notes": [],
                },
                {
                    "source": "standard input", "document": 2, "kind": "InjectionPolicy", "namespace": "team", "name": "agents",
                    "valid": true, "errors": [], "warnings": [], "notes": [],
                },
            ],
            "ignored": [{"source": "standard input", "document": 3, "kind": "Pod", "name": "a"}],
        })
    );
}

#[test]
fn policies_read_back_from_a_cluster_are_valid() {
    let mut policy = super::one(TEAM_POLICY);
    policy["metadata"]["uid"] = json!("6f0f6f0a-6f0b-4f0c-8f0d-6f0e6f0f6f10");
    policy["metadata"]["generation"] = json!(7);
    policy["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply", "fieldsV1": {}}]);
    policy["status"] = json!({"observedGeneration": 7, "conditions": []});
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [policy]});
    let ran = run_with(&["validate", "-f", "-"], &list.to_string());
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "standard input: InjectionPolicy/agents: valid\n")
    );
}
