//! Whom the API server sends to the webhook, and who is left alone.

use serde_json::{Value, json};

use crate::pods::{document, of_file};
use crate::world::{Namespace, world};

const EVERYBODY: &str = "
agents: [{podSelector: {}}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
";

/// A pod with these labels (YAML in braces).
fn pod(name: &str, labels: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": document(labels)},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "agent", "image": "example.com/agent"}]},
    })
}

#[track_caller]
fn asks(name: &str) -> Value {
    pod(name, "{vertex-injector.dev/inject: 'true'}")
}

#[track_caller]
fn is_injected(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["vertex-injector.dev/policy-ref"].is_string()
}

#[track_caller]
fn assert_untouched(agents: &Namespace<'_>, plain: &Namespace<'_>, pod: &Value) {
    assert_eq!(agents.change(plain, pod), "", "{pod}");
}

#[test]
fn a_pod_that_asks_where_no_policy_is_gets_the_remedy_instead() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("no-policy");

    let error = agents.refusal(&asks("agent"));

    assert_eq!(
        error.trim(),
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"inject.vertex-injector.dev\" denied the \
         request: the pod asks for injection with label vertex-injector.dev/inject: \"true\", and no InjectionPolicy serves \
         namespace no-policy; create one, or set the label to \"false\""
    );
}

#[test]
fn a_pod_that_asks_is_served_by_a_policy_that_is_newer_than_the_watch() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("newer-than-the-watch");

    // In one go: nothing waits for the webhook to hear of the policy.
    agents.write_policy(
        "agents",
        "{tokens: [{name: gateway, audience: gateway, mountPath: /var/run/gateway}]}",
    );
    let pod = agents.create(&asks("agent"));

    assert!(is_injected(&pod), "{pod:#}");
}

#[test]
fn pods_that_opt_out_and_pods_that_are_no_agents_are_untouched_where_a_policy_selects_everything() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("untouched");
    let plain = world.namespace("untouched-plain", &[]);
    agents.write_policy("everybody", EVERYBODY);
    let told = [
        "--for=condition=Ready=False",
        "injectionpolicy/everybody",
        "--timeout=10s",
    ];
    agents.kubectl(&[&["wait"], &told[..]].concat());

    assert_untouched(
        &agents,
        &plain,
        &pod("opted-out", "{vertex-injector.dev/inject: 'false', fracta-agent-id: a}"),
    );
    assert_untouched(&agents, &plain, &pod("unrelated", "{app: web}"));
    assert_untouched(&agents, &plain, &pod("without-labels", "{}"));
    assert_untouched(&agents, &plain, &pod("control-plane", "{app: fracta}"));

    assert!(is_injected(&agents.create(&asks("asks"))));
    assert!(is_injected(&agents.create(&pod("agent", "{fracta-agent-id: a}"))));
}

#[test]
fn agents_of_namespaces_that_have_not_opted_in_are_untouched_even_if_a_policy_is_there() {
    let Some(world) = world() else { return };
    for (name, labels) in [
        ("not-opted-in", &[][..]),
        ("opted-out-again", &[("vertex-injector.dev/injection", "disabled")][..]),
    ] {
        let agents = world.namespace(name, labels);
        agents.write_policy("everybody", EVERYBODY);

        let pod = agents.create(&asks("agent"));

        assert!(!is_injected(&pod), "{pod:#}");
        assert!(world.ask_webhook(|webhook| webhook.reasons(name, "agent")).is_empty());
    }
}

#[test]
fn the_webhooks_own_namespace_and_the_systems_take_no_part_whatever_their_labels() {
    let Some(world) = world() else { return };
    for namespace in ["kube-system", "vertex-injector"] {
        world
            .cluster
            .kubectl(&["label", "namespace", namespace, "vertex-injector.dev/injection=enabled"]);
        // No ServiceAccount is there in a control plane.
        let _ = world
            .cluster
            .try_kubectl(&["--namespace", namespace, "create", "serviceaccount", "default"]);
        let mut pod = asks("agent");
        pod["metadata"]["namespace"] = namespace.into();

        world
            .cluster
            .kubectl_stdin(&["create", "--filename", "-"], &pod.to_string());

        assert!(
            world
                .ask_webhook(|webhook| webhook.reasons(namespace, "agent"))
                .is_empty()
        );
    }
}

#[test]
fn a_namespace_that_opts_in_later_is_served_from_then_on() {
    let Some(world) = world() else { return };
    let agents = world.namespace("opts-in-later", &[]);
    agents.write_policy("everybody", EVERYBODY);
    assert!(!is_injected(&agents.create(&asks("before"))));

    world.cluster.kubectl(&[
        "label",
        "namespace",
        &agents.name,
        "vertex-injector.dev/injection=enabled",
    ]);

    assert!(is_injected(&agents.create(&asks("after"))));
}

#[test]
fn an_injected_pod_of_the_restricted_standard_is_admitted_with_its_sidecar() {
    let Some(world) = world() else { return };
    let restricted = [
        ("vertex-injector.dev/injection", "enabled"),
        ("pod-security.kubernetes.io/enforce", "restricted"),
    ];
    let agents = world.namespace("restricted", &restricted);
    agents.policy(
        "polecats",
        "
agents: [{podSelector: {matchExpressions: [{key: gastown.io/polecat, operator: Exists}]}, containers: [claude]}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]
tokens: [{name: gateway, audience: gateway, mountPath: /var/run/gateway}]
sidecars: [{name: github, image: registry.example.com/mcp-github:1, port: 8105, mcpKey: github}]
conflicts: {apiKeys: Remove}
",
    );

    let pod = agents.create(&of_file("gastown-polecat")[0]);

    assert!(is_injected(&pod), "{pod:#}");
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "vertex-injector-github");
    // The standard is enforced: the same pod with one step outside of it is not admitted.
    let mut outside = of_file("gastown-polecat").remove(0);
    outside["metadata"]["name"] = "outside".into();
    outside["spec"]["hostNetwork"] = true.into();
    let error = agents.refusal(&outside);
    assert!(error.contains("violates PodSecurity \"restricted"), "{error}");
}
