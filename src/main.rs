//! Parse, run, exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // With two TLS providers in the dependency tree rustls must be told which; the first call cannot fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::run(cli::Cli::of_arguments())
}
