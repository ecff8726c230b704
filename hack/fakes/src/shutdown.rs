//! When to stop: a closed standard input or a signal.

use std::io::Read;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// A future that ends when standard input reaches its end, or SIGTERM or SIGINT arrives.
///
/// Standard input is a pipe from whoever started us: the kernel closes it however that process
/// ends, SIGKILL included, so a test can leave nothing behind.
///
/// # Errors
///
/// When the signal handlers or the watching thread cannot be set up.
pub(crate) fn requested() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let (closed, input_closed) = oneshot::channel();
    // A plain thread: a read of standard input cannot be cancelled, and a runtime
    // would wait for it when it shuts down.
    std::thread::Builder::new()
        .name("standard input".to_owned())
        .spawn(move || {
            drain(&mut std::io::stdin().lock());
            // Nobody listens any more when a signal came first.
            let _ = closed.send(());
        })
        .context("cannot watch standard input")?;
    Ok(async move {
        tokio::select! {
            _ = input_closed => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn drain(input: &mut impl Read) {
    let mut buffer = [0_u8; 256];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
