//! The annotations of an injected pod stay as they were admitted: the running agent's credential file follows one.

use serde_json::{Value, json};

use crate::pods::of_file;
use crate::world::{Namespace, World, world};

const GUARDED: [&str; 2] = [
    "vertex-injector.dev/credential-configuration",
    "vertex-injector.dev/policy-ref",
];

/// A namespace with an injected pod, whose name is returned.
#[track_caller]
fn injected<'a>(world: &'a World, namespace: &str) -> (Namespace<'a>, String) {
    let agents = world.opted_in(namespace);
    agents.policy(
        "agents",
        "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
",
    );
    let pod = agents.create(&of_file("fracta-stream-pod")[0]);
    for annotation in GUARDED {
        assert!(pod["metadata"]["annotations"][annotation].is_string(), "{pod:#}");
    }
    (agents, pod["metadata"]["name"].as_str().unwrap().to_owned())
}

/// A pod's binding to a node, which carries annotations over to the pod.
fn binding(pod: &str, annotations: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "annotations": annotations},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node1"},
    })
    .to_string()
}

#[test]
fn none_of_the_four_ways_to_write_a_pods_annotations_changes_ours() {
    let Some(world) = world() else { return };
    let (agents, pod) = injected(world, "guarded");
    let before = agents.get(&["pod", &pod]);
    let refused = |way: &str, error: String| {
        assert!(
            error.contains("cannot be added, changed or removed once the pod exists"),
            "{way}: {error}"
        );
    };

    for annotation in GUARDED {
        for value in [json!("forged"), Value::Null] {
            let patch = json!({"metadata": {"annotations": {annotation: value}}}).to_string();
            for subresource in ["", "status"] {
                let mut arguments = vec![
                    "--namespace",
                    &agents.name,
                    "patch",
                    "pod",
                    &pod,
                    "--type=merge",
                    "--patch",
                    &patch,
                ];
                if !subresource.is_empty() {
                    arguments.extend(["--subresource", subresource]);
                }
                let error = world.cluster.try_kubectl(&arguments).error();
                refused(&format!("{annotation} of pods/{subresource}"), error);
            }
        }
        let binding = binding(&pod, &json!({annotation: "forged"}));
        for path in [format!("pods/{pod}/binding"), "bindings".to_owned()] {
            let url = format!("/api/v1/namespaces/{}/{path}", agents.name);
            let create = ["create", "--raw", &url, "--filename", "-"];
            refused(&path, world.cluster.try_kubectl_stdin(&create, &binding).error());
        }
    }

    // Taking away the label by which it was selected opens no way around.
    agents.kubectl(&["label", "pod", &pod, "fracta-agent-id-"]);
    let forge = format!("{}=forged", GUARDED[0]);
    let forged = [
        "--namespace",
        &agents.name,
        "annotate",
        "--overwrite",
        "pod",
        &pod,
        &forge,
    ];
    refused("without the label", world.cluster.try_kubectl(&forged).error());

    let after = agents.get(&["pod", &pod]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
}

#[test]
fn everything_else_about_pods_goes_on_injected_or_not() {
    let Some(world) = world() else { return };
    let (agents, pod) = injected(world, "guarded-else");
    let plain = world.namespace("guarded-else-plain", &[]);
    let other = plain.create(&of_file("fracta-stream-pod")[0])["metadata"]["name"].clone();

    for (namespace, pod) in [(&agents, pod.as_str()), (&plain, other.as_str().unwrap())] {
        namespace.kubectl(&["label", "pod", pod, "team=a"]);
        namespace.kubectl(&["annotate", "pod", pod, "example.com/note=seen"]);
        namespace.kubectl(&["annotate", "pod", pod, "example.com/note-"]);
        let url = format!("/api/v1/namespaces/{}/pods/{pod}/binding", namespace.name);
        let binding = binding(pod, &json!({"example.com/zone": "a"}));
        world
            .cluster
            .kubectl_stdin(&["create", "--raw", &url, "--filename", "-"], &binding);
        let running = r#"{"status": {"phase": "Running"}}"#;
        namespace.kubectl(&[
            "patch",
            "pod",
            pod,
            "--subresource=status",
            "--type=merge",
            "--patch",
            running,
        ]);

        let stored = namespace.get(&["pod", pod]);
        assert_eq!(stored["metadata"]["labels"]["team"], "a");
        assert_eq!(stored["metadata"]["annotations"]["example.com/zone"], "a");
        assert_eq!(stored["spec"]["nodeName"], "node1");
        assert_eq!(stored["status"]["phase"], "Running");
        namespace.kubectl(&["delete", "pod", pod, "--now", "--wait=false"]);
    }
}
