//! `explain`: the decision in words and as JSON.

use super::{Files, POD, POLICY, TEAM_POLICY, lost_pod, pod, run, run_with};
use serde_json::{Value, json};

fn explained(stream: &str) -> Value {
    serde_json::from_str(&run_with(&["explain", "-f", "-", "-o", "json"], stream).stdout).unwrap()
}

#[test]
fn the_words_name_outcome_reason_policy_and_every_change() {
    let ran = run(&["explain", "-f", POD, "--policy", POLICY]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let mut lines = ran.stdout.lines();
    assert_eq!(
        lines.next().unwrap(),
        "Pod kartograph-workloads/kartograph-sticky-01jx8z4m3q2r5t7v9w0y1a2b3c: injected (Injected) by policy \
         kartograph-workloads/kartograph"
    );
    ran.tells(&[
        "  identity   added: vertex-injector-credentials at /gcloud/config\n",
        "  variables  agent-runtime:  +GOOGLE_APPLICATION_CREDENTIALS",
        "+CLOUDSDK_CONFIG",
        "  volumes    +vertex-injector-credentials\n",
    ]);
    assert!(ran.stdout.lines().all(|line| line.len() < 160), "{}", ran.stdout);
}

#[test]
fn json_has_an_object_for_each_pod_with_all_its_fields() {
    let explanations = explained(&format!("{}---\n{TEAM_POLICY}", pod("a")));
    let explanation = &explanations[0];
    let fields: Vec<&String> = explanation.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "namespace",
            "name",
            "kind",
            "template",
            "outcome",
            "reason",
            "message",
            "policy",
            "units",
            "env",
            "volumes",
            "containers",
            "needs",
            "warnings"
        ]
    );
    assert_eq!(explanation["namespace"], "team");
    assert_eq!(explanation["name"], "a");
    assert_eq!(explanation["kind"], "Pod");
    assert_eq!(explanation["outcome"], "injected");
    assert_eq!(explanation["reason"], "Injected");
    assert_eq!(explanation["policy"], "team/agents@0");
    assert_eq!(
        explanation["needs"],
        json!([{"kind": "ConfigMap", "name": "helpers", "optional": false}])
    );
    let units: Vec<&str> = explanation["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit["name"].as_str().unwrap())
        .collect();
    assert_eq!(units, ["identity", "vertex", "authHelpers[helpers]"]);
}

#[test]
fn json_has_a_list_for_several_pods_in_their_order_and_for_none() {
    let several = explained(&format!("{}---\n{}---\n{TEAM_POLICY}", pod("b"), pod("a")));
    let names: Vec<&Value> = several.as_array().unwrap().iter().map(|pod| &pod["name"]).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(explained(TEAM_POLICY), json!([]));
    assert_eq!(
        run_with(&["explain", "-f", "-"], TEAM_POLICY).output(),
        "no pod in the input\n"
    );
}

#[test]
fn a_denied_pod_is_explained_and_the_exit_code_says_so() {
    let stream = format!("{}---\n{}", lost_pod("lost"), pod("other"));
    let ran = run_with(&["explain", "-f", "-"], &stream);
    assert_eq!(ran.code, Some(1));
    ran.tells(&[
        "Pod nowhere/lost: denied (NoPolicy)\n  because  ",
        "Pod team/other: skipped (NotSelected)\n",
    ]);
    assert_eq!(explained(&stream)[0]["outcome"], "denied");
}

#[test]
fn a_unit_that_was_there_already_is_told_as_present() {
    let injected = run(&["inject", "-f", POD, "--policy", POLICY]).output();
    let ran = run_with(&["explain", "-f", "-", "--policy", POLICY], &injected);
    ran.tells(&["injected (AlreadyInjected)", "  identity  present"]);
    assert!(!ran.stdout.contains("  variables "), "{}", ran.stdout);
}

#[test]
fn every_pod_of_every_system_is_served_or_left_alone_as_the_demo_promises() {
    let ran = run(&[
        "explain",
        "-f",
        "tests/pods",
        "--policy",
        POLICY,
        "hack/demo/platform.yaml",
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let pods: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let outcomes: Vec<(&str, &str)> = pods
        .iter()
        .map(|pod| (pod["namespace"].as_str().unwrap(), pod["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("team-b", "Injected"),
            ("team-a", "Injected"),
            ("team-c", "Injected"),
            ("fracta", "Injected"),
            ("fracta", "Injected"),
            ("gastown-workers", "Injected"),
            ("kagent", "Injected"),
            ("kartograph-workloads", "Injected"),
            ("kartograph-workloads", "OwnApiKey"),
            ("kartograph-workloads", "NotSelected"),
            ("kartograph-workloads", "Injected"),
            ("openshell", "NotSelected"),
            ("openshell-kartograph", "NotSelected"),
        ]
    );
}

#[test]
fn the_operators_settings_count() {
    let files = Files::new(&[
        ("policy.yaml", TEAM_POLICY),
        ("operator.yaml", "apiServerAudiences: [gateway]\n"),
    ]);
    let policy = TEAM_POLICY.replace(
        "  authHelpers:",
        "  tokens: [{name: t, audience: gateway, mountPath: /t}]\n  authHelpers:",
    );
    let stream = format!("{}---\n{policy}", pod("a"));
    assert_eq!(run_with(&["explain", "-f", "-"], &stream).code, Some(0));
    let ran = run_with(
        &["explain", "-f", "-", "--config", &files.path("operator.yaml")],
        &stream,
    );
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    ran.tells(&["denied (PolicyUnusable)"]);
}
