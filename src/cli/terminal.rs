//! What reaches the terminal: results on standard output, remarks on standard error.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::io::{self, Write};

pub(super) use vertex_injector_net::remarks::{clean, say};

/// A policy, or words that end in one, for people: without the generation that a policy of a file does not have.
pub(super) fn of_file(policy: &str) -> &str {
    policy.strip_suffix("@0").unwrap_or(policy)
}

/// Whom a result is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Format {
    /// Reads the argument. `shape` says in --help what programs get.
    pub(super) fn parser(shape: &'static str) -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new([
            PossibleValue::new("text").help("For people"),
            PossibleValue::new("json").help(shape),
        ])
        .map(|name| if name == "json" { Self::Json } else { Self::Text })
    }
}

/// When results are coloured.
#[derive(clap::Args, Debug)]
pub(super) struct Colours {
    /// When the result is coloured; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    color: When,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum When {
    Auto,
    Always,
    Never,
}

impl Colours {
    /// From now on.
    pub(super) fn choose(&self) {
        let choice = match self.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Writes data to standard output as it is, to a terminal too: nothing of it may be lost. A reader that has seen enough
/// (`| head`) is no error.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub(super) fn print_data(data: &str) -> io::Result<()> {
    written(io::stdout().lock(), data)
}

/// Writes data as JSON, like [`print_data`].
///
/// # Errors
/// When it cannot be written.
pub(super) fn print_json(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_data(&(serde_json::to_string_pretty(data)? + "\n"))?)
}

/// Writes a text for people to standard output. A reader that has seen enough (`| head`) is no error.
///
/// Colours in `text` appear only on a terminal, and not when `NO_COLOR` is set.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub(super) fn print(text: &str) -> io::Result<()> {
    written(anstream::stdout().lock(), text)
}

fn written(mut stdout: impl Write, text: &str) -> io::Result<()> {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
