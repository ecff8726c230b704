//! Every place where an object keeps its pod.

use super::{Files, TEAM_POLICY, all, one, pod, run_with};
use serde_json::{Value, json};

/// The pod without what only a Pod has.
fn template() -> Value {
    let pod = one(&pod("unused"));
    json!({"metadata": {"labels": pod.pointer("/metadata/labels")}, "spec": pod["spec"]})
}

fn injected(object: &Value) -> (Value, Value) {
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let policy = files.path("policy.yaml");
    let arguments = ["inject", "-f", "-", "--policy", &policy];
    let written = one(&run_with(&arguments, &object.to_string()).output());
    let patch = run_with(&[&arguments[..], &["-o", "patch"]].concat(), &object.to_string()).output();
    (written, serde_json::from_str(&patch).unwrap())
}

#[test]
fn the_pod_of_every_workload_is_injected_like_a_pod() {
    let (alone, _) = injected(&one(&pod("x")));
    for (version, kind, path) in [
        ("v1", "PodTemplate", "/template"),
        ("v1", "ReplicationController", "/spec/template"),
        ("apps/v1", "Deployment", "/spec/template"),
        ("apps/v1", "StatefulSet", "/spec/template"),
        ("apps/v1", "DaemonSet", "/spec/template"),
        ("apps/v1", "ReplicaSet", "/spec/template"),
        ("batch/v1", "Job", "/spec/template"),
        ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
        ("agents.x-k8s.io/v1beta1", "Sandbox", "/spec/podTemplate"),
        (
            "extensions.agents.x-k8s.io/v1beta1",
            "SandboxTemplate",
            "/spec/podTemplate",
        ),
        ("argoproj.io/v1alpha1", "Rollout", "/spec/template"),
    ] {
        let mut object = template();
        for key in path.rsplit('/').filter(|key| !key.is_empty()) {
            object = json!({key: object, "other": [1, {"kept": "yes"}]});
        }
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": "x", "namespace": "team"});

        let (written, patch) = injected(&object);
        let pod = written.pointer(path).unwrap();
        assert_eq!(pod["spec"], alone["spec"], "{kind}");
        assert_eq!(
            pod.pointer("/metadata/annotations"),
            alone.pointer("/metadata/annotations"),
            "{kind}"
        );
        let mut without = written.clone();
        *without.pointer_mut(path).unwrap() = template();
        assert_eq!(without, object, "{kind}: nothing else changes");

        // The patch fits the whole object.
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched, written, "{kind}");
    }
}

#[test]
fn the_pods_of_lists_are_injected_where_they_stand() {
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let list = json!({
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "0644"}}, one(&pod("a")), one(&pod("b"))],
    });
    let written = one(&run_with(
        &["inject", "-f", "-", "--policy", &files.path("policy.yaml")],
        &list.to_string(),
    )
    .output());
    assert_eq!(written["items"][0], list["items"][0]);
    for index in [1, 2] {
        assert!(written["items"][index].pointer("/spec/volumes/0").is_some());
    }
}

#[test]
fn the_namespace_is_that_of_the_object_else_the_one_that_is_asked_for_else_default() {
    let without = |text: &str| text.replace(", namespace: team", "");
    let stream = format!("{}---\n{}", without(&pod("a")), without(TEAM_POLICY));
    for (namespace, skipped) in [(&[][..], false), (&["-n", "team"], false)] {
        let ran = run_with(&[&["inject", "-f", "-"], namespace].concat(), &stream);
        assert_eq!(ran.stderr.contains("skipped"), skipped, "{}", ran.stderr);
        assert!(all(&ran.stdout)[0].pointer("/spec/volumes").is_some());
    }
    // The pod says team, the policy is for another namespace.
    let stream = format!("{}---\n{}", pod("a"), without(TEAM_POLICY));
    let ran = run_with(&["inject", "-f", "-", "-n", "other"], &stream);
    assert!(
        ran.stderr.contains("Pod team/a: skipped (NotSelected)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_policy_that_ended_up_in_a_namespace_without_pods_is_told() {
    let policy = TEAM_POLICY.replace(", namespace: team", "");
    let ran = run_with(&["inject", "-f", "-"], &format!("{}---\n{policy}", pod("a")));
    assert!(
        ran.stderr.contains(
            "warning: standard input (document 2): InjectionPolicy/agents names no namespace and is taken for \"default\", \
             where none of the pods is; say -n NAMESPACE"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_labels_of_a_namespace_among_the_inputs_count() {
    let policy = TEAM_POLICY
        .replace("kind: InjectionPolicy", "kind: ClusterInjectionPolicy")
        .replace(", namespace: team", "")
        .replace("spec:", "spec:\n  namespaceSelector: {matchLabels: {tier: agents}}");
    let namespace =
        |tier: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: team, labels: {{tier: {tier}}}}}\n");
    for (tier, injected) in [("agents", true), ("other", false)] {
        let ran = run_with(
            &["inject", "-f", "-"],
            &format!("{}---\n{policy}---\n{}", pod("a"), namespace(tier)),
        );
        assert_eq!(
            all(&ran.stdout)[0].pointer("/spec/volumes").is_some(),
            injected,
            "{tier}"
        );
    }
    // A namespace that nobody describes counts as opted in, and has its own name.
    for label in [
        "vertex-injector.dev/injection: enabled",
        "kubernetes.io/metadata.name: team",
    ] {
        let policy = policy.replace("tier: agents", label);
        let ran = run_with(&["inject", "-f", "-"], &format!("{}---\n{policy}", pod("a")));
        assert!(all(&ran.stdout)[0].pointer("/spec/volumes").is_some(), "{label}");
    }
}

/// What is told about an object, and how many pods are found in it.
fn found(version: &str, kind: &str, spec: &str) -> (usize, String) {
    let template = "{spec: {containers: [{name: agent, image: i}]}}";
    let spec = spec
        .replace("T}", &format!("{template}}}"))
        .replace("T,", &format!("{template},"));
    let object = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, namespace: team}}\nspec: {spec}\n");
    let files = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let ran = run_with(
        &[
            "explain",
            "-f",
            "-",
            "-o",
            "json",
            "--policy",
            &files.path("policy.yaml"),
        ],
        &object,
    );
    let pods: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{kind}: {error}: {ran:?}"));
    (pods.as_array().map_or(0, Vec::len), ran.stderr)
}

/// How many pods are found in an object, and its version, kind and spec, in which a template of a pod is `T`.
const WORKLOADS: &str = "\
2 jobset.x-k8s.io/v1alpha2 JobSet {replicatedJobs: [{template: {spec: {template: T}}}, {template: {spec: {template: T}}}]}
2 leaderworkerset.x-k8s.io/v1 LeaderWorkerSet {leaderWorkerTemplate: {leaderTemplate: T, workerTemplate: T}}
1 leaderworkerset.x-k8s.io/v1 LeaderWorkerSet {leaderWorkerTemplate: {size: 2, workerTemplate: T}}
3 ray.io/v1 RayCluster {headGroupSpec: {template: T}, workerGroupSpecs: [{template: T}, {template: T}]}
3 ray.io/v1 RayJob {rayClusterSpec: {headGroupSpec: {template: T}, workerGroupSpecs: [{template: T}]}, submitterPodTemplate: T}
2 ray.io/v1 RayService {rayClusterConfig: {headGroupSpec: {template: T}, workerGroupSpecs: [{template: T}]}}
2 kubeflow.org/v1 PyTorchJob {pytorchReplicaSpecs: {Master: {template: T}, Worker: {template: T}}}
2 kubeflow.org/v2beta1 MPIJob {mpiReplicaSpecs: {Launcher: {template: T}, Worker: {template: T}}}
1 kubeflow.org/v1 Notebook {template: T}
1 trainer.kubeflow.org/v1alpha1 ClusterTrainingRuntime {template: {spec: {replicatedJobs: [{template: {spec: {template: T}}}]}}}
2 batch.volcano.sh/v1alpha1 Job {tasks: [{name: a, template: T}, {name: b, template: T}]}
2 sparkoperator.k8s.io/v1beta2 SparkApplication {driver: {template: T}, executor: {template: T}}
1 serving.knative.dev/v1 Service {template: T}
1 serving.knative.dev/v1 Configuration {template: T}
1 serving.knative.dev/v1 Revision {containerConcurrency: 0, containers: [{name: agent, image: i}]}
2 flink.apache.org/v1beta1 FlinkDeployment {podTemplate: T, jobManager: {podTemplate: T}, taskManager: {resource: {}}}
1 apps.kruise.io/v1alpha1 CloneSet {template: T}
1 apps.kruise.io/v1beta1 StatefulSet {template: T}
1 apps.kruise.io/v1alpha1 DaemonSet {template: T}
1 apps.kruise.io/v1alpha1 AdvancedCronJob {template: {jobTemplate: {spec: {template: T}}}}
1 apps.kruise.io/v1alpha1 AdvancedCronJob {template: {broadcastJobTemplate: {spec: {template: T}}}}
1 apps.kruise.io/v1alpha1 UnitedDeployment {template: {statefulSetTemplate: {spec: {template: T}}}}
1 argoproj.io/v1alpha1 Rollout {template: T}
1 agents.x-k8s.io/v1alpha1 Sandbox {podTemplate: T}
1 extensions.agents.x-k8s.io/v1alpha1 SandboxTemplate {podTemplate: T}
1 agents.kruise.io/v1alpha1 SandboxSet {template: T}
1 batch/v1 CronJob {jobTemplate: {spec: {template: T}}}
1 apps.openshift.io/v1 DeploymentConfig {template: T}
1 actions.github.com/v1alpha1 AutoscalingRunnerSet {template: T}
1 workload.codeflare.dev/v1beta2 AppWrapper {components: [{template: {apiVersion: batch/v1, kind: Job, spec: {template: T}}}]}";

#[test]
fn every_template_of_every_kind_of_workload_is_found_and_nothing_else_is_told() {
    for line in WORKLOADS.lines() {
        let [count, version, kind, spec] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (pods, told) = found(version, kind, spec);
        assert_eq!(pods.to_string(), count, "{kind}: {told}");
        assert!(!told.contains("nothing can be injected"), "{kind}: {told}");
    }
}

#[test]
fn what_becomes_pods_without_a_template_is_named_with_what_to_do_and_never_passed_in_silence() {
    const TEKTON: [&str; 2] = ["labels of their Task and TaskRun", "name the ServiceAccount"];
    for (version, kind, spec, about, advice) in [
        (
            "tekton.dev/v1",
            "Task",
            "{stepTemplate: {env: []}, steps: [{name: s, image: i}], sidecars: [{image: i}]}",
            "spec looks like a pod",
            TEKTON,
        ),
        (
            "tekton.dev/v1",
            "Pipeline",
            "{tasks: [{taskSpec: {steps: [{image: i}]}}]}",
            "spec.tasks[0].taskSpec looks",
            TEKTON,
        ),
        (
            "tekton.dev/v1",
            "Pipeline",
            "{tasks: [{taskRef: {name: t}}]}",
            "has no template of a pod",
            TEKTON,
        ),
        (
            "tekton.dev/v1",
            "TaskRun",
            "{taskRef: {name: t}, podTemplate: {env: [{name: A, value: b}]}}",
            "has no template of a pod",
            TEKTON,
        ),
        (
            "tekton.dev/v1",
            "PipelineRun",
            "{pipelineRef: {name: p}, taskRunTemplate: {podTemplate: {nodeSelector: {}}}}",
            "has no template of a pod",
            TEKTON,
        ),
        (
            "tekton.dev/v1beta1",
            "StepAction",
            "{image: i}",
            "has no template of a pod",
            TEKTON,
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            "{driver: {cores: 1}, executor: {env: []}}",
            "spec.executor looks like a pod",
            ["driver.template", "labels of driver"],
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "ScheduledSparkApplication",
            "{template: {driver: {cores: 1}}}",
            "spec.template.driver looks like a pod",
            ["driver.template", "labels of driver"],
        ),
        (
            "trainer.kubeflow.org/v1alpha1",
            "TrainJob",
            "{podSpecOverrides: [{containers: [{name: trainer}]}]}",
            "spec.podSpecOverrides[0] looks",
            ["inject the TrainingRuntime", "webhook"],
        ),
        (
            "trainer.kubeflow.org/v1alpha1",
            "TrainJob",
            "{podTemplateOverrides: [{spec: {containers: [{name: trainer}]}}]}",
            "spec.podTemplateOverrides[0].spec looks",
            ["inject the TrainingRuntime", "webhook"],
        ),
        (
            "trainer.kubeflow.org/v1alpha1",
            "TrainJob",
            "{runtimeRef: {name: r}, trainer: {image: i}}",
            "has no template of a pod",
            ["inject the TrainingRuntime", "webhook"],
        ),
        (
            "argoproj.io/v1alpha1",
            "Workflow",
            "{podSpecPatch: 'containers: []', templates: [{container: {image: i}}]}",
            "spec.templates[0] looks",
            ["after podSpecPatch", "podMetadata.labels"],
        ),
        (
            "argoproj.io/v1alpha1",
            "Workflow",
            "{workflowTemplateRef: {name: w}, podSpecPatch: '{}'}",
            "has no template of a pod",
            ["after podSpecPatch", "podMetadata.labels"],
        ),
        (
            "argoproj.io/v1alpha1",
            "CronWorkflow",
            "{workflowSpec: {templates: [{script: {image: i}}]}}",
            "spec.workflowSpec.templates[0] looks",
            ["after podSpecPatch", "podMetadata.labels"],
        ),
        (
            "argoproj.io/v1alpha1",
            "WorkflowTemplate",
            "{templates: [{containerSet: {containers: [{image: i}]}}]}",
            "spec.templates[0].containerSet looks",
            ["after podSpecPatch", "podMetadata.labels"],
        ),
        (
            "serving.kserve.io/v1beta1",
            "InferenceService",
            "{predictor: {containers: [{name: kserve-container, image: i}]}}",
            "spec.predictor looks",
            ["KServe's pods", "labels of the component"],
        ),
        (
            "serving.kserve.io/v1beta1",
            "InferenceService",
            "{predictor: {model: {modelFormat: {name: m}}}}",
            "has no template of a pod",
            ["KServe's pods", "labels of the component"],
        ),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            "{jobManager: {resource: {}}}",
            "has no template of a pod",
            ["give it a podTemplate", "webhook"],
        ),
        (
            "extensions.agents.x-k8s.io/v1alpha1",
            "SandboxWarmPool",
            "{sandboxTemplateRef: {name: s}}",
            "has no template of a pod",
            ["inject that one", "SandboxTemplate"],
        ),
        (
            "example.com/v1",
            "Unheard",
            "{pod: {containers: [{image: i}]}}",
            "spec.pod looks like a pod",
            ["the webhook is asked about the pods", ""],
        ),
    ] {
        let (pods, told) = found(version, kind, spec);
        assert_eq!(pods, 0, "{kind}: {told}");
        for part in [
            about,
            "so nothing can be injected here",
            advice[0],
            advice[1],
            &format!("{kind} team/x: "),
        ] {
            assert!(told.contains(part), "{kind}: {told} lacks {part}");
        }
    }
}

#[test]
fn what_describes_others_or_runs_no_container_is_neither_changed_nor_named() {
    for (version, kind, spec) in [
        (
            "kyverno.io/v1",
            "ClusterPolicy",
            "{rules: [{mutate: {patchStrategicMerge: {spec: {containers: [{name: a, image: i}]}}}}]}",
        ),
        ("policies.kyverno.io/v1alpha1", "ValidatingPolicy", "{pattern: T}"),
        (
            "mutations.gatekeeper.sh/v1",
            "Assign",
            "{parameters: {assign: {value: T}}}",
        ),
        (
            "admissionregistration.k8s.io/v1",
            "MutatingAdmissionPolicy",
            "{example: T}",
        ),
        (
            "kubevirt.io/v1",
            "VirtualMachine",
            "{template: {spec: {domain: {devices: {}}}}}",
        ),
        ("v1", "Service", "{selector: {app: a}}"),
    ] {
        assert_eq!(found(version, kind, spec), (0, String::new()), "{kind}");
    }
}
