//! While replicas of the webhook come and go, agent pods are created as before.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

#[track_caller]
fn kill_replica(node: &Node, name: &str) {
    let delete = [
        "--namespace",
        RELEASE,
        "delete",
        "pod",
        name,
        "--force",
        "--grace-period=0",
    ];
    node.kubectl(&delete);
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
        kill_replica(node, &victim);
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

/// How many writers create pods at the same time.
const WRITERS: usize = 32;

/// How many pods they create at least, and how many in a second at most, so that they are at it until all has happened.
const PODS: usize = 2_000;
const PER_SECOND: usize = 40;

#[test]
fn rollouts_kills_and_an_upgrade_under_32_writers_lose_no_agent() {
    let Some(node) = node() else { return };
    let _unwell = WELL.write();
    let agents = namespace(node, "storm");
    let proxy = Proxy::start(node);
    let (start, next, over) = (Instant::now(), AtomicUsize::new(0), AtomicBool::new(false));
    let write = || {
        let mut failures = Vec::new();
        while !over.load(Ordering::Relaxed) || next.load(Ordering::Relaxed) < PODS {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_millis((number * 1_000 / PER_SECOND) as u64);
            harness::process::pause(due.saturating_sub(start.elapsed()));
            failures.extend(
                proxy
                    .create(agents.name, number)
                    .err()
                    .map(|why| (start.elapsed(), why)),
            );
        }
        failures
    };
    let failures: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storm(node, start)));
        over.store(true, Ordering::Relaxed);
        let failures = writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer"))
            .collect();
        if let Err(panic) = happened {
            std::panic::resume_unwind(panic);
        }
        failures
    });

    let created = next.load(Ordering::Relaxed);
    println!("{created} pods by {WRITERS} writers in {:?}", start.elapsed());
    assert!(
        failures.is_empty(),
        "{} of {created} failed: {:#?}",
        failures.len(),
        &failures[..failures.len().min(8)]
    );
    assert_all_injected(&agents, created);
    // Nobody runs them, and others have to share the node.
    node.kubectl(&[
        "delete",
        "--raw",
        &format!("/api/v1/namespaces/{}/pods?gracePeriodSeconds=0", agents.name),
    ]);
}

/// A rollout, an upgrade of the chart, and a replica that is killed every five seconds as long as another one is ready.
fn storm(node: &Node, start: Instant) {
    let deployment = ["--namespace", RELEASE, "rollout"];
    let settled = || {
        let status = ["status", "deployment/vertex-injector", "--timeout=120s"];
        node.kubectl(&[&deployment[..], &status].concat());
    };
    let kill = |times: usize| {
        for _ in 0..times {
            settled();
            harness::process::pause(Duration::from_secs(5));
            let victim = replicas(node).remove(0);
            println!("{:?}: kill {victim}", start.elapsed());
            kill_replica(node, &victim);
        }
    };
    println!("{:?}: restart", start.elapsed());
    node.kubectl(&[&deployment[..], &["restart", "deployment/vertex-injector"]].concat());
    kill(3);
    let upgrade = |level: &str| {
        println!("{:?}: upgrade", start.elapsed());
        node.upgrade(RELEASE, &format!("log.level={level}"));
    };
    upgrade("debug");
    kill(3);
    upgrade("info");
    settled();
    println!("{:?}: over", start.elapsed());
}

/// The API server by a socket of this machine: a client for each pod would take more than the pods.
struct Proxy {
    process: Child,
    socket: PathBuf,
}

impl Proxy {
    fn start(node: &Node) -> Self {
        let socket = node.supervisor().path("DIR").join("proxy.sock");
        let mut kubectl = node.command(node.supervisor().path("KUBECTL"));
        kubectl
            .arg("proxy")
            .arg("--unix-socket")
            .arg(&socket)
            .stdout(Stdio::null());
        let process = kubectl.spawn().expect("kubectl proxy");
        let until = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < until, "kubectl proxy does not listen");
            harness::process::pause(Duration::from_millis(50));
        }
        Self { process, socket }
    }

    /// Creates an agent, which has to be injected.
    fn create(&self, namespace: &str, number: usize) -> Result<(), String> {
        let mut pod = agents_to_create(0)["items"][0].take();
        pod["metadata"]["name"] = format!("agent-{number}").into();
        let answer = post(
            &self.socket,
            &format!("/api/v1/namespaces/{namespace}/pods"),
            &pod.to_string(),
        );
        let answer = answer.map_err(|error| error.to_string())?;
        let is_created = answer.starts_with("HTTP/1.1 201") && answer.contains("vertex-injector.dev/policy-ref");
        if is_created {
            Ok(())
        } else {
            Err(answer.chars().take(1_200).collect())
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn post(socket: &Path, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let head = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
    write!(
        stream,
        "POST {path} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
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
