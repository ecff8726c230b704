//! Workloads of every kind, shaped as public ones are, with pods of several systems and oddities.

use crate::yaml;
use serde_json::{Value, json};

/// Two namespaces, in which agents get a file and a broker.
pub const POLICIES: &str = "apiVersion: vertex-injector.dev/v1alpha1
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
pub fn objects() -> Vec<Value> {
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
