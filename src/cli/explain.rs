//! `explain`: the decision about each pod, in words or as JSON.

use super::inputs::{DecidedPod, Inputs};
use super::terminal::clean;
use super::{Ending, terminal};
use crate::admission::{Change, Decision, Needed, Outcome, UnitState};
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Write;

/// Say what the webhook would do to the pods of manifests, and why
///
/// One line for each pod: injected, skipped or denied, the reason, the policy. Below it each part of the policy and
/// what became of it, what is added (+), replaced (~) or removed (-), and the ConfigMaps, Secrets and claims that must
/// exist before the pod can start.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every pod would be injected or skipped
  1  a pod would be denied
  2  the arguments or the input cannot be used

Examples:
  # Why is this pod (not) injected?
  vertex-injector explain -f pod.yaml --policy policy.yaml

  # With the policies of the cluster
  vertex-injector explain -f pod.yaml \\
    --policy <(kubectl get injectionpolicies,clusterinjectionpolicies -A -o yaml)

  # The names of everything that must exist
  vertex-injector explain -f pod.yaml --policy policy.yaml -o json | jq '.needs[]'")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// For people
    Text,
    /// One pod as an object, several as a list
    Json,
}

const BOLD: Style = Style::new().bold();

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args { inputs, output } = args;
    let decided = inputs.decide()?;
    let result = match output {
        Format::Text => words(&decided.pods)?,
        Format::Json => serde_json::to_string_pretty(&data(&decided.pods)?)? + "\n",
    };
    terminal::print(&result)?;
    Ok(if decided.any_denied() {
        Ending::Refused
    } else {
        Ending::Done
    })
}

fn data(pods: &[DecidedPod]) -> anyhow::Result<Value> {
    let explanations = pods.iter().map(explanation).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match <[_; 1]>::try_from(explanations) {
        Ok([only]) => only,
        Err(several) => several.into(),
    })
}

fn explanation(pod: &DecidedPod) -> anyhow::Result<Value> {
    let mut explanation = json!({"namespace": pod.namespace, "name": pod.at.name, "kind": pod.at.kind});
    if let (Some(all), Value::Object(decision)) = (explanation.as_object_mut(), serde_json::to_value(&pod.decision)?) {
        all.extend(decision);
    }
    Ok(explanation)
}

fn words(pods: &[DecidedPod]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if pods.is_empty() {
        writeln!(text, "no pod in the input")?;
    }
    let width = pods
        .iter()
        .map(|pod| clean(&pod.title()).chars().count())
        .max()
        .unwrap_or_default();
    for pod in pods {
        let Decision {
            outcome,
            reason,
            message,
            policy,
            units,
            env,
            volumes,
            containers,
            needs,
            warnings,
            patch: _,
        } = &pod.decision;
        let colour = match outcome {
            Outcome::Injected => AnsiColor::Green,
            Outcome::Skipped => AnsiColor::Yellow,
            Outcome::Denied => AnsiColor::Red,
        }
        .on_default();
        write!(
            text,
            "{BOLD}{:width$}{BOLD:#}  {colour}{outcome}{colour:#}  {reason}",
            clean(&pod.title())
        )?;
        match policy {
            Some(policy) => writeln!(text, "  {}", clean(policy))?,
            None => writeln!(text)?,
        }
        for line in message.lines() {
            row(&mut text, "", line)?;
        }
        for unit in units {
            let state = match unit.state {
                UnitState::Added => "added",
                UnitState::Present => "present",
                UnitState::Skipped => "skipped",
            };
            let reason = unit.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let detail = if unit.detail.is_empty() {
                String::new()
            } else {
                format!(": {}", unit.detail)
            };
            row(&mut text, "unit", &format!("{} {state}{reason}{detail}", unit.name))?;
        }
        for (label, changes) in [("env", env), ("volume", volumes), ("container", containers)] {
            for change in changes {
                row(&mut text, label, &changed(change))?;
            }
        }
        for needed in needs {
            row(&mut text, "needs", &need(needed))?;
        }
        for warning in warnings {
            row(&mut text, "warning", warning)?;
        }
    }
    Ok(text)
}

/// An indented line: what it is about, and what there is to say.
fn row(text: &mut String, label: &str, line: &str) -> std::fmt::Result {
    writeln!(text, "  {label:<9}  {}", clean(line))
}

fn changed(change: &Change) -> String {
    let sign = match change.op {
        "add" => '+',
        "remove" => '-',
        _ => '~',
    };
    format!("{sign} {}", change.name)
}

fn need(needed: &Needed) -> String {
    let optional = if needed.optional { " (optional)" } else { "" };
    format!("{}/{}{optional}", needed.kind, needed.name)
}
