//! What reaches the terminal: results on standard output, remarks on standard error.

use std::fmt::Write as _;
use std::io::{self, Write};

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

/// Writes `label: line` to standard error for every line of `text`.
pub(super) fn say(label: &str, text: &str) {
    let mut remarks = String::new();
    for line in text.lines() {
        // Names come from files: a control character among them must not reach the terminal.
        let _ = writeln!(remarks, "{label}: {}", clean(line));
    }
    // With standard error gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(remarks.as_bytes());
}

/// A text with its control characters escaped.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_debug());
        } else {
            clean.push(character);
        }
    }
    clean
}
