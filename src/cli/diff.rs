//! `diff`: what policies would do, before they are applied.

use super::cluster::{self, Installation};
use super::inputs::{opted_in, read_all, read_operator};
use super::terminal::{self, Format, clean, of_file, say};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use serde_json::json;
use std::cell::Cell;
use std::fmt::Write;
use std::path::PathBuf;
use vertex_injector_core::admission::{Operator, PolicyObject};
use vertex_injector_core::manifest::Document;
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::workload;
use vertex_injector_operate::change::{Changed, Effect, Looked, Missed, look};
use vertex_injector_operate::world::World;
use vertex_injector_sidecar::Ending;

/// Show what new or changed policies would do to running agents and to manifests
///
/// The policies of the files take the place of those of their names. For each pod that would get something else: whether it would
/// be injected, changed, left alone or denied, and every difference. With --cluster the policies as they are now are the cluster's,
/// and its running agents are looked at; a pod that runs is never changed, so this is what becomes of it when it is made anew.
/// Without, those of --before, and only the pods of the files. Decided by the same code as the webhook's. Changes
/// nothing, and ends as kubectl diff does.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  nothing would be different
  1  a pod would get something else
  2  the arguments or the input cannot be used, a policy is invalid, or not
     all could be looked at

Examples:
  # What would this policy do to the agents that run?
  vertex-injector diff -f policy.yaml --cluster

  # In CI, without a cluster: what does this branch do to our manifests?
  git worktree add ../main main
  vertex-injector diff -f policies/ manifests/ --before ../main/policies/")]
pub(super) struct Args {
    /// Policies as they would be, and manifests whose pods are looked at: files, directories, or - for standard input
    #[arg(short, long, value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// Read the directories below the named ones, too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Policies as they are now, from files [default: with --cluster those of the cluster, else none]
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., conflicts_with = "cluster")]
    before: Vec<PathBuf>,

    /// Ask a cluster for its policies and its running agents
    #[arg(long)]
    cluster: bool,

    /// Namespace of objects and policies that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,

    #[command(flatten)]
    installation: Installation,

    /// Format of the result
    #[arg(short, long, default_value = "text", value_parser = Format::parser("{pods, changed: [{kind, namespace, name, effect, lines, …}]}"))]
    output: Format,

    #[command(flatten)]
    colours: terminal::Colours,
}

const BOLD: Style = Style::new().bold();

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        filename,
        recursive,
        before,
        cluster,
        namespace,
        installation,
        output,
        colours,
    } = args;
    colours.choose();
    let documents = read_all(&filename, recursive)?;
    let given = policies(&documents, &namespace)?;
    let changed: Vec<PolicyObject> = given.objects.iter().map(|(_, object)| object.clone()).collect();
    if changed.is_empty() {
        bail!("no policy in the input");
    }
    let pods = pods(&documents, &namespace);
    if pods.is_empty() && !cluster {
        bail!(
            "there is no pod to look at; say --cluster for the running agents, or give manifests with pods to --filename"
        );
    }
    let found = if cluster {
        cluster::run(&Cell::new("running pods"), async {
            let (asked, now) = installation.look().await?;
            let then = next(&now, &changed)?;
            let mut found = look(&asked, &now, &then).await;
            within(&pods, &now, &then, &mut found);
            Ok(found)
        })?
    } else {
        let known = policies(&read_all(&before, recursive)?, &namespace)?;
        let operator: Operator = read_operator(installation.config())?;
        let mut namespaces = known.namespaces;
        namespaces.extend(given.namespaces);
        let namespaces = opted_in(namespaces, pods.iter().map(|pod| &pod.namespace));
        let objects: Vec<PolicyObject> = known.objects.into_iter().map(|(_, object)| object).collect();
        let now = World::of(&objects, namespaces, operator);
        let then = next(&now, &changed)?;
        let mut found = Looked::default();
        within(&pods, &now, &then, &mut found);
        found
    };
    match output {
        Format::Text => terminal::print(&words(&found)?)?,
        Format::Json => terminal::print_json(&json!({"pods": found.pods, "changed": found.changed}))?,
    }
    Ok(ending(&found))
}

fn ending(found: &Looked) -> Ending {
    // Where something changes, pods that are no agents are nobody's question.
    if let Some(Missed { pod, policy, why }) = found.missed.as_ref().filter(|_| found.changed.is_empty()) {
        say(
            "note",
            &format!(
                "policy {} would select pods that are never sent, such as {pod}: {why}",
                of_file(policy)
            ),
        );
    }
    for (namespace, why) in &found.unseen {
        say("error", &format!("could not look at namespace {namespace}: {why}"));
    }
    if found.more {
        say("error", "not all pods were looked at");
    }
    if found.more || !found.unseen.is_empty() {
        Ending::Code(2)
    } else {
        Ending::refused_if(!found.changed.is_empty())
    }
}

/// The policies among documents, which all can be read.
fn policies(documents: &[Document], namespace: &str) -> anyhow::Result<Policies> {
    let found = Policies::among(documents, namespace);
    if !found.unusable.is_empty() {
        let problems: Vec<String> = found.unusable.iter().map(ToString::to_string).collect();
        bail!(problems.join("\n"));
    }
    Ok(found)
}

/// The policies as they would be. One that is invalid would not be stored.
fn next(now: &World, changed: &[PolicyObject]) -> anyhow::Result<World> {
    let then = now.with(changed);
    let mut problems = Vec::new();
    for object in changed {
        let policy = then.set.get(&object.name());
        let errors = policy.into_iter().flat_map(|policy| &policy.errors().0);
        problems.extend(errors.map(|error| format!("policy {}: {error}", object.name())));
    }
    if !problems.is_empty() {
        bail!(problems.join("\n"));
    }
    Ok(then)
}

/// A pod of a file, as its controller makes it.
struct Manifest {
    kind: String,
    namespace: String,
    name: String,
    pod: serde_json::Value,
}

fn pods(documents: &[Document], namespace: &str) -> Vec<Manifest> {
    let all = documents.iter().flat_map(|document| {
        workload::pods(&document.value).into_iter().filter_map(|at| {
            let template = document.value.pointer(&at.pointer())?;
            let several = if at.one_of_several {
                format!(" ({})", at.field())
            } else {
                String::new()
            };
            Some(Manifest {
                pod: at.pod(template),
                namespace: at.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
                name: format!("{}{several}", at.name),
                kind: at.kind,
            })
        })
    });
    all.collect()
}

/// Looks at the pods of files.
fn within(pods: &[Manifest], now: &World, then: &World, found: &mut Looked) {
    for it in pods {
        found.add(&it.kind, &it.namespace, &it.name, &it.pod, now, then);
    }
}

fn words(found: &Looked) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for Changed {
        kind,
        namespace,
        name,
        effect,
        lines,
    } in &found.changed
    {
        let (colour, word, why) = match effect {
            Effect::Injected { policy } => (AnsiColor::Green, "would be injected", format!("by {policy}")),
            Effect::Changed { policy } => (AnsiColor::Yellow, "would be injected otherwise", format!("by {policy}")),
            Effect::LeftAlone { reason, why } => {
                (AnsiColor::Yellow, "would be left alone", format!("({reason}): {why}"))
            }
            Effect::Denied { reason, why } => (AnsiColor::Red, "would be denied", format!("({reason}): {why}")),
            Effect::Admitted => (AnsiColor::Green, "would be admitted", "and is denied now".to_owned()),
        };
        let (title, colour) = (clean(&format!("{kind} {namespace}/{name}")), colour.on_default());
        writeln!(
            text,
            "{BOLD}{title}{BOLD:#} {colour}{word}{colour:#} {}",
            clean(of_file(&why))
        )?;
        for line in lines {
            writeln!(text, "  {}", clean(line))?;
        }
    }
    writeln!(
        text,
        "{} of {} pods would get something else",
        found.changed.len(),
        found.pods
    )?;
    Ok(text)
}
