//! What a check found, for people and as data, and what it means for the shell.

use super::terminal::{self, Colours, Format, clean};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use vertex_injector_operate::finding::{Finding, Level};
use vertex_injector_operate::installation::Report;
use vertex_injector_sidecar::Ending;

/// How a report is shown, and what it means for the shell.
#[derive(clap::Args, Debug)]
pub(super) struct Wanted {
    /// Format of the result
    #[arg(short, long, default_value = "text", value_parser = Format::parser("{version, release, findings: [{part, level, problem, object, found, remedy}]}"))]
    output: Format,

    /// Warnings count as broken
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    colours: Colours,
}

const BOLD: Style = Style::new().bold();

/// Most lines of one problem that people are shown.
const MAX_LINES: usize = 20;

impl Wanted {
    /// Prints a report.
    pub(super) fn print(&self, report: &Report) -> anyhow::Result<Ending> {
        self.colours.choose();
        match self.output {
            Format::Text => terminal::print(&words(&report.findings)?)?,
            Format::Json => terminal::print_json(report)?,
        }
        Ok(ending(report, self.strict))
    }
}

fn ending(report: &Report, strict: bool) -> Ending {
    if report.has(Level::Broken) || (strict && report.has(Level::Warning)) {
        Ending::Refused
    } else if report.has(Level::Unknown) {
        Ending::Code(2)
    } else {
        Ending::Done
    }
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
