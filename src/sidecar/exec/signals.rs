//! Every signal that concerns the child, in one queue.

use rustix::process::Signal;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that ask for the end.
pub const END: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

/// Signals that mean something to the child alone.
pub const PASSED_ON: [Signal; 4] = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH];

/// More waiting than this are lost, as the kernel itself keeps only one of each kind.
const QUEUE: usize = 32;

/// Takes over all of them, and [`Signal::CHILD`]. First of all: as a container's first process, a signal without handler is
/// ignored.
///
/// # Errors
/// When the system refuses a handler.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    let (send, signals) = mpsc::channel(QUEUE);
    for kind in END.into_iter().chain(PASSED_ON).chain([Signal::CHILD]) {
        let mut arrivals = signal(SignalKind::from_raw(kind.as_raw()))?;
        let send = send.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                if send.send(kind).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(signals)
}
