//! `audit`, `check pod` and `diff` of agents in a real API server. They share its world with nobody.

use serde_json::Value;

use crate::check::agent;
use crate::policies::FRACTA;
use crate::world::{World, vertex_injector};
use harness::process::Ran;

fn ask(world: &World, arguments: &[&str], input: &str) -> Ran {
    let kubeconfig = world.cluster.kubeconfig().to_str().expect("UTF-8");
    vertex_injector(&[arguments, &["--kubeconfig", kubeconfig]].concat(), input)
}

/// What `audit` says of agents that all have what today's policies say.
#[track_caller]
fn nobody_differs(world: &World) -> Ran {
    let audited = ask(world, &["audit"], "");
    let told = (audited.code, audited.stdout.as_str());
    assert_eq!(told, (Some(0), ""), "{}", audited.stderr);
    audited
}

fn policy(namespace: &str, spec: &str) -> String {
    let spec = crate::pods::document(spec);
    serde_json::json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "agents", "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

#[test]
fn agents_are_compared_with_the_policies_of_today_and_with_those_of_tomorrow() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    let (before, after) = (
        FRACTA.replace("REGION", "us-east5"),
        FRACTA.replace("REGION", "europe-west1"),
    );
    agents.policy("agents", &before);
    agents.create(&agent("running"));

    // As it is: nobody differs.
    let audited = nobody_differs(&world);
    assert!(
        audited
            .stderr
            .contains("note: running agents that have what today's policies say: 1"),
        "{}",
        audited.stderr
    );
    let nowhere = ask(&world, &["audit", "-n", "nowhere"], "");
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(2), ""));
    assert!(
        nowhere.stderr.contains("there is no namespace nowhere"),
        "{}",
        nowhere.stderr
    );
    let outside = ask(&world, &["audit", "-n", "kube-system"], "");
    assert_eq!(outside.code, Some(0), "{}", outside.stderr);
    assert!(
        outside.stderr.contains("note: no pod of namespace kube-system is sent"),
        "{}",
        outside.stderr
    );
    let explained = ask(&world, &["check", "pod", "running", "-n", "agents"], "");
    assert_eq!(explained.code, Some(0), "{}{}", explained.stdout, explained.stderr);
    explained.tells(&[
        "✓ Pod agents/running: was injected by agents/agents@1: variables ",
        "✓ Pod agents/running: has what agents/agents@1 says today",
    ]);
    let same = ask(&world, &["diff", "--cluster", "-f", "-"], &policy("agents", &before));
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
    assert_eq!(same.stdout, "0 of 1 pods would get something else\n");

    // As it would be.
    let changed = ask(&world, &["diff", "--cluster", "-f", "-"], &policy("agents", &after));
    assert_eq!(changed.code, Some(1), "{}{}", changed.stdout, changed.stderr);
    changed.tells(&[
        "Pod agents/running would be injected otherwise by agents/agents",
        "  ~ ",
        "/CLOUD_ML_REGION=us-east5 -> europe-west1",
        "1 of 1 pods would get something else",
    ]);
    let denying = format!("{after}conflicts: {{values: Deny}}\nenv: [{{name: HOME, value: /elsewhere}}]\n");
    let mut other = agent("other");
    other["spec"]["containers"][0]["env"] = serde_json::json!([{"name": "HOME", "value": "/home"}]);
    agents.create(&other);
    let denied = ask(
        &world,
        &["diff", "--cluster", "-o", "json", "-f", "-"],
        &policy("agents", &denying),
    );
    assert_eq!(denied.code, Some(1), "{}{}", denied.stdout, denied.stderr);
    let shown: Value = serde_json::from_str(&denied.stdout).expect("JSON");
    assert_eq!(shown["changed"][0]["name"], "other");
    assert_eq!(shown["changed"][0]["effect"], "denied");
    assert_eq!(shown["changed"][0]["reason"], "Conflict");
    let invalid = format!("{after}env: [{{name: ANTHROPIC_BASE_URL, value: x}}]\n");
    let refused = ask(&world, &["diff", "--cluster", "-f", "-"], &policy("agents", &invalid));
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("policy agents/agents: spec.env[0].name"),
        "{}",
        refused.stderr
    );

    // What diff has said comes true.
    agents.policy("agents", &denying);
    let audited = ask(&world, &["audit"], "");
    assert_eq!(audited.code, Some(1), "{}{}", audited.stdout, audited.stderr);
    audited.tells(&[
        "agents/other: AgentWouldBeRefused: would be refused by agents/agents@2 (Conflict)",
        "agents/running: AgentOutdated: was injected by agents/agents@1; agents/agents@2 would change: ",
    ]);
    let names = ask(&world, &["audit", "-n", "agents", "-o", "name"], "");
    assert_eq!(names.stdout, "pod/other\npod/running\n");
    let wide = ask(&world, &["audit", "-o", "wide"], "").stdout;
    assert!(
        wide.lines()
            .any(|line| line.starts_with("  ~ ") && line.ends_with("us-east5 -> europe-west1")),
        "{wide}"
    );
    let explained = ask(&world, &["check", "pod", "running", "-n", "agents", "--strict"], "");
    assert_eq!(explained.code, Some(1));
    explained.tells(&["! Pod agents/running: agents/agents@2 would inject otherwise today, "]);
    let absent = ask(&world, &["check", "pod", "nobody", "-n", "agents"], "");
    assert_eq!(absent.code, Some(2));
    assert!(
        absent.stderr.contains("there is no pod nobody in namespace agents"),
        "{}",
        absent.stderr
    );

    // Made anew, all is as it should be, whatever the API server has filled in.
    agents.kubectl(&["delete", "pod", "--all", "--now"]);
    agents.create(&agent("running"));
    let audited = ask(&world, &["audit", "-o", "json"], "");
    let shown: Value = serde_json::from_str(&audited.stdout).expect("JSON");
    assert_eq!(audited.code, Some(0), "{shown:#}");
    assert_eq!(
        (&shown["current"], &shown["agents"]),
        (&1.into(), &serde_json::json!([]))
    );
}

#[test]
fn a_pod_with_everything_that_a_policy_can_inject_is_what_today_says_right_after_it_was_created() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    let spec = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
access: Proxy
isolation: BestEffort
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode, GoogleGenAI], models: {opus: claude-opus-4-6}}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]
tokens: [{name: gateway, audience: gateway, mountPath: /var/run/gateway, envName: GATEWAY_TOKEN_PATH}]
sidecars: [{name: github, image: 'registry.example.com/mcp-github:1', port: 8105, mcpKey: github}]
mcpConfig: {mountPath: /etc/mcp}
";
    agents.policy("agents", spec);
    let created = agents.create(&agent("running"));
    assert_eq!(
        created["spec"]["initContainers"][0]["restartPolicy"], "Always",
        "{created:#}"
    );

    nobody_differs(&world);
    let explained = ask(&world, &["check", "pod", "running", "-n", "agents"], "");
    // There is no kubelet.
    assert_eq!(explained.code, Some(1));
    let line = "✗ Pod agents/running: container vertex-injector-broker has not been started yet";
    assert!(explained.stdout.contains(line), "{}", explained.stdout);
    let same = ask(&world, &["diff", "--cluster", "-f", "-"], &policy("agents", spec));
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
}
