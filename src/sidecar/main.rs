//! The program of injected containers: parse, run, exit code.

use clap::Parser;
use std::process::ExitCode;
use vertex_injector_sidecar::{Verb, exit_code};

/// What vertex-injector puts beside an agent, so that the agent holds no credential.
#[derive(Parser, Debug)]
#[command(
    name = "vertex-injector-sidecar",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    // With two TLS providers in the dependency tree rustls must be told which; the first call cannot fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let verb = Verb::of_container().unwrap_or_else(|| Cli::parse().verb);
    exit_code(verb.run())
}
