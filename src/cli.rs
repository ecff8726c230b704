//! The command line: one variant per verb, and what its ending means for the shell.
//!
//! Results go to standard output, everything about them to standard error. Exit code 0: done; 1: a pod was denied, a
//! policy is invalid, a sidecar is not ready, something of an installation is broken or something differs; 2: the arguments or the
//! input cannot be used, or a cluster cannot be asked. `exec` ends with its command's code. Nothing is written before all of it is known,
//! but by `doctor`, which shows each hop as it is gone.

mod audit;
mod check;
mod cluster;
mod completions;
mod crds;
mod diff;
mod doctor;
mod explain;
mod inject;
mod inputs;
mod man;
mod report;
mod terminal;
mod validate;
mod webhook;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vertex_injector_sidecar::{Ending, exit_code};

/// Gives LLM agents in Kubernetes access to Google Vertex AI without handing them keys.
#[derive(Parser, Debug)]
#[command(
    name = "vertex-injector",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

// Arguments are built when their verb is called: brokers are many, and small. That is why the list of verbs has its lines from
// here, while a verb's own help begins with those of its arguments.
#[derive(Subcommand, Debug)]
#[command(defer = true)]
enum Verb {
    /// Serve admission reviews over HTTPS
    #[command(after_help = "\
Examples:
  # Beside a cluster: policies from files, a certificate of your own
  vertex-injector webhook --listen 127.0.0.1:8443 --policy-dir policies/ \\
    --tls-cert-file tls.crt --tls-key-file tls.key

  # In a cluster, as the chart does it
  vertex-injector webhook --config /etc/vertex-injector/config.yaml")]
    Webhook(vertex_injector_webhook::Args),
    #[command(flatten)]
    Sidecar(vertex_injector_sidecar::Verb),
    /// Apply policies to manifests, as the webhook would in the cluster
    Inject(inject::Args),
    /// Say what the webhook would do to the pods of manifests, and why
    Explain(explain::Args),
    /// Check policies as the API server and the webhook do, all errors at once
    Validate(validate::Args),
    /// Check an installation: what works, what does not, and what to do about it
    Check(check::Args),
    /// List running agents whose injection is not what today's policies say
    Audit(audit::Args),
    /// Show what new or changed policies would do to running agents and to manifests
    Diff(diff::Args),
    /// Go the way from a pod to a model, and name the first hop that breaks
    Doctor(doctor::Args),
    /// Print the CustomResourceDefinitions of the policies
    Crds(crds::Args),
    /// Print a completion script for a shell
    #[command(alias = "completion")]
    Completions(completions::Args),
    /// Print the manual, or write a page for each verb
    Man(man::Args),
    /// Print the version
    #[command(after_help = "\
Examples:
  # Which version is this?
  vertex-injector version")]
    Version,
}

impl Cli {
    /// Parses the arguments. Where kubectl has started us as its plugin, usage is told in its words.
    pub(crate) fn of_arguments() -> Self {
        let called = std::env::args_os().next().map(PathBuf::from);
        let name = called.as_deref().and_then(Path::file_stem);
        let plugin = name.is_some_and(|name| name == "kubectl-vertex_injector");
        let command = || {
            if plugin {
                Self::command().bin_name("kubectl vertex-injector")
            } else {
                Self::command()
            }
        };
        let matches = command().try_get_matches().unwrap_or_else(|error| match error.kind() {
            ErrorKind::DisplayHelp => help(&error, command()),
            _ => error.exit(),
        });
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Prints help as wide as the terminal is, but for examples: a line that is pasted has to be whole.
fn help(narrow: &clap::Error, command: clap::Command) -> ! {
    let examples = "\nExamples:\n";
    let narrow = narrow.render().ansi().to_string();
    let wide = command.term_width(0).try_get_matches().err();
    let wide = wide.map(|error| error.render().ansi().to_string());
    let wide = wide.as_deref().and_then(|text| text.split_once(examples));
    let text = match (narrow.split_once(examples), wide) {
        (Some((help, _)), Some((_, whole))) => format!("{help}{examples}{whole}"),
        (None, _) | (Some(_), None) => narrow,
    };
    std::process::exit(match terminal::print(&text) {
        Ok(()) => 0,
        Err(_) => 2,
    })
}

fn version() -> anyhow::Result<Ending> {
    terminal::print(concat!("vertex-injector ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Ending::Done)
}

/// Runs the verb. Errors are on standard error when it returns.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let ending = match cli.verb {
        Verb::Webhook(args) => webhook::run(args),
        Verb::Sidecar(verb) => verb.run(),
        Verb::Inject(args) => inject::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Validate(args) => validate::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Audit(args) => audit::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Crds(args) => crds::run(args),
        Verb::Completions(args) => completions::run(&args, Cli::command()),
        Verb::Man(args) => man::run(args, Cli::command()),
        Verb::Version => version(),
    };
    exit_code(ending)
}
