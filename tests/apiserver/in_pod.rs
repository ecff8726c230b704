//! `doctor --in-pod` at a real API server: the chart's guards take the container that it adds, and whoever does not is named.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vertex_injector_core::manifest;

use crate::pods::document;
use crate::world::{Namespace, World, vertex_injector, world};
use harness::process::Ran;
use harness::program::tied;

const POLICY: &str = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
access: ACCESS
";

/// A credential sidecar, whose neighbours the guard keeps from volumes of ours.
const SIDECAR: &str = "sidecars: [{name: docs, image: 'registry.example.com/mcp-docs:1', port: 9100, transport: StreamableHTTP, mcpKey: docs, command: [server], credential: {secret: {secretName: docs}}, credentialEnv: [{name: TOKEN, field: token}]}]\n";

fn agent() -> Value {
    document(
        "{apiVersion: v1, kind: Pod, metadata: {name: agent, labels: {fracta-agent-id: a}}, spec: {containers: [
          {name: agent, image: 'example.com/agent:1', securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true,
           capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}]}}",
    )
}

fn admin(world: &World) -> String {
    world.cluster.kubeconfig().to_str().expect("UTF-8").to_owned()
}

fn doctor(agents: &Namespace<'_>, kubeconfig: &str, more: &[&str]) -> Ran {
    let arguments = [
        "doctor",
        "--in-pod",
        "agent",
        "-n",
        &agents.name,
        "--kubeconfig",
        kubeconfig,
    ];
    vertex_injector(&[&arguments[..], more].concat(), "")
}

/// What nobody waits for: there is no kubelet.
fn begin(agents: &Namespace<'_>, more: &[&str]) -> Child {
    let mut command: Command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
    command
        .args([
            "doctor",
            "--in-pod",
            "agent",
            "-n",
            &agents.name,
            "--kubeconfig",
            &admin(agents.world),
        ])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the program")
}

/// Waits until the API server has taken a container, and says in the kubelet's place that it cannot begin.
#[track_caller]
fn taken(agents: &Namespace<'_>, child: Child) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    let container = loop {
        let pod = agents.get(&["pod", "agent"]);
        let added = pod["spec"]["ephemeralContainers"][0].clone();
        if added.is_object() {
            break added;
        }
        assert!(Instant::now() < until, "{pod:#}");
        harness::process::pause(Duration::from_millis(200));
    };
    let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "no kubelet"}});
    let status = json!({"name": container["name"], "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let patch = json!({"status": {"ephemeralContainerStatuses": [status]}}).to_string();
    agents.kubectl(&[
        "patch",
        "pod",
        "agent",
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ]);
    let ended = child.wait_with_output().expect("its end");
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let why = "container doctor cannot begin: CreateContainerConfigError: no kubelet";
    assert!(said.contains(why), "{said}");
    container
}

#[test]
fn the_guards_and_pod_security_take_the_container_and_the_pod_is_judged_as_before() {
    let Some(world) = world() else { return };
    for access in ["Proxy", "Metadata", "File"] {
        let labels = [
            ("vertex-injector.dev/injection", "enabled"),
            ("pod-security.kubernetes.io/enforce", "restricted"),
        ];
        let agents = world.namespace(&format!("in-pod-{}", access.to_lowercase()), &labels);
        agents.policy("agents", &POLICY.replace("ACCESS", access));
        agents.create(&agent());
        let judged = || {
            let check = [
                "check",
                "pod",
                "agent",
                "-n",
                &agents.name,
                "--kubeconfig",
                &admin(world),
            ];
            let told = vertex_injector(&check, "").stdout;
            // How it is with containers is the kubelet's to say.
            told.lines().find(|line| line.contains("agents@")).map(str::to_owned)
        };
        let before = judged();
        assert!(before.is_some());
        let more: &[&str] = if access == "File" {
            &["--image=example.com/ours:1"]
        } else {
            &[]
        };
        let added = taken(&agents, begin(&agents, more));
        let mounts = added["volumeMounts"].as_array().into_iter().flatten();
        let mounts: Vec<&str> = mounts.filter_map(|mount| mount["name"].as_str()).collect();
        let expected: &[&str] = if access == "File" {
            &["vertex-injector-credentials"]
        } else {
            &[]
        };
        assert_eq!(mounts, expected, "{added:#}");
        assert_eq!(judged(), before);
    }
}

#[test]
fn who_may_not_add_a_container_is_told_the_right_and_gets_the_job() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("in-pod-rights");
    agents.policy("agents", &POLICY.replace("ACCESS", "Proxy"));
    agents.create(&agent());
    agents.kubectl(&["create", "serviceaccount", "reader"]);
    let token = agents.kubectl(&["create", "token", "reader"]);
    let mut config = document(&std::fs::read_to_string(world.cluster.kubeconfig()).expect("a kubeconfig"));
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = world.folder().join("reader.kubeconfig");
    std::fs::write(&file, config.to_string()).expect("a kubeconfig");
    let reader = file.to_str().expect("UTF-8");

    let ran = doctor(&agents, reader, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    let needs = "needs get on pods/agent in namespace in-pod-rights";
    assert!(ran.stderr.contains(needs), "{}", ran.stderr);

    agents.kubectl(&["create", "role", "reader", "--verb=get", "--resource=pods"]);
    agents.kubectl(&[
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        "--serviceaccount=in-pod-rights:reader",
    ]);
    let until = Instant::now() + Duration::from_secs(20);
    let ran = loop {
        let ran = doctor(&agents, reader, &[]);
        if !ran.stderr.contains(needs) {
            break ran;
        }
        assert!(Instant::now() < until, "{}", ran.stderr);
    };
    assert_eq!(ran.code, Some(2));
    let needs =
        "no container can be added to the pod: needs patch on pods/ephemeralcontainers in namespace in-pod-rights";
    assert!(ran.stderr.contains(needs), "{}", ran.stderr);
    assert_is_job(&agents, &ran.stdout);
    assert_eq!(agents.get(&["pod", "agent"])["spec"].get("ephemeralContainers"), None);
}

#[test]
fn a_container_that_a_guard_or_pod_security_refuses_is_a_job_instead() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("in-pod-guard");
    agents.policy("agents", &format!("{}{SIDECAR}", POLICY.replace("ACCESS", "File")));
    agents.create(&agent());
    // The agent has its token in a volume of ours, beside a sidecar that keeps others from such volumes.
    let ran = doctor(&agents, &admin(world), &["--image=example.com/ours:1"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let said = "the guard of vertex-injector refuses it (admissionPolicies.brokerGuard): ";
    assert!(
        ran.stderr.contains(said) && ran.stderr.contains("doctor would reach what vertex-injector-"),
        "{}",
        ran.stderr
    );
    assert_is_job(&agents, &ran.stdout);

    let agents = world.opted_in("in-pod-security");
    agents.policy("agents", &POLICY.replace("ACCESS", "Proxy"));
    let mut loose = agent();
    loose["spec"]["containers"][0]["securityContext"] = json!({});
    agents.create(&loose);
    let label = "pod-security.kubernetes.io/enforce=restricted";
    world.cluster.kubectl(&["label", "namespace", "in-pod-security", label]);
    let ran = doctor(&agents, &admin(world), &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("Pod Security of its namespace refuses it: "),
        "{}",
        ran.stderr
    );
    assert_is_job(&agents, &ran.stdout);
}

/// The API server would take it.
#[track_caller]
fn assert_is_job(agents: &Namespace<'_>, text: &str) {
    let job = manifest::documents(text).expect("YAML").remove(0);
    assert_eq!(job["kind"], "Job", "{text}");
    let create = ["create", "--dry-run=server", "--filename", "-"];
    let created = agents.world.cluster.try_kubectl_stdin(&create, text);
    assert!(created.success(), "{}", created.stderr);
}
