//! What people see of a hop.

use crate::cli::terminal::clean;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use vertex_injector_sidecar::doctor::hop::Level;
use vertex_injector_sidecar::doctor::report::Finding;

/// A hop, with what mends it.
pub(super) fn lines(finding: &Finding) -> String {
    let mut text = String::new();
    // Nothing fails to be written into a text.
    let _ = write(&mut text, finding);
    text
}

/// A line that another doctor has written, in this terminal's colours.
pub(super) fn line(told: &str) -> String {
    let told = clean(told);
    let mut rest = told.chars();
    match rest.next().and_then(Level::of_sign) {
        Some(level) => format!("{}{}\n", sign(level), rest.as_str()),
        None => told + "\n",
    }
}

fn write(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding {
        hop,
        at,
        level,
        problem,
        found,
        remedy,
    } = finding;
    let space = if at.is_empty() { "" } else { " " };
    let (at, found) = (clean(at), clean(found));
    writeln!(text, "{} {}{space}{at}: {found}", sign(*level), hop.name())?;
    let Some(problem) = problem else { return Ok(()) };
    writeln!(text, "    {}: {}", problem.name(), problem.meaning())?;
    for mends in remedy {
        writeln!(text, "    {}", clean(mends))?;
    }
    Ok(())
}

fn sign(level: Level) -> String {
    let colour = match level {
        Level::Fine => AnsiColor::Green.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Broken => AnsiColor::Red.on_default(),
        Level::NotTried => Style::new().dimmed(),
    };
    format!("{colour}{}{colour:#}", level.sign())
}
