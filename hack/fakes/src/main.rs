//! Strict stand-ins for the services that an injected pod talks to.
//!
//! `vertex-injector-fakes google` answers on the host names of Google's
//! services, with certificates of a CA that it makes at start. It exists for the
//! tests and for demonstrations: real, unmodified Google clients talk to it as
//! they would talk to Google, and it refuses everything that Google would
//! refuse. It never runs in a cluster, and nothing it issues is worth anything
//! outside the process that issued it.
#![expect(clippy::print_stderr, reason = "standard error is this program's log")]

mod certificate;
mod cli;
mod google;
mod journal;
mod server;
mod shutdown;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;

use crate::cli::{Cli, Command, GoogleArguments};
use crate::google::Google;
use crate::journal::Journal;

fn main() -> ExitCode {
    let Cli {
        command: Command::Google(arguments),
    } = Cli::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vertex-injector-fakes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: GoogleArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(serve(arguments));
    // A client that holds its connection open must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn serve(arguments: GoogleArguments) -> anyhow::Result<()> {
    arguments.check()?;
    let stopped = shutdown::requested()?;

    let tls = certificate::for_google(&arguments.directory)?;
    let journal = Journal::create(&arguments.directory.join("journal.jsonl"))?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener
        .local_addr()
        .context("cannot read the address of the listening socket")?;
    let google = Arc::new(Google::new(arguments.trust(), arguments.keys()?, journal));

    let mut output = std::io::stdout();
    writeln!(output, "LISTENING {address}")
        .and_then(|()| output.flush())
        .context("cannot write the address to standard output")?;

    tokio::select! {
        () = server::run(listener, tls, google) => {}
        () = stopped => {}
    }
    Ok(())
}
