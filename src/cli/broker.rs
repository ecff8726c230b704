//! `vertex-injector broker`.

use super::Ending;
use crate::broker;

pub fn run(args: broker::Args) -> anyhow::Result<Ending> {
    broker::run(args)?;
    Ok(Ending::Done)
}
