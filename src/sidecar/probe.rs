//! `vertex-injector probe`: of a broker or of a wrapper, whichever runs in this container.

use crate::ending::Ending;
use crate::flags::{Contract, Told, of, one};
use crate::{broker, exec};
use clap::{Arg, ArgAction};
use vertex_injector_core::contract::broker::{
    DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT, METADATA_PORT, MODE, ModeName, PROXY_PORT,
};
use vertex_injector_core::contract::exec::CONTROL_PORT;
use vertex_injector_core::contract::probe::{Probe, READY};
use vertex_injector_core::contract::setting::{Given, Wrong};
use vertex_injector_net::remarks::say;

/// Ask the broker of this pod, or the wrapper of this container, whether it is ready.
///
/// Takes its ports from the same variables as these, so in their containers it needs no port. Exit code 0: ready; 1: not ready, with
/// the reason on standard error.
#[derive(clap::Args, Debug)]
#[group(id = "probe")]
pub struct Args {
    #[command(flatten)]
    told: Told<Probe>,
}

impl Contract for Probe {
    fn flags() -> Vec<Arg> {
        vec![
            one(MODE, "MODE", "What the broker does [default: metadata]").value_parser(of(ModeName::names())),
            one(
                METADATA_PORT,
                "N",
                format!("Port of the metadata server [default: {DEFAULT_METADATA_PORT}]"),
            ),
            one(
                PROXY_PORT,
                "N",
                format!("Port of the Vertex proxy; only asked in mode proxy [default: {DEFAULT_PROXY_PORT}]"),
            ),
            one(
                CONTROL_PORT,
                "N",
                "Port of the control listener of `vertex-injector exec`; asks that instead of a broker",
            ),
            one(
                READY,
                "READY",
                "With a control port: ask whether there is a credential and the server runs, not only whether the wrapper listens",
            )
            .num_args(0)
            .default_missing_value("true")
            .action(ArgAction::Set),
        ]
    }

    fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        Self::read(given)
    }
}

pub(crate) fn run(args: &Args) -> Ending {
    let outcome = match args.told.0 {
        Probe::Exec { control_port, ready } => exec::probe::run(control_port, ready),
        Probe::Broker {
            metadata_port,
            proxy_port,
        } => broker::probe::run(metadata_port, proxy_port),
    };
    match outcome {
        Ok(()) => Ending::Done,
        Err(error) => {
            say("not ready", &format!("{error:#}"));
            Ending::Refused
        }
    }
}
