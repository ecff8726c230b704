//! Workloads of every kind with pods of several systems and oddities: the command line decides, and changes the template, as
//! the webhook does the pod that comes of it.

use harness::process::{self, Ran};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use support::{World, yaml};
use vertex_injector_core::admission::Operator;
use vertex_injector_core::admission::Outcome;
use vertex_injector_core::manifest::workload::{self, PodAt};

/// Two namespaces, in which agents get a file and a broker.
const POLICIES: &str = "apiVersion: vertex-injector.dev/v1alpha1
kind: ClusterInjectionPolicy
metadata: {name: files}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: files}}
  agents: [{podSelector: {}}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode, Kartograph, Ambient]}
  identity: {workloadIdentityFederation: {provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}
  podVolumes: [work]
  volumeMounts: [{name: work, mountPath: /mnt/work}]
  conflicts: {values: Override, apiKeys: Remove}
---
apiVersion: vertex-injector.dev/v1alpha1
kind: ClusterInjectionPolicy
metadata: {name: brokers}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: brokers}}
  agents: [{podSelector: {}}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
  identity: {workloadIdentityFederation: {provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}
  access: Proxy
  isolation: BestEffort";

/// Head and spec of each kind; `T` stands for a template.
const KINDS: [(&str, &str); 13] = [
    ("apps/v1, kind: Deployment", "{template: T}"),
    (
        "apps/v1, kind: StatefulSet",
        "{template: T, volumeClaimTemplates: [{metadata: {name: work}}]}",
    ),
    ("batch/v1, kind: Job", "{template: T}"),
    ("batch/v1, kind: CronJob", "{jobTemplate: {spec: {template: T}}}"),
    (
        "agents.x-k8s.io/v1alpha1, kind: Sandbox",
        "{podTemplate: T, volumeClaimTemplates: [{metadata: {name: work}}]}",
    ),
    (
        "jobset.x-k8s.io/v1alpha2, kind: JobSet",
        "{replicatedJobs: [{template: {spec: {template: T}}}, {template: {spec: {template: T}}}]}",
    ),
    (
        "leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet",
        "{leaderWorkerTemplate: {leaderTemplate: T, workerTemplate: T}}",
    ),
    (
        "ray.io/v1, kind: RayCluster",
        "{headGroupSpec: {template: T}, workerGroupSpecs: [{template: T}]}",
    ),
    (
        "kubeflow.org/v1, kind: PyTorchJob",
        "{pytorchReplicaSpecs: {Master: {template: T}, Worker: {template: T}}}",
    ),
    ("batch.volcano.sh/v1alpha1, kind: Job", "{tasks: [{template: T}]}"),
    (
        "sparkoperator.k8s.io/v1beta2, kind: SparkApplication",
        "{driver: {template: T}, executor: {template: T}}",
    ),
    ("serving.knative.dev/v1, kind: Service", "{template: T}"),
    ("argoproj.io/v1alpha1, kind: Rollout", "{template: T}"),
];

/// Containers of several systems.
const SYSTEMS: [&str; 5] = [
    "[{name: agent, image: i, volumeMounts: [{name: work, mountPath: /work}]}]",
    "[{name: ambient-code-runner, image: i, env: [{name: USE_VERTEX, value: '0'}, {name: SESSION_ID, value: s}]}, {name: ambient-mcp, image: i}]",
    "[{name: claude, image: i, env: [{name: ANTHROPIC_API_KEY, value: k}]}, {name: telemetry, image: i}]",
    "[{name: linkerd-proxy, image: i}, {name: worker, image: i, env: [{name: CLOUD_ML_REGION, value: ''}, {name: URL, value: 'r$(CLOUD_ML_REGION)'}]}]",
    "[{name: web, image: i}, {name: worker, image: i}]",
];

/// What is laid over a template.
const ODDITIES: [&str; 6] = [
    "{}",
    "{metadata: {labels: {vertex-injector.dev/inject: 'true'}, annotations: {team.example/owner: red}}}",
    "{spec: {volumes: [{name: work, emptyDir: {}}, {name: creds, secret: {secretName: creds}}]}}",
    "{spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [windows]}]}]}}}}}",
    "{spec: {serviceAccount: runner, enableServiceLinks: false, hostNetwork: true}}",
    "{metadata: {annotations: {kubectl.kubernetes.io/default-container: worker}}, spec: {volumes: [{name: work, persistentVolumeClaim: {claimName: c}}]}}",
];

/// Every combination.
fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for (head, spec) in KINDS {
        for containers in SYSTEMS {
            for oddity in ODDITIES {
                let mut template = json!({"spec": {"containers": yaml(containers)}});
                json_patch::merge(&mut template, &yaml(oddity));
                let spec = spec.replace(": T", &format!(": {template}"));
                let i = objects.len();
                let namespace = if i.is_multiple_of(2) { "files" } else { "brokers" };
                objects.push(yaml(&format!(
                    "{{apiVersion: {head}, metadata: {{name: x{i}, namespace: {namespace}}}, spec: {spec}}}"
                )));
            }
        }
    }
    objects
}

fn run(verb: &str, output: &str, objects: &[&Value]) -> Ran {
    let items = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let directory = tempfile::tempdir().expect("a directory");
    let policies = directory.path().join("policies.yaml");
    std::fs::write(&policies, POLICIES).expect("the policies");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command.args([verb, "-f", "-", "-o", output, "--policy"]).arg(&policies);
    process::run(&mut command, &items.to_string(), Duration::from_mins(1))
}

#[test]
fn a_workload_of_any_kind_is_decided_about_and_changed_as_the_webhook_does_its_pods() {
    let objects = objects();
    assert!(objects.len() >= 300, "{}", objects.len());
    let worlds = ["files", "brokers"].map(|namespace| {
        (
            namespace,
            World::new(&support::documents(POLICIES), namespace, &Operator::default()),
        )
    });
    let webhook = |namespace: &str, pod: &Value| {
        let (_, world) = worlds.iter().find(|(name, _)| *name == namespace).expect("a namespace");
        // Every pod that is sent has some.
        let mut pod = pod.clone();
        pod.as_object_mut()
            .expect("a pod")
            .entry("metadata")
            .or_insert_with(|| json!({}));
        world.ask(namespace, &pod)
    };
    let all: Vec<&Value> = objects.iter().collect();
    let explained: Value = serde_json::from_str(&run("explain", "json", &all).stdout).expect("JSON");
    let mut explained = explained.as_array().expect("a list").iter();
    let (mut admitted, mut outcomes) = (Vec::new(), [0_usize; 3]);
    for object in &all {
        let mut denied = false;
        for at in workload::pods(object) {
            let template = object.pointer(&at.template).expect("a template");
            let asked = webhook(at.namespace.as_deref().expect("a namespace"), &at.pod(template));
            let said = explained.next().expect("an explanation");
            let name = format!("{} {} {}", at.kind, at.name, at.template);
            assert_eq!(said["outcome"], asked.decision.outcome.to_string(), "{name}: {said}");
            assert_eq!(said["reason"], asked.decision.reason.to_string(), "{name}");
            assert_eq!(said["message"], asked.decision.message, "{name}");
            outcomes[asked.decision.outcome as usize] += 1;
            denied |= asked.decision.outcome == Outcome::Denied;
        }
        if !denied {
            admitted.push(*object);
        }
    }
    assert!(explained.next().is_none());
    assert!(outcomes.iter().all(|times| *times > 20), "{outcomes:?}");
    let ran = run("inject", "json", &admitted);
    let injected: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let injected = injected["items"].as_array().expect("a list");
    assert_eq!(injected.len(), admitted.len());
    for (before, after) in admitted.iter().zip(injected) {
        for at in workload::pods(before) {
            let pod = at.pod(before.pointer(&at.template).expect("a template"));
            let asked = webhook(at.namespace.as_deref().expect("a namespace"), &pod);
            assert_eq!(of_template(&at, after), of_pod(&asked.after), "{} {}", at.kind, at.name);
        }
    }
}

/// The pod that comes of an injected template.
fn of_template(at: &PodAt, object: &Value) -> (Value, Value, Vec<Value>) {
    of_pod(&at.pod(object.pointer(&at.template).expect("a template")))
}

/// What counts of a pod: its annotations, its spec, and its volumes in any order, because those of claims are last in one case
/// and not in the other.
fn of_pod(pod: &Value) -> (Value, Value, Vec<Value>) {
    let mut spec = pod["spec"].clone();
    let mut volumes = spec["volumes"].take().as_array().cloned().unwrap_or_default();
    volumes.sort_by_key(|volume| volume["name"].to_string());
    (pod["metadata"]["annotations"].clone(), spec, volumes)
}
