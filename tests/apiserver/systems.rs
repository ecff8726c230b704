//! Every pod of the four systems, created as its system creates it, with a policy for that system.

use serde_json::Value;

use crate::difference::{assert_same_pieces, stored, without_identity};
use crate::pods::of_file;
use crate::world::{Namespace, World, world};

const KARTOGRAPH: &str = "
agents:
- podSelector: {matchLabels: {kartograph.runtime.kind: sticky}}
  credentialDirectory: /gcloud/config
- podSelector: {matchLabels: {kartograph.runtime.kind: extraction-job}}
  credentialDirectory: /home/agent-ci/.config/gcloud
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode, Kartograph]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
    serviceAccount: kartograph-agent@my-project.iam.gserviceaccount.com
";

const FRACTA: &str = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
    tokenExpirationSeconds: 1800
authHelpers: [{configMapName: fracta-auth-helpers, mountPath: /opt/fracta/auth-helpers}]
env: [{name: VERTEX_SA, value: agent@my-project.iam.gserviceaccount.com}]
";

const AMBIENT: &str = "
agents:
- podSelector: {matchExpressions: [{key: ambient-code.io/session-id, operator: Exists}]}
  containers: [ambient-code-runner]
- podSelector: {matchExpressions: [{key: agentic-session, operator: Exists}]}
  containers: [ambient-code-runner]
vertex: {project: other-project, region: europe-west1, clients: [Ambient]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
conflicts: {values: Override, apiKeys: Remove}
";

const OPEN_SHELL: &str = "
agents: [{podSelector: {matchExpressions: [{key: agents.x-k8s.io/sandbox-name-hash, operator: Exists}]}}]
vertex: {project: other-project, region: europe-west1, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]
conflicts: {values: Override, apiKeys: Remove}
";

/// A namespace with a policy, and one that has not opted in.
#[track_caller]
fn namespaces<'a>(world: &'a World, name: &str, policy: &str) -> (Namespace<'a>, Namespace<'a>) {
    let agents = world.opted_in(name);
    agents.policy("agents", policy);
    (agents, world.namespace(&format!("{name}-plain"), &[]))
}

#[test]
fn a_sticky_session_of_kartograph() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "sticky", KARTOGRAPH);

    let change = agents.change(&plain, &of_file("kartograph-sticky")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn an_extraction_job_of_kartograph() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "extraction", KARTOGRAPH);

    let change = agents.change(&plain, &of_file("kartograph-agentic-ci-job")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn an_extraction_job_that_brings_its_own_key_keeps_it_and_its_creator_is_told() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "own-key", KARTOGRAPH);
    let pod = &of_file("kartograph-agentic-ci-job")[1];

    let mark = "+ annotation vertex-injector.dev/skipped: OwnApiKey";
    assert_eq!(agents.change(&plain, pod), mark);

    let told = agents.try_create(&["--dry-run=server"], pod);
    assert!(
        told.stderr
            .contains("Warning: vertex-injector left this pod alone (OwnApiKey)"),
        "{}",
        told.stderr
    );
}

#[test]
fn an_ephemeral_worker_of_kartograph_is_none_of_our_business() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "ephemeral", KARTOGRAPH);
    let pod = &of_file("kartograph-ephemeral-worker")[0];

    assert_eq!(agents.change(&plain, pod), "");

    let name = pod["metadata"]["name"].as_str().unwrap();
    assert!(
        world
            .ask_webhook(|webhook| webhook.reasons(&agents.name, name))
            .is_empty()
    );
}

#[test]
fn a_job_of_fracta() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "fracta-job", FRACTA);

    let change = agents.change(&plain, &of_file("fracta-job-pod")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn a_stream_pod_of_fracta_that_has_its_helpers_already() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "fracta-stream", FRACTA);

    let change = agents.change(&plain, &of_file("fracta-stream-pod")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn a_session_of_ambient_without_vertex() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "ambient-novertex", AMBIENT);

    let change = agents.change(&plain, &of_file("ambient-cp-runner-novertex")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn a_session_of_ambient_with_a_static_key() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "ambient-key", AMBIENT);

    let change = agents.change(&plain, &of_file("ambient-cp-runner")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn a_session_of_ambients_older_operator() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "ambient-operator", AMBIENT);

    let change = agents.change(&plain, &of_file("ambient-operator-runner")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn sandboxes_of_openshell_are_stored_as_they_were_sent_whatever_the_policy_says() {
    let Some(world) = world() else { return };
    let (agents, plain) = namespaces(world, "openshell", OPEN_SHELL);
    for file in ["openshell-combined", "openshell-sidecar"] {
        let pod = &of_file(file)[0];

        let mut stored = agents.create(pod);
        // The one trace of it, where the sandbox's owner looks.
        let annotations = stored["metadata"]["annotations"].as_object_mut().unwrap();
        assert_eq!(
            annotations.remove("vertex-injector.dev/skipped").unwrap(),
            "ManagedByOpenShell"
        );
        assert_eq!(without_identity(stored), without_identity(plain.create(pod)), "{file}");

        let name = pod["metadata"]["name"].as_str().unwrap();
        let reasons = world.ask_webhook(|webhook| webhook.reasons(&agents.name, name));
        assert_eq!(reasons, ["ManagedByOpenShell"]);
    }
}

#[test]
fn a_policy_may_patch_the_user_environment_of_an_openshell_sandbox_and_nothing_else_of_it() {
    let Some(world) = world() else { return };
    let policy = format!("{OPEN_SHELL}\nopenShell: PatchUserEnvironment");
    let (agents, plain) = namespaces(world, "openshell-patched", &policy.replace("authHelpers", "#"));

    let change = agents.change(&plain, &of_file("openshell-combined")[0]);

    insta::assert_snapshot!(change);
}

#[test]
fn what_is_stored_is_what_the_command_line_says() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("same-as-offline");
    agents.policy("agents", FRACTA);
    let mut pod = of_file("fracta-stream-pod").remove(0);
    pod["metadata"]["namespace"] = agents.name.clone().into();
    let policy = agents.get(&["injectionpolicy", "agents"]);
    let file = world.folder().join("same-as-offline.json");
    std::fs::write(&file, policy.to_string()).unwrap();

    let offline = crate::world::vertex_injector(
        &["inject", "-f", "-", "--policy", file.to_str().unwrap(), "-o", "json"],
        &pod.to_string(),
    );
    let offline: Value = serde_json::from_str(&offline.output()).unwrap();

    let plain = world.namespace("same-as-offline-plain", &[]);
    // The API server's own plugins come before us here, and after us there.
    assert_same_pieces(&stored(&agents.create(&pod)), &stored(&plain.create(&offline)));
}
