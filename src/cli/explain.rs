//! `explain`: the decision about each pod, in words or as JSON.

use super::inputs::{DecidedPod, Inputs};
use super::terminal::{self, Format, clean, of_file, say};
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Write;
use std::iter;
use vertex_injector_core::admission::{
    Change, Class, Decision, Needed, NotSent, Operator, Outcome, Pod, Reason, UnitState, not_sent,
};
use vertex_injector_core::manifest;
use vertex_injector_core::names::INJECT;
use vertex_injector_sidecar::Ending;

/// Say what the webhook would do to the pods of manifests, and why
///
/// One line for each pod: injected, skipped, denied, or NotSent where the webhook would never be asked, the reason, the
/// policy. Below it each part of the policy and what became of it, what is added (+), replaced (~) or removed (-), with
/// values, and the ConfigMaps, Secrets and claims that must exist before the pod can start.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every pod would be injected or skipped, or never sent
  1  a pod would be denied
  2  the arguments or the input cannot be used

Examples:
  # Why is this pod (not) injected?
  vertex-injector explain -f pod.yaml --policy policy.yaml

  # With the policies of the cluster
  vertex-injector explain -f pod.yaml \\
    --policy <(kubectl get injectionpolicies -A -o yaml)

  # The names of everything that must exist
  vertex-injector explain -f pod.yaml --policy policy.yaml -o json |
    jq '.[].needs[]'")]
pub(super) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Format of the result
    #[arg(short, long, default_value = "text", value_parser = Format::parser("A list with an object for each pod"))]
    output: Format,

    #[command(flatten)]
    colours: terminal::Colours,
}

/// The outcome of a pod that the webhook is never asked about.
const NOT_SENT: &str = "NotSent";

/// Longest value that people are shown, in characters.
const MAX_VALUE: usize = 120;

const BOLD: Style = Style::new().bold();

/// Where lists of names are wrapped, in columns.
const WIDTH: usize = 100;

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        inputs,
        output,
        colours,
    } = args;
    colours.choose();
    let has_settings = inputs.has_settings();
    let decided = inputs.decide()?;
    match output {
        Format::Text => terminal::print(&words(&decided.pods)?)?,
        Format::Json => {
            let explanations = decided
                .pods
                .iter()
                .map(explanation)
                .collect::<anyhow::Result<Value>>()?;
            terminal::print_json(&explanations)?;
        }
    }
    if !has_settings {
        note_of_selectors(&decided.pods)?;
    }
    let denied = |pod: &DecidedPod| pod.not_sent.is_none() && pod.decision.outcome == Outcome::Denied;
    Ok(Ending::refused_if(decided.warned() || decided.pods.iter().any(denied)))
}

/// Whose settings are not given may have any agentSelectors; those of the chart are likely.
fn note_of_selectors(pods: &[DecidedPod]) -> anyhow::Result<()> {
    let chart = manifest::documents(include_str!("../../charts/vertex-injector/values.yaml"))?;
    let selectors = chart.first().and_then(|values| values.get("agentSelectors")).cloned();
    let operator = Operator {
        agent_selectors: serde_json::from_value(selectors.unwrap_or_default())?,
        ..Operator::default()
    };
    let is_missed = |decided: &&DecidedPod| {
        let bytes = decided.pod.to_string();
        let sent = Pod::parse(bytes.as_bytes()).map(|pod| not_sent(&pod, &decided.namespace, None, &operator));
        let by_selectors = matches!(sent, Ok(Some((NotSent::NoAgentSelector, _))));
        decided.decision.outcome != Outcome::Skipped && by_selectors
    };
    if let Some(pod) = pods.iter().find(is_missed) {
        let (place, title) = (&pod.place, pod.title());
        let told = format!(
            "{place}: {title}: the API server would not send it to a webhook with the chart's own agentSelectors; say --config FILE where the cluster's are others, or give it the label {INJECT}=true"
        );
        say("note", &told);
    }
    Ok(())
}

fn explanation(pod: &DecidedPod) -> anyhow::Result<Value> {
    let mut explanation = json!({
        "namespace": pod.namespace,
        "name": pod.at.name,
        "kind": pod.at.kind,
        "template": pod.at.field(),
    });
    let values = Values::of(pod);
    let decision = match &pod.not_sent {
        None => serde_json::to_value(&pod.decision)?,
        Some((_, message)) => serde_json::to_value(Decision::skipped(Reason::NotSelected, message.as_str()))?,
    };
    let (Some(all), Value::Object(decision)) = (explanation.as_object_mut(), decision) else {
        return Ok(explanation);
    };
    all.extend(decision);
    if let Some((reason, _)) = &pod.not_sent {
        all.insert("outcome".into(), NOT_SENT.into());
        all.insert("reason".into(), reason.to_string().into());
    }
    let changes = all.get_mut("env").and_then(Value::as_array_mut);
    for change in changes.into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = change.get("name").and_then(Value::as_str).unwrap_or_default();
        match values.get(name) {
            Some(Shown::Text(text)) => drop(change.insert("value".into(), text.into())),
            Some(Shown::From(source)) => drop(change.insert("valueFrom".into(), source)),
            None => {}
        }
    }
    Ok(explanation)
}

/// The variables of the pod as it will be.
struct Values(Value);

/// What a variable has.
enum Shown {
    Text(String),
    From(Value),
}

impl Values {
    fn of(pod: &DecidedPod) -> Self {
        let mut after = pod.pod.clone();
        // What does not fit is told when it is applied.
        drop(json_patch::patch(&mut after, &pod.decision.patch));
        Self(after)
    }

    /// What `container/NAME` has.
    fn get(&self, name: &str) -> Option<Shown> {
        let (container, variable) = name.split_once('/')?;
        let lists = ["/spec/containers", "/spec/initContainers"].map(|list| self.0.pointer(list)?.as_array());
        let is_it = |of: &&Value, name: &str| of.get("name").and_then(Value::as_str).unwrap_or_default() == name;
        let container = { lists.into_iter().flatten().flatten() }.find(|it| is_it(it, container))?;
        let env = container
            .get("env")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(entry) = env.iter().rfind(|it| is_it(it, variable)) else {
            let json = env.iter().rfind(|it| is_it(it, "OPENSHELL_USER_ENVIRONMENT"))?;
            let json: Value = serde_json::from_str(json.get("value")?.as_str()?).ok()?;
            return Some(Shown::Text(json.get(variable)?.as_str()?.to_owned()));
        };
        Some(match entry.get("valueFrom") {
            Some(source) if !source.is_null() => Shown::From(source.clone()),
            _ => Shown::Text(
                entry
                    .get("value")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            ),
        })
    }
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
        if let Some((reason, message)) = &pod.not_sent {
            let (title, colour) = (clean(&pod.title()), AnsiColor::Yellow.on_default());
            writeln!(text, "{BOLD}{title}{BOLD:#}: {colour}{NOT_SENT}{colour:#} ({reason})")?;
            writeln!(text, "  because  {}", clean(message))?;
            continue;
        }
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
            Some(policy) => writeln!(text, " by policy {}", clean(of_file(policy)))?,
            None => writeln!(text)?,
        }
        let rows = rows(&pod.decision, &Values::of(pod));
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
fn rows(decision: &Decision, values: &Values) -> Vec<(String, String)> {
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
    for (container, variables) in by_container(env, values) {
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
fn by_container<'e>(env: &'e [Change], values: &Values) -> Vec<(&'e str, Vec<String>)> {
    let mut containers: Vec<(&str, Vec<String>)> = Vec::new();
    for change in env {
        let (container, variable) = change.name.split_once('/').unwrap_or(("", &change.name));
        let value = match values.get(&change.name).filter(|_| change.op != "remove") {
            Some(Shown::Text(text)) => format!("={}", shortened(&text)),
            Some(Shown::From(source)) => format!(" from {}", shortened(&source.to_string())),
            None => String::new(),
        };
        let variable = format!("{}{variable}{value}", sign(change));
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

/// As much of a value as people read.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", value.split_at(end).0),
        None => value.to_owned(),
    }
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
