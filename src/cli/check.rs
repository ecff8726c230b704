//! `check`: whether an installation works, a line for each thing that was looked at.

mod pod;

use super::cluster::{self, Connection};
use super::report::Wanted;
use clap::builder::PossibleValue;
use std::cell::Cell;
use strum::VariantArray;
use vertex_injector_operate::WhichRelease;
use vertex_injector_operate::finding::Part;
use vertex_injector_operate::installation::check;
use vertex_injector_sidecar::Ending;

/// Check an installation: what works, what does not, and what to do about it
///
/// Looks at the API server, the definitions, both webhook configurations, the certificate that is really served (asked of the
/// webhook's pods: by a forwarded port from outside the cluster, and where a NetworkPolicy keeps us out), the replicas, the admission
/// policies of the chart, the policies, the running agents, and creates a pod for each policy as a dry run. Changes nothing. A line
/// for each: ✓ fine, ! a warning, ✗ broken, ? nobody could look, with what was found and what to do. docs/reference/problems.md
/// lists everything that it knows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  nothing is broken; with --strict, nothing is worth a warning either
  1  something is broken
  2  the arguments cannot be used, the API server cannot be asked, or all
     that could be looked at is fine and something could not

Examples:
  # Does everything work?
  vertex-injector check

  # Another cluster, and one of several releases
  vertex-injector check --context production --release vertex-injector \\
    -n vertex-injector

  # One pod
  vertex-injector check pod agent-7d9f -n agents

  # Without rights on pods of other namespaces
  vertex-injector check --only api-server,definitions,webhooks,guards

  # What is broken, for a script
  vertex-injector check -o json |
    jq '.findings[] | select(.level == \"broken\")'")]
pub(super) struct Args {
    #[command(subcommand)]
    narrower: Option<Narrower>,

    #[command(flatten)]
    connection: Connection,

    /// The release, where there are several
    #[arg(long, value_name = "NAME")]
    release: Option<String>,

    /// The namespace of the release
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Only these parts, comma-separated
    #[arg(
        long,
        value_name = "PART",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = false
    )]
    only: Vec<Chosen>,

    #[command(flatten)]
    wanted: Wanted,
}

#[derive(clap::Subcommand, Debug)]
enum Narrower {
    /// Explain one pod: what was injected, what has changed since, and whether it is whole and runs
    Pod(pod::Args),
}

/// A part that was chosen.
#[derive(Debug, Clone, Copy)]
struct Chosen(Part);

impl clap::ValueEnum for Chosen {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Chosen; Part::VARIANTS.len()] = {
            let mut all = [Chosen(Part::ApiServer); Part::VARIANTS.len()];
            let mut i = 0;
            while i < all.len() {
                #[expect(clippy::indexing_slicing, reason = "at compile time")]
                {
                    all[i] = Chosen(Part::VARIANTS[i]);
                }
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.meaning()))
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        narrower,
        connection,
        release,
        namespace,
        only,
        wanted,
    } = args;
    if let Some(Narrower::Pod(args)) = narrower {
        return pod::run(args);
    }
    let parts: Vec<Part> = match only.as_slice() {
        [] => Part::VARIANTS.to_vec(),
        chosen => chosen.iter().map(|chosen| chosen.0).collect(),
    };
    let which = WhichRelease {
        release: release.as_deref(),
        namespace: namespace.as_deref(),
    };
    let now = Cell::new("the API server");
    let report = cluster::run(&now, async {
        let cluster = connection.connect().await?;
        check(&cluster, which, &parts, |part| now.set(part.name())).await
    })?;
    wanted.print(&report)
}
