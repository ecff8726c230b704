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
/// other object with a pod at spec.template or spec.podTemplate (such as an agent-sandbox Sandbox), and in Lists.
/// Everything else passes through unchanged. A policy applies to the pods of its namespace, whether it is named with
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
  helm template agents ./chart | vertex-injector inject -f - --policy policies/ | kubectl apply -f -

  # Only the changes, for an object that is in the cluster
  kubectl get deployment agent -o yaml > agent.yaml
  vertex-injector inject -f agent.yaml --policy policy.yaml -o patch > patch.json
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
    terminal::print(&result)?;
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

/// One pod's patch as such, those of several with the name of the object; paths start at the object.
fn patches(pods: &[DecidedPod]) -> anyhow::Result<Value> {
    let patches = pods.iter().map(patch).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match <[_; 1]>::try_from(patches) {
        Ok([only]) => only,
        Err(patches) => pods
            .iter()
            .zip(patches)
            .map(|(pod, patch)| {
                json!({"kind": pod.at.kind, "namespace": pod.namespace, "name": pod.at.name, "patch": patch})
            })
            .collect(),
    })
}

/// A pod's patch with paths from the object that owns the pod.
fn patch(pod: &DecidedPod) -> anyhow::Result<Value> {
    let mut patch = serde_json::to_value(&pod.decision.patch)?;
    for operation in patch.as_array_mut().into_iter().flatten() {
        for pointer in ["path", "from"] {
            if let Some(Value::String(path)) = operation.get_mut(pointer) {
                path.insert_str(0, &pod.at.template);
            }
        }
    }
    Ok(patch)
}
