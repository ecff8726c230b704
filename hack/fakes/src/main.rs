//! Strict stand-ins for the services that an injected pod talks to.
//!
//! `vertex-injector-fakes google` answers on the host names of Google's
//! services, with certificates of a CA that it makes at start. It exists for the
//! tests and for demonstrations: real, unmodified Google clients talk to it as
//! they would talk to Google, and it refuses everything that Google would
//! refuse. It never runs in a cluster but a test's own, and nothing it issues is
//! worth anything outside the process that issued it. `vertex-injector-fakes
//! vertex` is its models alone, for anybody and as fast as it can.
//!
//! `vertex-injector-fakes agent` is the other side: it asks a model as an agent
//! would, and `vertex-injector-fakes attacker` reads along beside it.
#![expect(clippy::print_stderr, reason = "standard error is this program's log")]

mod agent;
mod attacker;
mod certificate;
mod cli;
mod client;
mod control_plane;
mod google;
mod journal;
mod mesh;
mod server;
mod shutdown;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use clap::Parser;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::attacker::AttackerArguments;
use crate::cli::{AgentArguments, Cli, Command, GoogleArguments, VertexArguments};
use crate::google::Google;
use crate::journal::Journal;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vertex-injector-fakes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Google(arguments) => google(arguments).await,
            Command::Vertex(arguments) => vertex(arguments).await,
            Command::Agent(arguments) => ask(arguments).await,
            Command::Attacker(arguments) => attack(arguments).await,
            Command::Mesh(arguments) => {
                let router = mesh::router(arguments.additions()?);
                serve(arguments.listen, Some(arguments.tls()?), router, CONNECTIONS).await
            }
            Command::ControlPlane(arguments) => {
                serve(arguments.listen, None, control_plane::router(arguments)?, CONNECTIONS).await
            }
        }
    });
    // A client that holds its connection open must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

/// How many connections clients of a test may have.
const CONNECTIONS: usize = 256;
/// How many a benchmark may have.
const MANY_CONNECTIONS: usize = 4096;

async fn google(arguments: GoogleArguments) -> anyhow::Result<()> {
    arguments.check()?;
    let tls = arguments.tls()?;
    let journal = Journal::create(&arguments.directory.join("journal.jsonl"))?;
    let google = Google::new(
        arguments.trust(),
        arguments.keys()?,
        arguments.known()?,
        arguments.vertex(),
        journal,
    );
    let router = server::google(Arc::new(google));
    serve(arguments.listen, Some(tls), router, CONNECTIONS).await
}

async fn vertex(arguments: VertexArguments) -> anyhow::Result<()> {
    let tls = arguments
        .tls_directory
        .as_deref()
        .map(certificate::for_google)
        .transpose()?;
    let router = server::vertex(Arc::new(arguments.models.vertex(&[])));
    serve(arguments.listen, tls, router, MANY_CONNECTIONS).await
}

async fn attack(arguments: AttackerArguments) -> anyhow::Result<()> {
    let tls = certificate::for_google(&arguments.directory)?;
    serve(AttackerArguments::listen(), Some(tls), arguments.start()?, CONNECTIONS).await
}

async fn serve(
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    connections: usize,
) -> anyhow::Result<()> {
    let stopped = shutdown::requested()?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let address = listener
        .local_addr()
        .context("cannot read the address of the listening socket")?;

    let mut output = std::io::stdout();
    writeln!(output, "LISTENING {address}")
        .and_then(|()| output.flush())
        .context("cannot write the address to standard output")?;

    tokio::select! {
        () = server::run(listener, tls, router, connections) => {}
        () = stopped => {}
    }
    Ok(())
}

async fn ask(arguments: AgentArguments) -> anyhow::Result<()> {
    let answer = agent::ask(&arguments.model).await?;
    writeln!(std::io::stdout(), "{answer}").context("cannot write to standard output")
}
