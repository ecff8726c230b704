//! What reaches the terminal: results on standard output, remarks on standard error.

use std::io::{self, Write};

pub(super) use vertex_injector_net::remarks::{clean, say};

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
///
/// Colours in `text` appear only on a terminal, and not when `NO_COLOR` is set.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
