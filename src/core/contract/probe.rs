//! What `probe` is told: most of it by the variables of whom it asks, because it runs in the same container.

use super::broker::{DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT, METADATA_PORT, MODE, ModeName, PROXY_PORT};
use super::exec::CONTROL_PORT;
use super::setting::{Given, Setting, Wrong};

/// The verb.
pub const VERB: &str = "probe";

/// Of [`Probe::Exec`]: asks for more than that it listens.
pub const READY: Setting = Setting::flag("ready");

/// Whom `probe` asks, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A broker, whether it listens on its ports.
    Broker {
        /// Of the metadata server.
        metadata_port: u16,
        /// Of the Vertex proxy, if there is one.
        proxy_port: Option<u16>,
    },
    /// A wrapper, on its control listener.
    Exec {
        /// Of the control listener.
        control_port: u16,
        /// Whether there is a credential and the server runs, not only whether the wrapper listens.
        ready: bool,
    },
}

impl Probe {
    /// The verb and its arguments; the ports are in the container's environment.
    pub fn arguments(&self) -> Vec<String> {
        let ready = matches!(self, Self::Exec { ready: true, .. }).then(|| READY.to_string());
        std::iter::once(VERB.to_owned()).chain(ready).collect()
    }

    /// Reads whom to ask: a wrapper where there is a control port, else a broker.
    ///
    /// # Errors
    /// When a setting cannot be understood or would not be used.
    pub fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        let ready = given.has(READY);
        match given.port(CONTROL_PORT)? {
            Some(control_port) => Ok(Self::Exec { control_port, ready }),
            None if ready => Err(Wrong(format!("{READY} needs {CONTROL_PORT}, the port of a wrapper"))),
            None => Ok(Self::Broker {
                metadata_port: given.port(METADATA_PORT)?.unwrap_or(DEFAULT_METADATA_PORT),
                proxy_port: if given.one(MODE)?.is_some_and(ModeName::has_proxy) {
                    Some(given.port(PROXY_PORT)?.unwrap_or(DEFAULT_PROXY_PORT))
                } else {
                    None
                },
            }),
        }
    }
}
