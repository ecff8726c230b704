//! `explain`: the decision about each pod, in words or as JSON.

use super::inputs::{DecidedPod, Inputs};
use super::terminal;
use super::terminal::clean;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Write;
use std::iter;
use vertex_injector_core::admission::{Change, Class, Decision, Needed, Outcome, UnitState};
use vertex_injector_sidecar::Ending;

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

/// Where lists of names are wrapped, in columns.
const WIDTH: usize = 100;

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args { inputs, output } = args;
    let decided = inputs.decide()?;
    let result = match output {
        Format::Text => words(&decided.pods)?,
        Format::Json => serde_json::to_string_pretty(&data(&decided.pods)?)? + "\n",
    };
    terminal::print(&result)?;
    Ok(Ending::refused_if(decided.any_denied()))
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
    for pod in pods {
        let Decision {
            outcome,
            reason,
            policy,
            ..
        } = &pod.decision;
        let colour = match outcome {
            Outcome::Injected => AnsiColor::Green,
            Outcome::Skipped => AnsiColor::Yellow,
            Outcome::Denied => AnsiColor::Red,
        }
        .on_default();
        write!(
            text,
            "{BOLD}{}{BOLD:#}: {colour}{outcome}{colour:#} ({reason})",
            clean(&pod.title())
        )?;
        match policy {
            Some(policy) => writeln!(text, " by policy {}", clean(policy))?,
            None => writeln!(text)?,
        }
        let rows = rows(&pod.decision);
        let width = rows
            .iter()
            .map(|(label, _)| label.chars().count())
            .max()
            .unwrap_or_default();
        for (label, row) in rows {
            writeln!(text, "  {:width$}  {}", clean(&label), clean(&row))?;
        }
    }
    Ok(text)
}

/// What there is to say about a pod: a label and a line each.
fn rows(decision: &Decision) -> Vec<(String, String)> {
    let Decision {
        outcome,
        reason: _,
        message,
        policy: _,
        units,
        env,
        volumes,
        containers,
        needs,
        warnings,
        problems: _,
        patch: _,
    } = decision;
    let mut rows = Vec::new();
    if *outcome != Outcome::Injected {
        rows.push(("because".to_owned(), message.clone()));
    }
    for unit in units {
        let state = match unit.state {
            UnitState::Added => "added",
            UnitState::Present => "present",
            UnitState::Skipped => "skipped",
        };
        let reason = unit.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        // What decides about the pod stands above.
        let detail = match unit.detail.as_str() {
            "" => String::new(),
            _ if unit.decides => String::new(),
            detail => format!(": {detail}"),
        };
        rows.push((unit.name.clone(), format!("{state}{reason}{detail}")));
    }
    for (container, variables) in by_container(env) {
        rows.extend(wrapped("variables", &format!("{container}:"), variables));
    }
    for (label, changes) in [("volumes", volumes), ("containers", containers)] {
        let names = changes.iter().map(|change| format!("{}{}", sign(change), change.name));
        rows.extend(wrapped(label, "", names));
    }
    rows.extend(needs.iter().map(|needed| ("needs".to_owned(), need(needed))));
    let news = warnings.iter().filter(|warning| warning.class != Class::Outcome);
    rows.extend(news.map(|warning| ("warning".to_owned(), warning.to_string())));
    rows
}

/// The variables that change, by the container that has them.
fn by_container(env: &[Change]) -> Vec<(&str, Vec<String>)> {
    let mut containers: Vec<(&str, Vec<String>)> = Vec::new();
    for change in env {
        let (container, variable) = change.name.split_once('/').unwrap_or(("", &change.name));
        let variable = format!("{}{variable}", sign(change));
        match containers.iter_mut().find(|(known, _)| *known == container) {
            Some((_, variables)) => variables.push(variable),
            None => containers.push((container, vec![variable])),
        }
    }
    containers
}

/// Rows of words, of which only the first has the label.
fn wrapped(label: &str, first: &str, words: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push_str("  ");
                line.push_str(&word);
            }
            Some(_) => lines.push(word),
            None => lines.push(format!("{first}  {word}").trim_start().to_owned()),
        }
    }
    let labels = iter::once(label).chain(iter::repeat(""));
    labels.map(str::to_owned).zip(lines).collect()
}

fn sign(change: &Change) -> char {
    match change.op {
        "add" => '+',
        "remove" => '-',
        _ => '~',
    }
}

fn need(needed: &Needed) -> String {
    let optional = if needed.optional { " (optional)" } else { "" };
    format!("{} {}{optional}", needed.kind, needed.name)
}
