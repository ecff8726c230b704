//! `doctor --in-pod` in pods that run: a container of ours is added, goes the way, and its hops are shown.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::world::{
    ACCESS, Access, PATIENCE, Told, asking, broker_status, google, namespace_of, pod, told, until_told,
};
use crate::fake_google::{PROVIDER, SERVICE_ACCOUNT};
use crate::installed::{Agents, RELEASE, WELL, node};
use harness::process::{Ran, run};

/// Runs it for a pod. No token is shown.
#[track_caller]
fn doctor(agents: &Agents<'_>, pod: &str, more: &[&str]) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_vertex-injector"));
    let mut command = agents.node.command(program);
    command
        .args(["doctor", "--in-pod", pod, "--namespace", agents.name])
        .args(more);
    let ran = run(&mut command, "", Duration::from_mins(2));
    let all = format!("{}{}", ran.stdout, ran.stderr);
    for token in ["eyJ", "ya29.", "Bearer "] {
        assert!(!all.contains(token), "a token is shown: {all}");
    }
    ran
}

#[track_caller]
fn assert_told(ran: &Ran, lines: &[&str]) {
    for line in lines {
        assert!(
            ran.stdout.lines().any(|told| told.starts_with(line)),
            "{line} is not in\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn a_container_added_to_a_pod_of_every_mode_goes_the_way_to_the_model_and_the_agent_does_not_notice() {
    let (Some(node), Some(_google)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
    let agents = namespace_of(node, "doctor-modes", &restricted, Some(SERVICE_ACCOUNT));
    let image = node.get(&["--namespace", RELEASE, "deployment", RELEASE])["spec"]["template"]["spec"]["containers"][0]
        ["image"]
        .as_str()
        .expect("an image")
        .to_owned();
    for access in ACCESS {
        let name = access.name();
        let running = format!("pod/{name}");
        agents.create(&asking(name, access));
        agents.until_ready(&running);
        let image = format!("--image={image}");
        let more: &[&str] = match access {
            Access::File => &["--model=claude-haiku-4-5", &image],
            Access::Metadata | Access::Proxy => &["--model=claude-haiku-4-5"],
        };
        let ran = doctor(&agents, name, more);
        assert_eq!(ran.code, Some(0), "{access:?}: {}{}", ran.stdout, ran.stderr);
        let hops: &[&str] = match access {
            Access::File => &[
                "✓ identity-token /var/run/secrets/vertex-injector/token: issuer ",
                "✓ name sts.googleapis.com:443: 10.",
                "✓ tls sts.googleapis.com:443: signed by ",
                "✓ clock sts.googleapis.com:443: ",
                "✓ exchange cluster: a token",
                "✓ impersonation agent@my-project.iam.gserviceaccount.com: a token",
                "✓ vertex claude-haiku-4-5 in us-east5: the model answered",
            ],
            Access::Metadata => &[
                "✓ metadata 127.0.0.1:8470: a token",
                "✓ name us-east5-aiplatform.googleapis.com:443: 10.",
                "✓ tls us-east5-aiplatform.googleapis.com:443: signed by ",
                "✓ vertex claude-haiku-4-5 in us-east5: the model answered",
            ],
            Access::Proxy => &[
                "✓ configuration: the broker's Vertex proxy, project my-project, location us-east5",
                "✓ broker 127.0.0.1:8471: it let the call through",
                "✓ vertex claude-haiku-4-5 in us-east5: the model answered",
            ],
        };
        assert_told(&ran, hops);

        // Its identity token and its broker are as before.
        let before = told(&agents, &running);
        until_told(&agents, &running, &before, PATIENCE, Told::has_answer);
        let pod = agents.get(&[&running]);
        assert_eq!(pod["spec"]["ephemeralContainers"].as_array().map(Vec::len), Some(1));
        assert_eq!(pod["status"]["phase"], "Running");
        if access != Access::File {
            assert_eq!(broker_status(&agents, &running)["restartCount"], 0);
        }
    }
    // A second time, and for a script.
    let again = doctor(&agents, "proxy", &["--model=claude-haiku-4-5", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&again.output()).expect("JSON");
    assert_eq!(report["hops"][0]["hop"], "configuration");
}

#[test]
fn where_the_broker_has_no_token_it_says_so_and_looks_at_the_ways_that_the_broker_goes() {
    let (Some(node), Some(_google)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace_of(node, "doctor-refused", &[], None);
    agents.policy(&json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "elsewhere"},
        "spec": {
            "access": "Proxy", "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
            "identity": {"workloadIdentityFederation": {"provider": PROVIDER.replace("/cluster", "/elsewhere")}},
        },
    }));
    let mut refused = pod("refused", Access::Proxy, "until [ -e /tmp/stop ]; do sleep 1; done");
    refused["metadata"]["annotations"] = json!({"vertex-injector.dev/policy": "elsewhere"});
    agents.create(&refused);
    agents.until_ready("pod/refused");

    let ran = doctor(&agents, "refused", &["--model=claude-haiku-4-5"]);

    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    let hops = [
        "✗ broker 127.0.0.1:8471: status 403: vertex-injector: Google gives this pod no access token: token exchange: ",
        "    BrokerNoToken: ",
        "✓ name sts.googleapis.com:443: 10.",
        "✓ tls sts.googleapis.com:443: signed by ",
        "✓ tls us-east5-aiplatform.googleapis.com:443: signed by ",
        "· vertex claude-haiku-4-5 in us-east5: not tried",
    ];
    assert_told(&ran, &hops);
}
