//! `check`: whether an installation works, a line for each thing that was looked at.

use super::cluster::{self, Connection};
use super::terminal::{self, clean};
use anstyle::{AnsiColor, Style};
use clap::builder::PossibleValue;
use std::cell::Cell;
use std::fmt::Write;
use strum::VariantArray;
use vertex_injector_operate::WhichRelease;
use vertex_injector_operate::finding::{Finding, Level, Part};
use vertex_injector_operate::installation::{Report, check};
use vertex_injector_sidecar::Ending;

/// Check an installation: what works, what does not, and what to do about it
///
/// Looks at the API server, the definitions, both webhook configurations, the certificate that is really served (asked of the
/// webhook's pods, from outside the cluster by a forwarded port), the replicas, the admission policies of the chart, the policies,
/// the running agents, and creates a pod for each policy as a dry run. Changes nothing. A line for each: ✓ fine, ! a warning, ✗
/// broken, ? nobody could look, with what was found and what to do. docs/reference/problems.md lists everything that it knows.
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

  # Without rights on pods of other namespaces
  vertex-injector check --only api-server,definitions,webhooks,guards

  # What is broken, for a script
  vertex-injector check -o json |
    jq '.findings[] | select(.level == \"broken\")'")]
pub(super) struct Args {
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

    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// Warnings count as broken
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    colours: terminal::Colours,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// For people
    Text,
    /// {version, release, findings: [{part, level, problem, object, found, remedy}]}
    Json,
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

const BOLD: Style = Style::new().bold();

/// Most lines of one problem that people are shown.
const MAX_LINES: usize = 20;

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        connection,
        release,
        namespace,
        only,
        output,
        strict,
        colours,
    } = args;
    colours.choose();
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
    print(&report, output)?;
    Ok(ending(&report, strict))
}

/// What a report means for the shell.
fn ending(report: &Report, strict: bool) -> Ending {
    if report.has(Level::Broken) || (strict && report.has(Level::Warning)) {
        Ending::Refused
    } else if report.has(Level::Unknown) {
        Ending::Code(2)
    } else {
        Ending::Done
    }
}

fn print(report: &Report, output: Format) -> anyhow::Result<()> {
    match output {
        Format::Text => terminal::print(&words(&report.findings)?)?,
        Format::Json => terminal::print_data(&(serde_json::to_string_pretty(report)? + "\n"))?,
    }
    Ok(())
}

fn words(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for of_part in findings.chunk_by(|a, b| a.part == b.part) {
        if let Some(first) = of_part.first() {
            writeln!(text, "{BOLD}{}{BOLD:#}", first.part.name())?;
        }
        for same in of_part.chunk_by(|a, b| a.problem == b.problem && a.level == b.level) {
            for finding in same.iter().take(MAX_LINES) {
                line(&mut text, finding)?;
            }
            if let Some(more @ 1..) = same.len().checked_sub(MAX_LINES) {
                writeln!(text, "  … and {more} more of the same (-o json lists all)")?;
            }
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    writeln!(
        text,
        "{} fine, {} to know, {} not looked at, {} broken",
        count(Level::Fine),
        count(Level::Warning),
        count(Level::Unknown),
        count(Level::Broken)
    )?;
    Ok(text)
}

fn line(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding {
        part: _,
        level,
        problem,
        object,
        found,
        remedy,
    } = finding;
    let colour = match level {
        Level::Fine => AnsiColor::Green,
        Level::Warning | Level::Unknown => AnsiColor::Yellow,
        Level::Broken => AnsiColor::Red,
    }
    .on_default();
    let object = clean(&object.to_string());
    writeln!(text, "  {colour}{}{colour:#} {object}: {}", level.sign(), clean(found))?;
    if let Some(problem) = problem {
        writeln!(text, "      {problem}: {}", clean(remedy))?;
    }
    Ok(())
}
