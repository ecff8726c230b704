//! The policies in blocks of YAML, and the pods that they are for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vertex_injector_core::manifest;

use crate::text::{Block, blocks, blocks_of, pages};
use harness::process::{Ran, repository, run};

/// The policy of a block; where only `spec` is shown, with the name and namespace that a reader would give it.
fn policy(block: &Block<'_>) -> Value {
    let mut documents = manifest::documents(&block.text).expect("well-formed YAML");
    assert_eq!(documents.len(), 1, "{}", block.text);
    let mut policy = documents.remove(0);
    let fields: Vec<&String> = policy.as_object().expect("an object").keys().collect();
    if fields == ["spec"] {
        policy["apiVersion"] = "vertex-injector.dev/v1alpha1".into();
        policy["kind"] = "InjectionPolicy".into();
        policy["metadata"] = json!({"name": "from-the-readme", "namespace": "default"});
    }
    policy
}

/// Of all pages but that of the recipes, which have tests of their own.
fn of_pages() -> Vec<(String, Value)> {
    let pages = pages().iter().filter(|page| !page.path.ends_with("recipes.md"));
    let blocks: Vec<Block<'_>> = pages.flat_map(|page| blocks_of(&page.text)).collect();
    let yaml = blocks.iter().filter(|block| block.language == "yaml");
    yaml.map(|block| (block.before.clone(), policy(block))).collect()
}

/// The program under test, run in the repository.
pub(crate) fn vertex_injector(arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    run(
        command.args(arguments).current_dir(repository()),
        input,
        Duration::from_secs(30),
    )
}

#[test]
fn every_policy_is_valid() {
    let policies = of_pages();
    assert!(!policies.is_empty());
    for (before, policy) in policies {
        // What the operator of the demo allows.
        let validate = ["validate", "-f", "-", "--config", "hack/demo/operator.yaml"];
        let ran = vertex_injector(&validate, &policy.to_string());
        assert!(ran.success(), "{before}\n{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn the_demos_policy_and_the_one_for_googles_side_serve_both_runtimes_of_kartograph() {
    let demo = std::fs::read_to_string(repository().join("hack/demo/policy.yaml")).expect("the demo");
    let demo = manifest::documents(&demo).expect("well-formed YAML").remove(0);
    let policies = of_pages();
    let (_, whole) = policies
        .iter()
        .find(|(_, policy)| policy["metadata"]["name"] == "agents")
        .expect("a whole policy");
    for policy in [&demo, whole] {
        assert_served(policy, "kartograph-sticky");
        assert_served(policy, "kartograph-agentic-ci-job");
    }
}

/// The first pod of a file is injected, by this policy, with a credential and with Vertex.
#[track_caller]
fn assert_served(policy: &Value, file: &str) {
    let mut policy = policy.clone();
    let pods = repository().join("tests/pods").join(file).with_extension("yaml");
    let pods = std::fs::read_to_string(pods).expect("the file");
    let pod = manifest::documents(&pods).expect("well-formed YAML").remove(0);
    policy["metadata"]["namespace"] = pod["metadata"]["namespace"].clone();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod, policy]});

    let explained = vertex_injector(&["explain", "-f", "-", "-o", "json"], &list.to_string()).output();

    let explained: Value = serde_json::from_str(&explained).expect("JSON");
    let pod = explained.get(0).unwrap_or(&explained);
    assert_eq!(pod["outcome"], "injected", "{file}: {explained:#}");
    let units: Vec<(&str, &str)> = pod["units"]
        .as_array()
        .expect("units")
        .iter()
        .map(|unit| {
            (
                unit["name"].as_str().expect("a name"),
                unit["state"].as_str().expect("a state"),
            )
        })
        .collect();
    for unit in ["identity", "vertex"] {
        assert!(units.contains(&(unit, "added")), "{file}: {units:?}");
    }
}

#[test]
fn the_example_of_a_denial_is_what_the_product_says() {
    let blocks = blocks();
    let shown = blocks
        .iter()
        .find(|block| block.text.starts_with("admission webhook"))
        .expect("a denial");
    let shown = shown.text.replace('\n', " ");
    let (_, shown) = shown.split_once("denied the request: ").expect("the webhook's message");
    let pod = folder().join("denied.yaml");
    std::fs::write(&pod, DENIED).expect("the pod");

    let denied = vertex_injector(&["inject", "-f", pod.to_str().expect("UTF-8")], "");

    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert!(
        denied.stderr.contains(shown),
        "{}\ndoes not contain\n{shown}",
        denied.stderr
    );
}

/// A pod that gets the denial of the README.
const DENIED: &str = "
apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: agents, namespace: team-a}
spec:
  agents: [{podSelector: {matchLabels: {app: agent}}, credentialDirectory: /gcloud/config}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
  identity: {workloadIdentityFederation: {provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster}}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: team-a, labels: {app: agent}}
spec:
  containers:
  - name: agent
    image: agent
    env:
    - {name: GOOGLE_CLOUD_PROJECT, value: one}
    - {name: ANTHROPIC_VERTEX_PROJECT_ID, value: other}
    volumeMounts: [{name: workspace, mountPath: /gcloud/config}]
  volumes: [{name: workspace, emptyDir: {}}]
";

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
