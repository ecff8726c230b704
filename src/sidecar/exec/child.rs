//! The server that needs the credential, as a process.

use super::mapping::Share;
use super::source::ambient::bootstrap;
use anyhow::Context;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;
use vertex_injector_core::contract::exec::Source;

/// Every variable of ours begins so.
const OURS: &str = "VERTEX_INJECTOR_";

/// How to start it.
#[derive(Debug)]
pub struct Launch {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment but for the credential.
    pub environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// How to start `command` in the environment `ours`: without our own variables, nor those that a credential can be fetched with.
    ///
    /// # Errors
    /// When there is no command.
    pub fn of(
        command: &[OsString],
        source: &Source,
        ours: impl Iterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("no COMMAND after --")?;
        let kept = |name: &OsString| {
            let name = name.to_string_lossy();
            let secret = *source == Source::Ambient && bootstrap::VARIABLES.contains(&&*name);
            !name.starts_with(OURS) && !secret
        };
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment: ours.filter(|(name, _)| kept(name)).collect(),
        })
    }
}

/// A process that has not been waited for.
#[derive(Debug)]
pub struct Child {
    id: Pid,
    leads: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Code(u8),
    /// By a signal.
    Signal(u8),
}

impl Ended {
    /// As a shell tells it: 128 + n for a signal.
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => 128 + number,
        }
    }
}

impl Child {
    /// Starts it with our standard streams.
    ///
    /// It leads a process group of its own, so that nothing of what it starts can outlive it and hold its port. Not on a
    /// terminal, where it could not read then; there, Ctrl-C reaches it anyway.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(launch: &Launch, share: &Share) -> io::Result<Self> {
        let leads = !io::stdin().is_terminal();
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .envs(share.variables.iter().map(|(name, secret)| (name, secret.expose())));
        if leads {
            command.process_group(0);
        }
        // Not waited for here but by `reap`, which must not be robbed of an ending.
        let child = command.spawn()?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { id, leads })
    }

    /// Its process ID.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// Sends a signal to it alone.
    pub fn tell(&self, signal: Signal) {
        // It may have ended this very moment.
        let _ = kill_process(self.id, signal);
    }

    /// Sends a signal to it and to what it started.
    pub fn tell_all(&self, signal: Signal) {
        // As above; and a group without members is what is wanted.
        let _ = if self.leads {
            kill_process_group(self.id, signal)
        } else {
            kill_process(self.id, signal)
        };
    }
}

/// The next process that has ended and nobody has waited for: the child, or, for a container's first process, an orphan.
pub fn reap() -> Option<(Pid, Ended)> {
    loop {
        // An error means that there is no child at all.
        let (id, status) = wait(WaitOptions::NOHANG).ok().flatten()?;
        let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        let ended = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Code(byte(code)),
            (None, Some(number)) => Ended::Signal(byte(number) & 0x7f),
            // Stopped or going on: it has not ended.
            (None, None) => continue,
        };
        return Some((id, ended));
    }
}
