//! `vertex-injector probe`: of a broker or of a wrapper, whichever runs in this container.

use crate::Ending;
use crate::{broker, exec};
use vertex_injector_net::remarks::say;

/// Ask the broker of this pod, or the wrapper of this container, whether it is ready.
///
/// Takes its ports from the same variables as these, so in their containers it needs no port. Exit code 0: ready; 1: not ready, with
/// the reason on standard error.
#[derive(clap::Args, Debug)]
#[group(id = "probe")]
pub struct Args {
    #[command(flatten)]
    broker: broker::probe::Args,

    /// Port of the control listener of `vertex-injector exec`; asks that instead of a broker
    #[arg(long, env = "VERTEX_INJECTOR_CONTROL_PORT", value_name = "N")]
    control_port: Option<u16>,

    /// With a control port: ask whether there is a credential and the server runs, not only whether the wrapper listens
    #[arg(long, requires = "control_port")]
    ready: bool,
}

pub fn run(args: &Args) -> Ending {
    let outcome = match args.control_port {
        Some(port) => exec::probe::run(port, args.ready),
        None => broker::probe::run(&args.broker),
    };
    match outcome {
        Ok(()) => Ending::Done,
        Err(error) => {
            say("not ready", &format!("{error:#}"));
            Ending::Refused
        }
    }
}
