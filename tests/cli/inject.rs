//! `inject`: what becomes of the objects, and in which format.

use super::{Files, POD, POLICY, TEAM_POLICY, all, lost_pod, one, pod, run, run_with};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn env(pod: &Value) -> BTreeMap<&str, &str> {
    let variables = pod.pointer("/spec/containers/0/env").unwrap().as_array().unwrap();
    variables
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_first_command_of_the_readme_injects_a_real_pod() {
    let ran = run(&["inject", "-f", POD, "--policy", POLICY]);
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.code, Some(0));
    let injected = one(&ran.stdout);
    let env = env(&injected);
    for (name, value) in [
        ("CLAUDE_CODE_USE_VERTEX", "1"),
        ("ANTHROPIC_VERTEX_PROJECT_ID", "my-project"),
        ("CLOUD_ML_REGION", "us-east5"),
        ("VERTEXAI_LOCATION", "us-east5"),
        ("CLOUDSDK_CONFIG", "/tmp/gcloud"),
        (
            "GOOGLE_APPLICATION_CREDENTIALS",
            "/gcloud/config/application_default_credentials.json",
        ),
        ("HOME", "/tmp"),
        ("KARTOGRAPH_AGENT_MAX_TURNS", "500"),
    ] {
        assert_eq!(env.get(name), Some(&value), "{name}");
    }
    let mounts = injected
        .pointer("/spec/containers/0/volumeMounts")
        .unwrap()
        .as_array()
        .unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["mountPath"] == "/gcloud/config" && mount["readOnly"] == true)
    );
    assert!(
        injected
            .pointer("/metadata/annotations/vertex-injector.dev~1credential-configuration")
            .is_some()
    );
}

#[test]
fn yaml_json_and_patch_say_the_same() {
    let yaml = one(&run(&["inject", "-f", POD, "--policy", POLICY]).output());
    let json: Value =
        serde_json::from_str(&run(&["inject", "-f", POD, "--policy", POLICY, "-o", "json"]).output()).unwrap();
    assert_eq!(yaml, json);

    let patch = run(&["inject", "-f", POD, "--policy", POLICY, "-o", "patch"]).output();
    let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
    let mut patched = one(&std::fs::read_to_string(harness::process::repository().join(POD)).unwrap());
    assert_ne!(patched, yaml);
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, yaml);
}

#[test]
fn an_injected_pod_is_injected_already() {
    let once = run(&["inject", "-f", POD, "--policy", POLICY]).output();
    let twice = run_with(&["inject", "-f", "-", "--policy", POLICY], &once);
    assert_eq!(twice.stdout, once);
    assert_eq!(
        run_with(&["inject", "-f", "-", "--policy", POLICY, "-o", "patch"], &once).output(),
        "[]\n"
    );
}

#[test]
fn what_has_no_pod_or_is_not_selected_passes_through_byte_for_byte() {
    let stream = "# a chart\napiVersion: v1\nkind: ConfigMap # not ours\nmetadata:   {name: a}\ndata: {mode: \"0644\"}\n---\n\
                  apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: # kept\n  template:\n    spec: \
                  {containers: [{name: c}]}\n---\napiVersion: example.com/v1\nkind: Unknown\nmode: 0644\n";
    let ran = run_with(&["inject", "-f", "-"], stream);
    assert_eq!(ran.stdout, stream);
    assert_eq!(
        ran.stderr,
        "note: standard input (document 2): Deployment default/b: skipped (NotSelected): no policies were given; name them with --policy, or put them among the manifests\n"
    );
    assert_eq!(ran.code, Some(0));
}

#[test]
fn only_what_changes_is_written_anew() {
    let stream = format!(
        "# mine\nkind: A\napiVersion: v1\n---\n# lost\n{}---\nkind:  B\napiVersion: v1\n",
        pod("a")
    );
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let ran = run_with(&["inject", "-f", "-", "--policy", &files.path("policy.yaml")], &stream);
    let written: Vec<&str> = ran.stdout.split("---\n").collect();
    assert_eq!(
        (written[0], written[2]),
        ("# mine\nkind: A\napiVersion: v1\n", "kind:  B\napiVersion: v1\n")
    );
    assert!(
        written[1].starts_with("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"),
        "{}",
        written[1]
    );
}

#[test]
fn octal_modes_of_an_injected_pod_stay_what_they_were() {
    let pod = pod("a").replace(
        "containers:",
        "volumes: [{name: v, secret: {secretName: s, defaultMode: 0400}}], containers:",
    );
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let injected = one(&run_with(&["inject", "-f", "-", "--policy", &files.path("policy.yaml")], &pod).output());
    assert_eq!(
        injected.pointer("/spec/volumes/0/secret/defaultMode"),
        Some(&json!(256))
    );
}

#[test]
fn policies_may_stand_among_the_manifests_and_stay_there() {
    let stream = format!("{}---\n{TEAM_POLICY}", pod("a"));
    let ran = run_with(&["inject", "-f", "-"], &stream);
    let written = all(&ran.stdout);
    assert_eq!(written.len(), 2);
    assert_eq!(env(&written[0])["CLAUDE_CODE_USE_VERTEX"], "1");
    assert_eq!(written[1], one(TEAM_POLICY));
}

#[test]
fn several_objects_become_a_list_in_json() {
    let stream = format!("{}---\n{}", pod("a"), pod("b"));
    let ran = run_with(&["inject", "-f", "-", "-o", "json"], &stream);
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    assert_eq!(list["items"], json!(all(&stream)));
}

#[test]
fn the_patches_of_several_objects_come_with_their_names() {
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let stream = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n---\napiVersion: v1\nkind: Secret\n",
        one(&pod("a")),
        one(&pod("b").replace("'yes'", "'no'"))
    );
    let ran = run_with(
        &[
            "inject",
            "-f",
            "-",
            "--policy",
            &files.path("policy.yaml"),
            "-o",
            "patch",
        ],
        &stream,
    );
    let patches: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(patches[0]["kind"], "Pod");
    assert_eq!(patches[0]["namespace"], "team");
    assert_eq!(patches[0]["name"], "a");
    // Paths start at the object, as kubectl patch wants them, not at the list.
    let paths: Vec<&str> = patches[0]["patch"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["path"].as_str().unwrap())
        .collect();
    assert!(paths.contains(&"/spec/volumes"), "{paths:?}");
    assert_eq!(
        patches[1],
        json!({"kind": "Pod", "namespace": "team", "name": "b", "patch": []})
    );
}

#[test]
fn a_denied_pod_is_told_and_nothing_at_all_is_written() {
    let files = Files::new(&[
        ("policy.yaml", TEAM_POLICY),
        ("pods.yaml", &format!("{}---\n{}", pod("good"), lost_pod("lost"))),
    ]);
    for format in ["yaml", "json", "patch"] {
        let ran = run(&[
            "inject",
            "-f",
            &files.path("pods.yaml"),
            "--policy",
            &files.path("policy.yaml"),
            "-o",
            format,
        ]);
        assert_eq!(ran.code, Some(1));
        assert_eq!(ran.stdout, "");
        let told = format!(
            "error: {} (document 2): Pod nowhere/lost: denied (NoPolicy): ",
            files.path("pods.yaml")
        );
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
}

#[test]
fn every_denied_pod_is_told() {
    let ran = run_with(
        &["inject", "-f", "-"],
        &format!("{}---\n{}", lost_pod("a"), lost_pod("b")),
    );
    assert_eq!(ran.stderr.matches("denied (NoPolicy)").count(), 2, "{}", ran.stderr);
}

#[test]
fn a_pod_that_cannot_be_read_is_denied() {
    let broken = pod("a").replace("containers: [", "volumes: 5, containers: [");
    let ran = run_with(&["inject", "-f", "-"], &format!("{broken}---\n{TEAM_POLICY}"));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("Pod team/a: denied (MalformedPod): "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_skipped_pod_that_asked_is_marked_and_its_owner_warned() {
    let asks = pod("a")
        .replace("labels: {", "labels: {vertex-injector.dev/inject: 'true', ")
        .replace("image: i", "image: i, env: [{name: ANTHROPIC_API_KEY, value: k}]");
    let policy = TEAM_POLICY.replace(
        "  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]\n",
        "",
    );
    let ran = run_with(&["inject", "-f", "-"], &format!("{asks}---\n{policy}"));
    assert_eq!(ran.code, Some(0));
    let marked = &all(&ran.stdout)[0];
    assert_eq!(
        marked.pointer("/metadata/annotations/vertex-injector.dev~1skipped"),
        Some(&json!("OwnApiKey"))
    );
    assert!(
        ran.stderr.starts_with("warning: standard input: Pod team/a: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("OwnApiKey"), "{}", ran.stderr);
}

#[test]
fn what_the_pod_will_need_is_told_as_a_warning() {
    let ran = run_with(&["inject", "-f", "-"], &format!("{}---\n{TEAM_POLICY}", pod("a")));
    assert!(
        ran.stderr.contains("warning: standard input: Pod team/a: ") && ran.stderr.contains("ConfigMap helpers"),
        "{}",
        ran.stderr
    );
}

#[test]
fn no_value_of_a_manifest_is_told_on_standard_error() {
    let canary = "s3cr3t-canary";
    let pod = pod("a").replace(
        "image: i",
        &format!("image: i, env: [{{name: HOME, value: {canary}}}, {{name: HOME, value: {canary}}}]"),
    );
    for stream in [
        format!("{pod}---\n{TEAM_POLICY}"),
        format!(
            "{pod}---\n{}",
            TEAM_POLICY.replace("agents: [", "conflicts: {values: Deny}\n  agents: [")
        ),
        format!("{pod}---\nbroken: \"{canary}\n"),
        format!("{pod}x: {canary}\nx: {canary}\n"),
    ] {
        let ran = run_with(&["inject", "-f", "-"], &stream);
        assert!(!ran.stderr.contains(canary), "{}", ran.stderr);
    }
}
