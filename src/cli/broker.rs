//! `vertex-injector broker` and `vertex-injector probe`.

use super::{Ending, terminal};
use crate::broker::{self, probe};

pub fn run(args: broker::Args) -> anyhow::Result<Ending> {
    broker::run(args)?;
    Ok(Ending::Done)
}

pub fn probe(args: &probe::Args) -> Ending {
    match probe::run(args) {
        Ok(()) => Ending::Done,
        Err(error) => {
            terminal::say("not ready", &format!("{error:#}"));
            Ending::Refused
        }
    }
}
