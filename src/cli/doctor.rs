//! `doctor`: the way from a pod to a model, hop by hop.

mod asked;
mod container;
mod environment;
mod in_pod;
mod job;
mod subject;
mod words;

use super::cluster::Connection;
use super::terminal::{self, Format};
use anyhow::Context;
use asked::Asked;
use clap::ArgGroup;
use std::path::PathBuf;
use vertex_injector_core::contract::proxy::{Project, Region};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_sidecar::Ending;
use vertex_injector_sidecar::doctor::examine;

/// Go the way from a pod to a model, and name the first hop that breaks
///
/// Runs in a pod, with the environment of its agent or of its broker: the identity token, the token exchange, impersonation and one
/// call of the model, for one token of output, and the name, connection, certificate and clock of each host between. A line for
/// each hop: ✓ fine, ! worth knowing, ✗ broken, · not tried because one before is broken; with what was found, in Google's own words
/// where it spoke, and the command that mends it. In an agent beside a broker it asks the broker, and reports what that says. No
/// token is shown.
///
/// With --in-pod it goes the way of another pod, within it: in a container of our image that is added to the pod, has what the agent
/// has, asks the broker for what needs the identity token, and stays in the pod's list when it has ended. With --job it prints a Job
/// that goes the way from beside the pod: as its ServiceAccount, with the token and the configuration that it has, in the image of
/// its broker. Where no container can be added, --in-pod says why and prints the Job. docs/reference/hops.md lists everything that
/// it knows.
#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("other").args(["job", "in_pod"]))]
#[command(mut_group("Connection", |group| group.requires("in_pod")))]
#[command(after_help = "\
Exit codes:
  0  every hop is fine
  1  a hop is broken
  2  the arguments cannot be used, this is no pod that calls models, or no
     container can be added to the pod

Examples:
  # Within a pod that runs, in its network
  vertex-injector doctor --in-pod hello -n agents

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

    /// When the broker has no token or is cut off, also go the way to this host, without a token: https://HOST; can be repeated
    #[arg(long, value_name = "URL", conflicts_with = "other")]
    reach: Vec<Endpoint>,

    /// Go the way within this pod, which runs: in a container that is added to it
    #[arg(long, value_name = "POD", conflicts_with = "credentials")]
    in_pod: Option<String>,

    /// With --in-pod: its namespace [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE", requires = "in_pod")]
    namespace: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// Print a Job for the pod in this manifest, or - for standard input, and look at nothing
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["credentials", "output"])]
    job: Option<PathBuf>,

    /// With --in-pod or --job: our image, for pods without a container that runs it (access: File)
    #[arg(long, value_name = "IMAGE", requires = "other")]
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
        reach,
        in_pod,
        namespace,
        connection,
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
        reach,
    };
    if let Some(file) = job {
        terminal::print_data(&job::manifest(&file, image.as_deref(), &asked)?)?;
        return Ok(Ending::Done);
    }
    if let Some(pod) = in_pod {
        let place = in_pod::Place {
            connection,
            namespace,
            pod,
        };
        return in_pod::run(&place, image.as_deref(), &asked, output);
    }
    let pod = environment::pod(asked, &|name| std::env::var(name).ok())?;
    let egress = Egress::from_env()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let mut written = Ok(());
    let report = runtime.block_on(examine(&pod, &egress, &mut |finding| {
        if matches!(output, Format::Text) && written.is_ok() {
            written = terminal::print(&words::lines(finding));
        }
    }));
    written?;
    if let Format::Json = output {
        terminal::print_json(&report)?;
    }
    Ok(Ending::refused_if(report.broken().is_some()))
}
