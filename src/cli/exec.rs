//! `vertex-injector exec`.

use super::Ending;
use crate::exec;

pub fn run(args: exec::Args) -> anyhow::Result<Ending> {
    exec::run(args).map(Ending::Code)
}
