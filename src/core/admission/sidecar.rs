//! Credential sidecars: native sidecars under rules that keep the pod's own behaviour as it was.
//!
//! [`server`] is what a policy says of them, [`choice`] which of them a pod gets. [`container`] renders one, with what
//! [`session`] takes over from the agent. The agent learns of them through [`registry`], [`mcp`] and [`git`].

mod choice;
mod container;
mod git;
mod mcp;
mod registry;
mod server;
mod session;

pub(super) use choice::Choice;
pub(super) use container::plan_program;
pub(super) use server::{Server, Sidecars};

use super::draft::{Draft, Notes};
use super::finding::Finding;
use super::policy::Policy;
use super::ports::PlacedSidecar;
use crate::names;
use std::collections::BTreeSet;

/// What a pod got of sidecars.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Whether there is one.
    pub(super) any: bool,
    /// Whether one hides a credential from the agent.
    pub(super) hides: bool,
    /// The Secrets that are credentials of sidecars.
    pub(super) secrets: BTreeSet<String>,
}

/// Plans the sidecars that were chosen, in order, before the pod's own init containers.
pub(super) fn plan_sidecars(
    draft: &mut Draft<'_>,
    policy: &Policy,
    choice: Choice<'_>,
    placed: &[PlacedSidecar<'_>],
) -> Served {
    for (server, reason, detail) in choice.left_out {
        draft.notes.skip(&unit(server), reason, detail);
    }
    for placed in placed {
        draft.notes.problems.extend_from_slice(&placed.conflicts);
    }
    let mut summary = Served::default();
    for placed in placed {
        let server = placed.server;
        let name = &server.whole.name;
        let detail = format!("container {}{name} on port {}", names::PIECE_PREFIX, placed.port);
        draft.unit(&unit(server), detail, |draft| {
            container::plan_sidecar(draft, placed, &policy.sidecars);
        });
        let exposed = server.warnings().into_iter();
        let exposed = exposed.map(|text| Finding::exposure(None, &unit(server), text).admitted());
        draft.notes.warnings.extend(exposed);
        summary.any = true;
        summary.hides |= server.credential.is_some();
        note_needs(&mut draft.notes, server, &mut summary);
    }
    let endpoints: Vec<(&str, String)> = placed
        .iter()
        .filter_map(|placed| {
            let whole = &placed.server.whole;
            Some((whole.mcp_key.as_deref()?, whole.url(placed.port)))
        })
        .collect();
    registry::plan_registry(draft, &endpoints);
    mcp::plan_file(draft, policy.spec.mcp_config.as_ref(), placed);
    git::plan_git(draft, placed);
    summary
}

fn unit(server: &Server) -> String {
    format!("sidecars[{}]", server.whole.name)
}

/// The objects that the pod will wait for because of a sidecar.
fn note_needs(notes: &mut Notes, server: &Server, summary: &mut Served) {
    for var in &server.env {
        notes.need_for_variable(var);
    }
    let credential = server.credential.as_ref();
    if let Some(secret) = credential.and_then(|credential| credential.secret.as_ref()) {
        notes.need("Secret", &secret.secret_name, false);
        summary.secrets.insert(secret.secret_name.clone());
    }
}
