//! Pods that come more than once: as a dry-run, after other plugins changed them, made anew from what was injected before.

use serde_json::Value;

use crate::difference::{assert_same_pieces, stored};
use crate::pods::{document, of_file};
use crate::world::{vertex_injector, world};

const BEFORE: &str = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode, GoogleGenAI], models: {opus: claude-opus-4-6}}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
authHelpers: [{configMapName: old-helpers, mountPath: /opt/old-helpers}]
tokens: [{name: gateway, audience: gateway, mountPath: /var/run/gateway, envName: GATEWAY_TOKEN_PATH}]
env: [{name: VERTEX_SA, value: old@my-project.iam.gserviceaccount.com}, {name: GONE, value: soon}]
sidecars: [{name: github, image: 'registry.example.com/mcp-github:1', port: 8105, mcpKey: github}]
";

/// Another value for everything, and some pieces fewer.
const AFTER: &str = "
agents:
- podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}
  credentialDirectory: /var/run/secrets/google
vertex: {project: other-project, region: europe-west1, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/210987654321/locations/global/workloadIdentityPools/others/providers/cluster
    tokenExpirationSeconds: 1200
authHelpers: [{configMapName: new-helpers, mountPath: /opt/new-helpers}]
env: [{name: VERTEX_SA, value: new@my-project.iam.gserviceaccount.com}]
sidecars: [{name: jira, image: 'registry.example.com/mcp-jira:1', port: 8106, mcpKey: jira}]
";

/// The pod of Fracta's Job without variables of its own that a policy also sets, so that all are the policy's.
fn pod(name: &str) -> Value {
    let mut pod = of_file("fracta-stream-pod").remove(0);
    pod["metadata"]["name"] = name.into();
    pod
}

/// A stored pod as a person saves it to create it again.
pub(crate) fn saved(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().unwrap();
    for key in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(key);
    }
    pod.as_object_mut().unwrap().remove("status");
    pod
}

#[test]
fn a_dry_run_shows_the_injected_pod_and_leaves_nothing_behind() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("dry-run");
    agents.policy("agents", BEFORE);
    let everything = || {
        // The shared cluster has other tests' objects; this namespace is ours alone.
        let kinds = "pods,events,injectionpolicies,configmaps,secrets,serviceaccounts";
        agents.get(&[kinds])["items"].clone()
    };
    let before = everything();

    let shown = agents.try_create(&["--dry-run=server"], &pod("agent")).output();

    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["spec"]["initContainers"][0]["name"], "vertex-injector-github");
    assert_eq!(everything(), before);
    let events = world.ask_webhook(|webhook| webhook.log());
    let review = events
        .iter()
        .rfind(|event| event["namespace"] == "dry-run" && event["pod"] == "agent");
    assert_eq!(review.unwrap()["dry_run"], true);
}

#[test]
fn what_a_limit_range_adds_to_our_containers_is_left_there_and_the_pod_stays_as_it_is() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("limit-range");
    agents.policy("agents", BEFORE);
    world.cluster.apply(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: limits, namespace: limit-range}, spec: {limits: [
          {type: Container, defaultRequest: {ephemeral-storage: 1Mi}, default: {ephemeral-storage: 64Mi, cpu: '2'}}]}}",
    );

    let created = agents.create(&pod("agent"));

    let resources = &created["spec"]["initContainers"][0]["resources"];
    assert_eq!(resources["limits"]["ephemeral-storage"], "64Mi", "{created:#}");
    assert_eq!(resources["limits"]["cpu"], "500m");
    // The plugin changed the pod after us, so the API server asked again.
    let reasons = world.ask_webhook(|webhook| webhook.reasons("limit-range", "agent"));
    assert_eq!(reasons, ["Injected", "AlreadyInjected"]);

    agents.kubectl(&["delete", "pod", "agent", "--now"]);
    let again = agents.create(&saved(created.clone()));
    assert_eq!(stored(&again), stored(&created));
    let reasons = world.ask_webhook(|webhook| webhook.reasons("limit-range", "agent"));
    assert_eq!(reasons[2..], ["AlreadyInjected"]);
}

#[test]
fn a_pod_made_anew_from_its_stored_yaml_follows_the_policy_as_it_is_now() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("anew");
    agents.policy("agents", BEFORE);
    let created = agents.create(&pod("agent"));
    agents.kubectl(&["delete", "pod", "agent", "--now"]);

    agents.policy("agents", AFTER);
    let again = agents.create(&saved(created));
    agents.kubectl(&["delete", "pod", "agent", "--now"]);

    assert_same_pieces(&stored(&again), &stored(&agents.create(&pod("agent"))));
}

#[test]
fn a_deployment_injected_offline_makes_pods_that_follow_the_policy_as_it_is_now() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("offline");
    agents.policy("agents", BEFORE);
    let deployment = |name: &str| {
        let pod = pod("agent");
        let mut deployment = document(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {}, spec: {selector: {matchLabels: {app: fracta}}, template: {}}}",
        );
        deployment["metadata"]["name"] = name.into();
        deployment["metadata"]["namespace"] = "offline".into();
        deployment["spec"]["template"]["metadata"]["labels"] = pod["metadata"]["labels"].clone();
        deployment["spec"]["template"]["spec"] = pod["spec"].clone();
        deployment["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
        deployment.to_string()
    };
    let policy = world.folder().join("offline-policy.json");
    let operator = world.folder().join("operator.yaml");
    std::fs::write(&policy, agents.get(&["injectionpolicy", "agents"]).to_string()).unwrap();
    let files = [
        "--policy",
        policy.to_str().unwrap(),
        "--config",
        operator.to_str().unwrap(),
    ];
    let injected = vertex_injector(&[&["inject", "-f", "-"], &files[..]].concat(), &deployment("agent")).output();
    assert!(injected.contains("vertex-injector-github"), "{injected}");

    agents.policy("agents", AFTER);
    world.cluster.apply(&injected);
    let from_injected = stored(&agents.pod_of_deployment("agent"));
    agents.kubectl(&["delete", "deployment", "agent"]);
    agents.kubectl(&["delete", "pod", "agent-6b7c9d8f5-x2v4q", "--now"]);
    world.cluster.apply(&deployment("agent"));
    let from_plain = stored(&agents.pod_of_deployment("agent"));

    assert_same_pieces(&from_injected, &from_plain);
}
