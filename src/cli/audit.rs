//! `audit`: running agents beside the policies of today.

use super::cluster::{self, Installation};
use super::terminal::{self, clean, say};
use serde_json::json;
use std::cell::Cell;
use std::fmt::Write;
use vertex_injector_operate::audit;
use vertex_injector_operate::check::agents::{Agent, Found};
use vertex_injector_sidecar::Ending;

/// List running agents whose injection is not what today's policies say
///
/// Of all namespaces that opted in, or of one. A line for each pod: what is wrong (AgentNotInjected, AgentOutdated, AgentOrphaned,
/// AgentWouldBeRefused) and how. Decided by the same code as the webhook's, about the pods as they are. Changes nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every running agent has what today's policies say
  1  one has not
  2  the arguments cannot be used, or not all could be looked at

Examples:
  # After a change of a policy: which agents are still to be made anew?
  vertex-injector audit

  # Make those of a namespace anew where a controller makes them again
  vertex-injector audit -n agents -o name |
    xargs -r kubectl delete -n agents

  # Every change of every pod
  vertex-injector audit -o wide")]
pub(super) struct Args {
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    #[command(flatten)]
    installation: Installation,

    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// A line for each pod
    Text,
    /// The same with who made it, and every change
    Wide,
    /// pod/NAME; with one namespace, for kubectl
    Name,
    /// {current, agents: [{namespace, name, owner, injectedBy, standing, …}], notLookedAt}
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        namespace,
        installation,
        output,
    } = args;
    let found = cluster::run(&Cell::new("running pods"), async {
        let (cluster, world) = installation.look().await?;
        if let Some(namespace) = namespace.as_deref().filter(|it| !world.opted_in().contains(it)) {
            say(
                "note",
                &format!("no pod of namespace {namespace} is sent to the webhook: it did not opt in"),
            );
        }
        audit::audit(&cluster, &world, namespace.as_deref()).await
    })?;
    match output {
        Format::Text => terminal::print(&words(&found.agents)?)?,
        Format::Wide => terminal::print(&wide(&found.agents)?)?,
        Format::Name => {
            let names = found.agents.iter().map(|agent| format!("pod/{}\n", agent.name));
            terminal::print_data(&names.collect::<String>())?;
        }
        Format::Json => {
            let unseen = found
                .unseen
                .iter()
                .map(|(namespace, why)| json!({"namespace": namespace, "why": why}));
            let all = json!({
                "current": found.current,
                "agents": found.agents,
                "notLookedAt": unseen.collect::<Vec<_>>(),
            });
            terminal::print_json(&all)?;
        }
    }
    Ok(ending(&found))
}

fn ending(found: &Found) -> Ending {
    for (namespace, why) in &found.unseen {
        say("error", &format!("could not look at namespace {namespace}: {why}"));
    }
    if found.more {
        say("error", "not all pods were looked at; say --namespace");
    }
    if found.agents.is_empty() {
        say(
            "note",
            &format!("running agents that have what today's policies say: {}", found.current),
        );
    }
    if !found.agents.is_empty() {
        Ending::Refused
    } else if found.more || !found.unseen.is_empty() {
        Ending::Code(2)
    } else {
        Ending::Done
    }
}

fn words(agents: &[Agent]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for agent in agents {
        let problem = agent.problem().map(|problem| problem.to_string()).unwrap_or_default();
        let title = clean(&format!("{}/{}", agent.namespace, agent.name));
        writeln!(text, "{title}: {problem}: {}", clean(&agent.words()))?;
    }
    Ok(text)
}

fn wide(agents: &[Agent]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for agent in agents {
        let problem = agent.problem().map(|problem| problem.to_string()).unwrap_or_default();
        let owner = agent
            .owner
            .as_ref()
            .map(|owner| format!(" of {owner}"))
            .unwrap_or_default();
        let title = clean(&format!("{}/{}{owner}", agent.namespace, agent.name));
        writeln!(text, "{title}: {problem}: {}", clean(&agent.summary()))?;
        for change in agent.changes() {
            writeln!(text, "  {}", clean(change))?;
        }
    }
    Ok(text)
}
