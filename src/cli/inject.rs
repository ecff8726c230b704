//! `inject`: what the webhook would do to manifests, done to them.

use super::inputs::{Decided, DecidedPod, Inputs};
use super::terminal;
use anyhow::Context;
use serde_json::{Value, json};
use vertex_injector_core::manifest;
use vertex_injector_sidecar::Ending;

/// Apply policies to manifests, as the webhook would in the cluster
///
/// Pods are found in Pods, PodTemplates, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs, every
/// other object wherever a template of pods stands in it (a Sandbox, a JobSet, a RayCluster, an Argo Rollout; several in one
/// object), and in Lists. What only looks like a pod (the templates of an Argo Workflow) is named on standard error, and
/// everything else passes through unchanged. A policy applies to the pods of its namespace, whether it is named with
/// --policy or stands among the manifests. Every namespace counts as opted in; the labels of a Namespace among the
/// inputs are used by namespaceSelector. Objects that do not change keep their text; in those that do, comments are
/// lost.
///
/// Skipped pods, warnings and denials are told on standard error.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every pod is injected or skipped
  1  a pod is denied; nothing is written
  2  the arguments or the input cannot be used; nothing is written

Examples:
  # See the injected pod
  vertex-injector inject -f pod.yaml --policy policy.yaml

  # On the way to the cluster
  helm template agents ./chart | vertex-injector inject -f - \\
    --policy policies/ | kubectl apply -f -

  # Only the changes, for an object that is in the cluster
  kubectl get deployment agent -o yaml > agent.yaml
  vertex-injector inject -f agent.yaml --policy policy.yaml -o patch \\
    > patch.json
  kubectl patch deployment agent --type=json --patch-file patch.json")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// A YAML stream
    Yaml,
    /// One object as such, several as a v1 List
    Json,
    /// JSON Patches: one object's as such, those of several as a list of {kind, namespace, name, patch}
    Patch,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args { inputs, output } = args;
    let mut decided = inputs.decide()?;
    if decided.remarks() {
        return Ok(Ending::Refused);
    }
    let result = match output {
        Format::Yaml => manifest::yaml(&inject(&mut decided)?.documents)?,
        Format::Json => manifest::json(&inject(&mut decided)?.documents)?,
        Format::Patch => serde_json::to_string_pretty(&patches(&decided.pods)?)? + "\n",
    };
    terminal::print_data(&result)?;
    Ok(Ending::Done)
}

/// Changes the pods in the documents.
fn inject(decided: &mut Decided) -> anyhow::Result<&mut Decided> {
    for pod in &decided.pods {
        // A skipped pod that asked for injection is marked as skipped.
        if pod.decision.patch.is_empty() {
            continue;
        }
        let document = decided.documents.get_mut(pod.document).context("no such document")?;
        let target = document.value.pointer_mut(&pod.at.pointer()).context("no such pod")?;
        json_patch::patch(target, &pod.decision.patch)
            .with_context(|| format!("{}: {}: the patch does not fit the pod", pod.place, pod.title()))?;
        document.text = None;
    }
    Ok(decided)
}

/// One object's patch as such, those of several with the name of the object; paths start at the object.
fn patches(pods: &[DecidedPod]) -> anyhow::Result<Value> {
    let is_same = |a: &DecidedPod, b: &DecidedPod| (a.document, &a.at.object) == (b.document, &b.at.object);
    let objects: Vec<&[DecidedPod]> = pods.chunk_by(is_same).collect();
    if let [only] = objects.as_slice() {
        return patch(only);
    }
    let patches = objects.into_iter().map(|pods| {
        let patch = patch(pods)?;
        let named = |pod: &DecidedPod| json!({"kind": pod.at.kind, "namespace": pod.namespace, "name": pod.at.name, "patch": patch});
        Ok(pods.first().map(named).unwrap_or_default())
    });
    patches.collect()
}

/// The patches of one object's pods, with paths from the object.
fn patch(pods: &[DecidedPod]) -> anyhow::Result<Value> {
    let mut operations = Vec::new();
    for pod in pods {
        for operation in &pod.decision.patch {
            let mut operation = serde_json::to_value(operation)?;
            for pointer in ["path", "from"] {
                if let Some(Value::String(path)) = operation.get_mut(pointer) {
                    path.insert_str(0, &pod.at.template);
                }
            }
            operations.push(operation);
        }
    }
    Ok(operations.into())
}
