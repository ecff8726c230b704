//! `completions`: completion scripts for shells.

use super::terminal;
use clap::ValueEnum;
use clap_complete::Shell;
use vertex_injector_sidecar::Ending;

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  # Completion in this shell
  source <(vertex-injector completions bash)

  # Completion in every fish shell
  vertex-injector completions fish \\
    > ~/.config/fish/completions/vertex-injector.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "vertex-injector", &mut script);
    // In bash it finds the verb by one spelling of our name and looks for its flags by another, which takes the hyphen for the
    // border between two commands.
    let mut script = String::from_utf8(script)?.replace("vertex__subcmd__injector", "vertex__injector");
    if args.shell == Shell::Fish {
        // What it has no words for: values that no flag stands before.
        script
            .push_str("complete -c vertex-injector -n \"__fish_seen_subcommand_from completions completion\" -f -a \"");
        let shells = Shell::value_variants().iter().map(ToString::to_string);
        script.push_str(&shells.collect::<Vec<_>>().join(" "));
        script.push_str("\"\n");
    }
    terminal::print(&script)?;
    Ok(Ending::Done)
}
