//! `completions`: completion scripts for shells.

use super::terminal;
use vertex_injector_sidecar::Ending;

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  # Completion in this shell
  source <(vertex-injector completions bash)

  # Completion in every fish shell
  vertex-injector completions fish > ~/.config/fish/completions/vertex-injector.fish")]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "vertex-injector", &mut script);
    terminal::print(&String::from_utf8(script)?)?;
    Ok(Ending::Done)
}
