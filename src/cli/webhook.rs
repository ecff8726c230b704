//! `webhook`: the runtime around the admission server.

use std::thread;
use vertex_injector_sidecar::Ending;
use vertex_injector_webhook::{self as webhook, Args};

/// Most threads that answer reviews. One answers some ten thousand a second; more only cost memory.
const MAX_WORKERS: usize = 4;

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let workers = thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(1, MAX_WORKERS);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?
        .block_on(webhook::run(args))?;
    Ok(Ending::Done)
}
