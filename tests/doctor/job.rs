//! The Job that goes the way of a pod.

use crate::world::LIMIT;
use harness::process::{Ran, run};
use serde_json::{Value, json};
use std::process::Command;
use vertex_injector_core::manifest;

fn doctor(pod: &Value, more: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command.args(["doctor", "--job", "-"]).args(more);
    run(&mut command, &pod.to_string(), LIMIT)
}

#[track_caller]
fn job(pod: &Value, more: &[&str]) -> Value {
    let text = doctor(pod, more).output();
    let mut all = manifest::documents(&text).unwrap();
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

/// The pod as the webhook makes it.
pub(crate) fn injected(access: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let policy = format!(
        "apiVersion: vertex-injector.dev/v1alpha1\nkind: InjectionPolicy\nmetadata: {{name: agents, namespace: team}}\nspec:\n  agents: [{{podSelector: {{matchLabels: {{agent: 'yes'}}}}}}]\n  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode], models: {{default: claude-haiku-4-5}}}}\n  access: {access}\n  identity:\n    workloadIdentityFederation:\n      provider: projects/1/locations/global/workloadIdentityPools/agents/providers/cluster\n"
    );
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: hello, namespace: team, labels: {agent: 'yes', app: shop, pod-template-hash: abc}}\nspec: {serviceAccountName: runner, containers: [{name: agent, image: i}], nodeSelector: {pool: agents}}\n";
    let (policy_file, pod_file) = (directory.path().join("policy.yaml"), directory.path().join("pod.yaml"));
    std::fs::write(&policy_file, policy).unwrap();
    std::fs::write(&pod_file, pod).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command
        .arg("inject")
        .arg("-f")
        .arg(&pod_file)
        .arg("--policy")
        .arg(&policy_file);
    let text = run(&mut command, "", LIMIT).output();
    manifest::documents(&text).unwrap().remove(0)
}

fn named<'v>(list: &'v Value, name: &str) -> Option<&'v Value> {
    list.as_array()?.iter().find(|one| one["name"] == name)
}

#[test]
fn beside_a_broker_it_has_the_brokers_image_environment_and_token() {
    for access in ["Proxy", "Metadata"] {
        let pod = injected(access);
        let job = job(&pod, &[]);
        assert_eq!(
            (&job["kind"], &job["metadata"]["name"], &job["metadata"]["namespace"]),
            (&json!("Job"), &json!("doctor-hello"), &json!("team"))
        );
        let template = &job["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        assert_eq!(
            *labels,
            json!({"agent": "yes", "app": "shop", "vertex-injector.dev/inject": "false"})
        );
        let spec = &template["spec"];
        assert_eq!(
            (&spec["serviceAccountName"], &spec["nodeSelector"]["pool"]),
            (&json!("runner"), &json!("agents"))
        );
        let broker = named(&pod["spec"]["initContainers"], "vertex-injector-broker").unwrap();
        let container = &spec["containers"][0];
        for same in ["image", "env", "securityContext"] {
            assert_eq!(container[same], broker[same], "{same}");
        }
        assert_eq!(
            container["args"],
            json!(["doctor", "--region=us-east5", "--model=claude-haiku-4-5"])
        );
        assert!(
            container.get("command").is_none(),
            "the image's entrypoint has the verb"
        );
        let mount = &container["volumeMounts"][0];
        let volume = named(&spec["volumes"], mount["name"].as_str().unwrap()).unwrap();
        let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!(
            token["audience"],
            "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/agents/providers/cluster"
        );
        assert!(
            !spec.to_string().contains("\"vertex-injector-"),
            "guards keep these names for ours: {spec}"
        );
    }
}

#[test]
fn a_pod_with_a_file_is_gone_for_in_an_image_that_is_named() {
    let pod = injected("File");
    let refused = doctor(&pod, &[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.error().contains("--image"));
    let job = job(&pod, &["--image", "registry.example.com/vertex-injector:1"]);
    let spec = &job["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    assert_eq!(container["image"], "registry.example.com/vertex-injector:1");
    let env = &container["env"];
    assert_eq!(named(env, "VERTEX_INJECTOR_PROJECT").unwrap()["value"], "my-project");
    let configuration = named(env, "VERTEX_INJECTOR_CREDENTIALS_JSON").unwrap()["value"]
        .as_str()
        .unwrap();
    let configuration: Value = serde_json::from_str(configuration).unwrap();
    let file = configuration["credential_source"]["file"].as_str().unwrap();
    let mount = &container["volumeMounts"][0];
    assert!(file.starts_with(mount["mountPath"].as_str().unwrap()), "{file}");
    let volume = named(&spec["volumes"], mount["name"].as_str().unwrap()).unwrap();
    let sources = volume["projected"]["sources"].as_array().unwrap();
    assert!(
        sources.iter().all(|source| source.get("serviceAccountToken").is_some()),
        "{volume}"
    );
}

#[test]
fn a_pod_that_was_not_injected_is_told_from_one_that_was() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "i"}]}});
    let ran = doctor(&pod, &["--image", "i"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.error().contains("vertex-injector explain"));
    let ran = doctor(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        &[],
    );
    assert_eq!(ran.code, Some(2));
    assert!(ran.error().contains("one Pod is needed"));
}
