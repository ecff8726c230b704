//! Things that go away and come back: the webhook, one of two, the API server. Each test has a world of its own.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pods::{document, of_file};
use crate::policies::{FRACTA, region};
use crate::webhook::free_port;
use crate::world::{Namespace, RELEASE, World};

fn agent(name: &str) -> Value {
    let mut pod = of_file("fracta-stream-pod").remove(0);
    pod["metadata"]["name"] = name.into();
    pod
}

#[track_caller]
fn assert_injected(pod: &Value) {
    assert!(
        pod["metadata"]["annotations"]["vertex-injector.dev/policy-ref"].is_string(),
        "{pod:#}"
    );
}

#[test]
fn without_the_webhook_agents_of_opted_in_namespaces_are_refused_and_nothing_else_is() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    let plain = world.namespace("plain", &[]);
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    assert_injected(&agents.create(&agent("before")));

    world.kill_webhook();

    let error = agents.refusal(&agent("meanwhile"));
    assert!(
        error.contains("failed calling webhook \"fracta.vertex-injector.dev\""),
        "{error}"
    );
    assert!(error.contains("connection refused"), "{error}");
    for (namespace, name, labels) in [
        (&agents, "unrelated", "{app: web}"),
        (&agents, "without-labels", "{}"),
        (
            &agents,
            "opted-out",
            "{fracta-agent-id: a, vertex-injector.dev/inject: 'false'}",
        ),
        (&plain, "agent-elsewhere", "{fracta-agent-id: a}"),
        (&plain, "asks-elsewhere", "{vertex-injector.dev/inject: 'true'}"),
    ] {
        let mut pod = agent(name);
        pod["metadata"]["labels"] = document(labels);
        namespace.create(&pod);
    }
    // Nothing else waits for it either: not the agents that are there, not the policies.
    agents.kubectl(&["label", "pod", "before", "team=a"]);
    agents.kubectl(&["delete", "pod", "before", "--now", "--wait=false"]);
    agents.write_policy("agents", &FRACTA.replace("REGION", "europe-west1"));
    agents.kubectl(&["create", "configmap", "any"]);

    world.start_webhook();

    let after = agents.create(&agent("after"));
    assert_injected(&after);
    assert_eq!(region(&after), "europe-west1");
}

#[test]
fn a_bad_policy_that_is_stored_while_the_webhook_is_away_says_why_and_its_pods_are_refused() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    let bad = FRACTA.replace("REGION", "us-east5") + "env: [{name: ANTHROPIC_BASE_URL, value: x}]\n";
    let words = r#"spec.env[0].name: "ANTHROPIC_BASE_URL" may not be set by a policy"#;
    let refused = agents.refused_policy("agents", &bad);
    assert!(refused.contains(words), "{refused}");

    world.kill_webhook();
    agents.write_policy("agents", &bad);
    world.start_webhook();

    agents.kubectl(&[
        "wait",
        "--for=jsonpath={.status.conditions[0].reason}=Invalid",
        "injectionpolicy/agents",
        "--timeout=10s",
    ]);
    let ready = agents.get(&["injectionpolicy", "agents"])["status"]["conditions"][0].clone();
    assert_eq!(ready["status"], "False");
    assert!(ready["message"].as_str().unwrap().contains(words), "{ready}");
    let error = agents.refusal(&agent("refused"));
    assert!(
        error.contains("policy agents/agents selects this pod and is invalid") && error.contains(words),
        "{error}"
    );
}

#[test]
fn after_a_restart_of_the_api_server_policies_are_followed_again() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    assert_eq!(region(&agents.create(&agent("before"))), "us-east5");

    world.cluster.restart_api_server().expect("it is ours");

    // What it knew, it still knows.
    assert_eq!(region(&agents.create(&agent("right-after"))), "us-east5");
    agents.write_policy("agents", &FRACTA.replace("REGION", "europe-west1"));
    let until = Instant::now() + Duration::from_secs(15);
    while dry_run_region(&agents) != "europe-west1" {
        assert!(Instant::now() < until, "the edit is not followed after 15 s");
    }
    agents.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "injectionpolicy/agents",
        "--timeout=10s",
    ]);
    world.ask_webhook(|webhook| assert!(webhook.get("/readyz").starts_with("HTTP/1.1 200 ")));
}

#[test]
fn two_webhooks_share_one_certificate_and_either_serves() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    let versions = || {
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let secret = world
            .cluster
            .get(&["--namespace", RELEASE, "secret", "vertex-injector-tls"]);
        let configuration = world.cluster.get(&["mutatingwebhookconfiguration", RELEASE]);
        (version(&secret), version(&configuration))
    };
    let before = versions();

    let port = free_port();
    let another = world.another_webhook(port);
    assert_injected(&agents.create(&agent("served-by-the-first")));

    // Ready means that it has checked both; neither found anything to correct.
    assert_eq!(versions(), before);
    world.move_webhook_to(port);
    world.kill_webhook();
    let until = Instant::now() + Duration::from_secs(10);
    // The API server follows its configuration within moments.
    while !agents.try_create(&["--dry-run=server"], &agent("first")).success() {
        assert!(Instant::now() < until, "the API server does not call the other webhook");
    }
    assert_injected(&agents.create(&agent("served-by-the-other")));
    assert_eq!(another.reasons("agents", "served-by-the-other"), ["Injected"]);
}

#[track_caller]
fn dry_run_region(agents: &Namespace<'_>) -> String {
    let shown = agents.try_create(&["--dry-run=server"], &agent("agent")).output();
    region(&serde_json::from_str(&shown).expect("kubectl prints JSON"))
}
