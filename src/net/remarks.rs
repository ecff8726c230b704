//! Remarks on standard error, for the person at the terminal.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes `label: line` to standard error for every line of `text`.
pub fn say(label: &str, text: &str) {
    let mut remarks = String::new();
    for line in text.lines() {
        // Names come from files: a control character among them must not reach the terminal.
        let _ = writeln!(remarks, "{label}: {}", clean(line));
    }
    // With standard error gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(remarks.as_bytes());
}

/// A text with its control characters escaped.
pub fn clean(text: &str) -> String {
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
