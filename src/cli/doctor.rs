//! `doctor`: the way from a pod to a model, hop by hop.

mod asked;
mod environment;
mod job;

use super::terminal::{self, Format, clean};
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use asked::Asked;
use std::fmt::Write;
use std::path::PathBuf;
use vertex_injector_core::contract::proxy::{Project, Region};
use vertex_injector_net::egress::Egress;
use vertex_injector_sidecar::Ending;
use vertex_injector_sidecar::doctor::examine;
use vertex_injector_sidecar::doctor::hop::Level;
use vertex_injector_sidecar::doctor::report::{Finding, Report};

/// Go the way from a pod to a model, and name the first hop that breaks
///
/// Runs in a pod, with the environment of its agent or of its broker: the identity token, the token exchange, impersonation and one
/// call of the model, for one token of output, and the name, connection, certificate and clock of each host between. A line for
/// each hop: ✓ fine, ! worth knowing, ✗ broken, · not tried because one before is broken; with what was found, in Google's own words
/// where it spoke, and the command that mends it. In an agent beside a broker it asks the broker, and reports what that says. No
/// token is shown.
///
/// With --job it prints a Job that goes the way of another pod: as its ServiceAccount, with the token and the configuration that
/// it has, in the image of its broker. docs/reference/hops.md lists everything that it knows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every hop is fine
  1  a hop is broken
  2  the arguments cannot be used, or this is no pod that calls models

Examples:
  # For a pod: from beside it, as its ServiceAccount
  kubectl get pod hello -n agents -o json |
    vertex-injector doctor --job - | kubectl apply -f -
  until kubectl logs -n agents -f job/doctor-hello; do sleep 1; done

  # In a pod, or on any machine with a credential file
  vertex-injector doctor --model claude-haiku-4-5
  vertex-injector doctor --credentials credentials.json --project my-project \\
    --region us-east5 --model claude-haiku-4-5

  # Which hop is broken, for a script
  vertex-injector doctor -o json |
    jq '.hops[] | select(.level == \"broken\")'")]
pub(super) struct Args {
    /// A credential configuration, instead of what the environment names
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    credentials: Option<PathBuf>,

    /// The project to call [default: as the environment says]
    #[arg(long, value_name = "ID")]
    project: Option<Project>,

    /// The location to call [default: as the environment says]
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,

    /// The model to call [default: as the environment says]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// Print a Job for the pod in this manifest, or - for standard input, and look at nothing
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["credentials", "output"])]
    job: Option<PathBuf>,

    /// With --job: our image, for pods without a container that runs it (access: File)
    #[arg(long, value_name = "IMAGE", requires = "job")]
    image: Option<String>,

    /// Format of the result
    #[arg(short, long, default_value = "text", value_parser = Format::parser("{version, hops: [{hop, at, level, problem, found, remedy}]}"))]
    output: Format,

    #[command(flatten)]
    colours: terminal::Colours,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        credentials,
        project,
        region,
        model,
        job,
        image,
        output,
        colours,
    } = args;
    colours.choose();
    let asked = Asked {
        credentials,
        project,
        region,
        model,
    };
    if let Some(file) = job {
        terminal::print_data(&job::manifest(&file, image, &asked)?)?;
        return Ok(Ending::Done);
    }
    let pod = environment::pod(asked, &|name| std::env::var(name).ok())?;
    let egress = Egress::from_env()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let report = runtime.block_on(examine(&pod, &egress));
    match output {
        Format::Text => terminal::print(&words(&report)?)?,
        Format::Json => terminal::print_json(&report)?,
    }
    Ok(Ending::refused_if(report.broken().is_some()))
}

fn words(report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for finding in &report.hops {
        line(&mut text, finding)?;
    }
    Ok(text)
}

fn line(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding {
        hop,
        at,
        level,
        problem,
        found,
        remedy,
    } = finding;
    let colour = match level {
        Level::Fine => AnsiColor::Green.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Broken => AnsiColor::Red.on_default(),
        Level::NotTried => Style::new().dimmed(),
    };
    let space = if at.is_empty() { "" } else { " " };
    let (at, found) = (clean(at), clean(found));
    writeln!(
        text,
        "{colour}{}{colour:#} {}{space}{at}: {found}",
        level.sign(),
        hop.name()
    )?;
    let Some(problem) = problem else { return Ok(()) };
    writeln!(text, "    {}: {}", problem.name(), problem.meaning())?;
    for mends in remedy {
        writeln!(text, "    {}", clean(mends))?;
    }
    Ok(())
}
