//! Credential sidecars: native sidecars under rules that keep the pod's own behaviour as it was.
//!
//! [`server`] is what a policy says of them, [`choice`] which of them a pod gets, [`ports`] where they listen there. [`container`]
//! renders one, with what [`session`] takes over from the agent. The agent learns of them through [`registry`], [`mcp`] and [`git`].

mod choice;
mod container;
mod git;
mod mcp;
mod ports;
mod registry;
mod server;
mod session;

pub(super) use server::Sidecars;

use super::decision::Needed;
use super::draft::Draft;
use super::plan::note_variable;
use super::policy::Policy;
use crate::names;
use container::Placed;
use server::Server;
use std::collections::BTreeSet;

/// Plans our program for the sidecars that need it, before everything else of ours.
pub(super) fn plan_program(draft: &mut Draft<'_>, policy: &Policy) {
    let sidecars = &policy.sidecars;
    let wrapped = choice::served(draft, sidecars).any(Server::is_wrapped);
    if wrapped {
        container::plan_program(draft, sidecars);
    }
}

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

/// Plans all sidecars of the policy, in order, before the pod's own init containers.
pub(super) fn plan(draft: &mut Draft<'_>, policy: &Policy) -> Served {
    let sidecars = &policy.sidecars;
    choice::skip(draft, sidecars);
    let mut free = ports::Free::of(draft, policy);
    let servers: Vec<&Server> = choice::served(draft, sidecars).collect();
    let placed: Vec<Placed<'_>> = servers.into_iter().map(|server| free.place(draft, server)).collect();
    let mut summary = Served::default();
    for placed in &placed {
        let server = placed.server;
        let name = &server.whole.name;
        let unit = format!("sidecars[{name}]");
        let detail = format!("container {}{name} on port {}", names::PIECE_PREFIX, placed.port);
        draft.unit(&unit, detail, |draft| container::plan(draft, placed, sidecars));
        let warnings = server.warnings().into_iter();
        draft
            .warnings
            .extend(warnings.map(|warning| format!("isolation: {warning}")));
        summary.any = true;
        summary.hides |= server.credential.is_some();
        note_needs(draft, server, &mut summary);
    }
    let endpoints: Vec<(&str, String)> = placed
        .iter()
        .filter_map(|placed| {
            let whole = &placed.server.whole;
            Some((whole.mcp_key.as_deref()?, whole.url(placed.port)))
        })
        .collect();
    registry::plan(draft, &endpoints);
    mcp::plan(draft, policy.spec.mcp_config.as_ref(), &placed);
    git::plan(draft, &placed);
    summary
}

/// The objects that the pod will wait for because of a sidecar.
fn note_needs(draft: &mut Draft<'_>, server: &Server, summary: &mut Served) {
    for var in &server.env {
        note_variable(draft, var);
    }
    if let Some(secret) = server
        .credential
        .as_ref()
        .and_then(|credential| credential.secret.as_ref())
    {
        draft.needs.insert(Needed {
            kind: "Secret",
            name: secret.secret_name.clone(),
            optional: false,
        });
        summary.secrets.insert(secret.secret_name.clone());
    }
}
