//! Logs and metrics. Logs are one line per event on standard error, for people or as JSON for machines.

use anyhow::Context;
use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

/// Levels unless others are asked for: rustls tells every handshake and kube every request at `info` and below.
pub const DEFAULT_LEVELS: &str = "info,rustls=warn,kube=warn";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line per event.
    Human,
    /// One JSON object per event.
    Json,
}

/// The variable of [`Logging::log_format`].
pub const LOG_FORMAT: &str = "VERTEX_INJECTOR_LOG_FORMAT";

/// The variable of [`Logging::log`].
pub const LOG: &str = "VERTEX_INJECTOR_LOG";

/// What is logged, and how.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct Logging {
    /// How log lines look [default: human on a terminal, else json]
    #[arg(long, env = LOG_FORMAT, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is logged: a comma-separated list of LEVEL and TARGET=LEVEL
    #[arg(long, env = LOG, value_name = "LEVELS", default_value = DEFAULT_LEVELS)]
    pub log: String,
}

impl Logging {
    /// What is usual; `None` when a variable asks for something else.
    pub fn usual() -> Option<Self> {
        let asked = [LOG_FORMAT, LOG]
            .into_iter()
            .any(|name| std::env::var_os(name).is_some());
        (!asked).then(|| Self {
            log_format: None,
            log: DEFAULT_LEVELS.to_owned(),
        })
    }
}

/// Starts logging on standard error. Without a `format`, a terminal gets [`LogFormat::Human`] and a pipe
/// [`LogFormat::Json`]. `levels` is a comma-separated list of `LEVEL` and `TARGET=LEVEL`.
///
/// A panic is logged with its place only: its message might quote input.
///
/// # Errors
/// When `levels` cannot be understood, or logging was started before.
pub fn init(format: Option<LogFormat>, levels: &str) -> anyhow::Result<()> {
    // EnvFilter would do more, but it compiles regular expressions first, in every broker.
    let invalid = || {
        format!(
            "invalid --log {levels:?}: expected levels (off, error, warn, info, debug, trace) such as `info` or \
             `info,vertex_injector=debug,rustls=warn`"
        )
    };
    // A word alone would be read as a target, and silence everything else.
    let words = levels.split(',').filter(|directive| !directive.contains('='));
    for word in words.map(str::trim).filter(|word| !word.is_empty()) {
        word.parse::<LevelFilter>().with_context(invalid)?;
    }
    let levels: Targets = levels.parse().with_context(invalid)?;
    let terminal = io::stderr().is_terminal();
    let lines = layer().with_writer(io::stderr);
    let started = match format.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json }) {
        LogFormat::Human => {
            let lines = lines.with_ansi(terminal).with_target(false);
            registry().with(levels).with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            let lines = lines.with_current_span(false).with_span_list(false);
            registry().with(levels).with(lines).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a task panicked; this is a bug in vertex-injector");
    }));
    Ok(())
}
