//! What reaches the terminal: results on standard output, remarks on standard error.

use std::io::{self, Write};

pub(super) use vertex_injector_net::remarks::{clean, say};

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
