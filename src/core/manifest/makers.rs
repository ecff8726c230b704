//! Objects of which pods become that have no template of one: whose fields they are, and what to do instead.

/// What is true of every pod.
const WEBHOOK: &str = "the webhook is asked about the pods that become of it";

/// What to do for pods of an object of this group and kind that has no template of them.
pub(super) fn advice(group: &str, kind: &str) -> &'static str {
    known(group, kind).map_or(WEBHOOK, |known| known.advice)
}

/// Whether pods become of an object of this group and kind, be there a template of them or not.
pub(super) fn makes_pods(group: &str, kind: &str) -> bool {
    known(group, kind).is_some()
}

/// Whether objects of a group describe how others have to look, so that what looks like a pod in them becomes none.
pub(super) fn describes_others(group: &str) -> bool {
    ["kyverno.io", "gatekeeper.sh"].iter().any(|suffix| {
        let rest = group.strip_suffix(suffix);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }) || group == "admissionregistration.k8s.io"
}

struct Maker {
    group: &'static str,
    kinds: &'static [&'static str],
    advice: &'static str,
}

fn known(group: &str, kind: &str) -> Option<&'static Maker> {
    MAKERS
        .iter()
        .find(|maker| maker.group == group && maker.kinds.contains(&kind))
}

const MAKERS: &[Maker] = &[
    Maker {
        group: "tekton.dev",
        kinds: &[
            "Task",
            "ClusterTask",
            "TaskRun",
            "Pipeline",
            "PipelineRun",
            "StepAction",
        ],
        advice: "the webhook is asked about Tekton's pods, which get the labels of their Task and TaskRun (a podTemplate of Tekton has no containers): put there what a policy selects, or name the ServiceAccount in the policy",
    },
    Maker {
        group: "sparkoperator.k8s.io",
        kinds: &["SparkApplication", "ScheduledSparkApplication", "SparkConnect"],
        advice: "give it a template (driver.template and executor.template), or leave it to the webhook, which is asked about its pods: put what a policy selects into the labels of driver and executor",
    },
    Maker {
        group: "trainer.kubeflow.org",
        kinds: &["TrainJob"],
        advice: "overrides are laid over the template of its runtime: inject the TrainingRuntime or ClusterTrainingRuntime, or leave it to the webhook, which is asked about its pods",
    },
    Maker {
        group: "argoproj.io",
        kinds: &[
            "Workflow",
            "CronWorkflow",
            "WorkflowTemplate",
            "ClusterWorkflowTemplate",
        ],
        advice: "the webhook is asked about the workflow's pods, after podSpecPatch: put what a policy selects into podMetadata.labels of the workflow, or into metadata.labels of one of its templates",
    },
    Maker {
        group: "serving.kserve.io",
        kinds: &[
            "InferenceService",
            "InferenceGraph",
            "ServingRuntime",
            "ClusterServingRuntime",
            "LLMInferenceService",
        ],
        advice: "the webhook is asked about KServe's pods: put what a policy selects into the labels of the component or of the object",
    },
    Maker {
        group: "flink.apache.org",
        kinds: &["FlinkDeployment"],
        advice: "give it a podTemplate, or leave it to the webhook, which is asked about its pods",
    },
    Maker {
        group: "extensions.agents.x-k8s.io",
        kinds: &["SandboxWarmPool", "SandboxClaim"],
        advice: "its pods are those of the SandboxTemplate that it names: inject that one, or leave it to the webhook, which is asked about its pods",
    },
];
