//! While replicas of the webhook come and go, agent pods are created as before.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::IMAGE;
use crate::installed::{Agents, RELEASE, WELL, node};
use harness::node::Node;
use harness::process::run;

/// Pods that are created by one call of kubectl.
const AT_ONCE: usize = 20;

/// An agent that no scheduler takes care of: it is created, and that is all.
fn agents_to_create(round: usize) -> Value {
    let pod = |number: usize| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("agent-{round}-{number}"), "labels": {"vertex-injector.dev/inject": "true"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "agent", "image": IMAGE}]},
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": (0..AT_ONCE).map(pod).collect::<Vec<_>>()})
}

/// Creates agents all the time while something happens; how many, and what was said about those that were refused.
fn creating(agents: &Agents<'_>, something: impl FnOnce()) -> (usize, String) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let creator = scope.spawn(|| {
            let (mut rounds, mut refused) = (0, String::new());
            while !over.load(Ordering::Relaxed) || rounds == 0 {
                let create = ["--namespace", agents.name, "create", "--filename", "-"];
                let list = agents_to_create(rounds).to_string();
                refused.push_str(&agents.node.try_kubectl_stdin(&create, &list).stderr);
                rounds += 1;
            }
            (rounds * AT_ONCE, refused)
        });
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(something));
        over.store(true, Ordering::Relaxed);
        let created = creator.join().expect("the creator");
        if let Err(panic) = happened {
            std::panic::resume_unwind(panic);
        }
        created
    })
}

#[track_caller]
fn assert_all_injected(agents: &Agents<'_>, created: usize) {
    let pods = agents.get(&["pods"])["items"].clone();
    let pods = pods.as_array().expect("pods");
    let injected = |pod: &&Value| pod["metadata"]["annotations"]["vertex-injector.dev/policy-ref"].is_string();
    assert_eq!((pods.len(), pods.iter().filter(injected).count()), (created, created));
}

#[track_caller]
fn namespace<'a>(node: &'a Node, name: &'static str) -> Agents<'a> {
    let agents = Agents::new(node, name, "default");
    agents.policy(&json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "agents"},
        "spec": {"tokens": [{"name": "gateway", "audience": "gateway", "mountPath": "/var/run/gateway"}]},
    }));
    agents
}

/// Names of the webhook's pods, those that are about to go included.
#[track_caller]
fn replicas(node: &Node) -> Vec<String> {
    let pods = node.get(&["--namespace", RELEASE, "pods"])["items"].clone();
    let pods = pods.as_array().expect("pods");
    pods.iter()
        .map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn a_rollout_of_the_webhook_loses_no_agent() {
    let Some(node) = node() else { return };
    let _unwell = WELL.write();
    let agents = namespace(node, "rollout");
    let before = replicas(node);

    let (created, refused) = creating(&agents, || {
        let deployment = ["--namespace", RELEASE, "rollout"];
        node.kubectl(&[&deployment[..], &["restart", "deployment/vertex-injector"]].concat());
        node.kubectl(
            &[
                &deployment[..],
                &["status", "deployment/vertex-injector", "--timeout=120s"],
            ]
            .concat(),
        );
        // Until the last of the old ones has drained.
        for pod in &before {
            let pod = format!("pod/{pod}");
            node.kubectl(&["--namespace", RELEASE, "wait", "--for=delete", &pod, "--timeout=60s"]);
        }
    });

    assert_eq!(refused, "");
    assert_all_injected(&agents, created);
    assert_eq!(replicas(node).len(), 2);
}

#[test]
fn a_replica_that_is_killed_is_not_missed() {
    let Some(node) = node() else { return };
    let _unwell = WELL.write();
    let agents = namespace(node, "killed");
    let victim = replicas(node).remove(0);

    let (created, refused) = creating(&agents, || {
        node.kubectl(&[
            "--namespace",
            RELEASE,
            "delete",
            "pod",
            &victim,
            "--force",
            "--grace-period=0",
        ]);
        let ready = "--for=jsonpath={.status.readyReplicas}=2";
        let until = Instant::now() + Duration::from_mins(1);
        while replicas(node).contains(&victim) {
            assert!(Instant::now() < until, "{victim} is still there");
        }
        node.kubectl(&[
            "--namespace",
            RELEASE,
            "wait",
            ready,
            "deployment/vertex-injector",
            "--timeout=60s",
        ]);
    });

    assert_eq!(refused, "");
    assert_all_injected(&agents, created);
}

/// Nobody can help the one request that the API server has sent there, or sends before kube-proxy knows.
#[test]
fn a_replica_that_crashes_costs_a_moment_lets_no_agent_through_as_it_is_and_controllers_try_again() {
    let Some(node) = node() else { return };
    let _unwell = WELL.write();
    let agents = namespace(node, "crashed");
    let victim = replicas(node).remove(0);

    let (created, refused) = creating(&agents, || {
        crash(node, &victim);
        let agent = &agents_to_create(0)["items"][0];
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "crash"},
            "spec": {"parallelism": AT_ONCE, "completions": AT_ONCE, "template": {
                "metadata": {"labels": agent["metadata"]["labels"]}, "spec": agent["spec"],
            }},
        });
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
        agents.create(&job);
        let all = format!("--for=jsonpath={{.status.active}}={AT_ONCE}");
        agents.kubectl(&["wait", &all, "job/crash", "--timeout=60s"]);
        let until = Instant::now() + Duration::from_mins(1);
        while !has_restarted(node, &victim) {
            assert!(Instant::now() < until, "{victim} is not ready again");
        }
    });

    for line in refused.lines() {
        assert!(line.contains("failed calling webhook"), "{line}");
    }
    let lost = refused.lines().count();
    assert!(lost <= AT_ONCE, "{refused}");
    assert_all_injected(&agents, created - lost + AT_ONCE);
    let again = ["--namespace", agents.name, "create", "--filename", "-"];
    node.kubectl_stdin(&again, &agents_to_create(usize::MAX).to_string());
}

/// SIGKILL for the process in a pod's container.
#[track_caller]
fn crash(node: &Node, pod: &str) {
    let pod = node.get(&["--namespace", RELEASE, "pod", pod]);
    let container = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .expect("a container");
    let mut kill = Command::new("ctr");
    kill.arg("--address").arg(node.supervisor().path("CONTAINERD"));
    kill.args(["--namespace", "k8s.io", "task", "kill", "--signal", "KILL"]);
    kill.arg(container.trim_start_matches("containerd://"));
    run(&mut kill, "", Duration::from_secs(10)).output();
}

#[track_caller]
fn has_restarted(node: &Node, pod: &str) -> bool {
    let pod = node.get(&["--namespace", RELEASE, "pod", pod]);
    let container = &pod["status"]["containerStatuses"][0];
    container["restartCount"] == 1 && container["ready"] == true
}
