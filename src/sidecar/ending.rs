//! How verbs end, and what that means for the shell.

use std::process::ExitCode;
use vertex_injector_core::causes::with_causes;
use vertex_injector_net::remarks::say;

/// How a verb ended that did not fail.
pub enum Ending {
    /// All is well.
    Done,
    /// A pod was denied, a policy is invalid, or a sidecar is not ready.
    Refused,
    /// As the command ended that was run.
    Code(u8),
}

impl Ending {
    /// [`Self::Refused`], or else [`Self::Done`].
    pub fn refused_if(refused: bool) -> Self {
        if refused { Self::Refused } else { Self::Done }
    }
}

/// What the shell learns of an ending. An error is on standard error when this returns.
pub fn exit_code(ending: anyhow::Result<Ending>) -> ExitCode {
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::from(1),
        Ok(Ending::Code(code)) => ExitCode::from(code),
        Err(error) => {
            say("error", &with_causes(error.as_ref()));
            ExitCode::from(2)
        }
    }
}
