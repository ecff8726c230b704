//! What a check found, for people and as data, and what it means for the shell.

use super::terminal::{self, clean};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use vertex_injector_operate::finding::{Finding, Level};
use vertex_injector_operate::installation::Report;
use vertex_injector_sidecar::Ending;

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Format {
    /// For people
    Text,
    /// {version, release, findings: [{part, level, problem, object, found, remedy}]}
    Json,
}

const BOLD: Style = Style::new().bold();

/// Most lines of one problem that people are shown.
const MAX_LINES: usize = 20;

/// What a report means for the shell.
pub(super) fn ending(report: &Report, strict: bool) -> Ending {
    if report.has(Level::Broken) || (strict && report.has(Level::Warning)) {
        Ending::Refused
    } else if report.has(Level::Unknown) {
        Ending::Code(2)
    } else {
        Ending::Done
    }
}

/// Prints a report.
pub(super) fn print(report: &Report, output: Format) -> anyhow::Result<()> {
    match output {
        Format::Text => terminal::print(&words(&report.findings)?)?,
        Format::Json => terminal::print_data(&(serde_json::to_string_pretty(report)? + "\n"))?,
    }
    Ok(())
}

fn words(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for of_part in findings.chunk_by(|a, b| a.part == b.part) {
        if let Some(first) = of_part.first() {
            writeln!(text, "{BOLD}{}{BOLD:#}", first.part.name())?;
        }
        for same in of_part.chunk_by(|a, b| a.problem == b.problem && a.level == b.level) {
            for finding in same.iter().take(MAX_LINES) {
                line(&mut text, finding)?;
            }
            if let Some(more @ 1..) = same.len().checked_sub(MAX_LINES) {
                writeln!(text, "  … and {more} more of the same (-o json lists all)")?;
            }
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    writeln!(
        text,
        "{} fine, {} to know, {} not looked at, {} broken",
        count(Level::Fine),
        count(Level::Warning),
        count(Level::Unknown),
        count(Level::Broken)
    )?;
    Ok(text)
}

fn line(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding {
        part: _,
        level,
        problem,
        object,
        found,
        remedy,
    } = finding;
    let colour = match level {
        Level::Fine => AnsiColor::Green,
        Level::Warning | Level::Unknown => AnsiColor::Yellow,
        Level::Broken => AnsiColor::Red,
    }
    .on_default();
    let object = clean(&object.to_string());
    writeln!(text, "  {colour}{}{colour:#} {object}: {}", level.sign(), clean(found))?;
    if let Some(problem) = problem {
        writeln!(text, "      {problem}: {}", clean(remedy))?;
    }
    Ok(())
}
