//! `check pod`: one pod that runs.

use crate::cli::cluster::{self, Installation};
use crate::cli::report::Wanted;
use std::cell::Cell;
use vertex_injector_operate::check::VERSION;
use vertex_injector_operate::installation::Report;
use vertex_injector_operate::pod;
use vertex_injector_sidecar::Ending;

/// Explain one pod: what was injected, what has changed since, and whether it is whole and runs
///
/// By which policy and generation it was injected, what today's policies say of it, decided by the same code as the webhook's about
/// the pod as it is, whether something of the injection is missing, and how it is with the containers that were injected.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  it is as today's policies say, or only worth a warning
  1  something of it is broken; with --strict, or worth a warning
  2  the arguments cannot be used, or the pod cannot be looked at

Examples:
  # Why has this pod not what the policy says?
  vertex-injector check pod agent-7d9f -n agents")]
pub(super) struct Args {
    /// Its name
    name: String,

    /// Its namespace [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    #[command(flatten)]
    installation: Installation,

    #[command(flatten)]
    wanted: Wanted,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        name,
        namespace,
        installation,
        wanted,
    } = args;
    let findings = cluster::run(&Cell::new("the pod"), async {
        let (cluster, world) = installation.look().await?;
        let namespace = namespace.as_deref().unwrap_or(&cluster.namespace);
        pod::explain(&cluster, &world, namespace, name.strip_prefix("pod/").unwrap_or(&name)).await
    })?;
    let report = Report {
        version: VERSION,
        release: None,
        findings,
    };
    wanted.print(&report)
}
