//! Credential sidecars: native sidecars under rules that keep the pod's own behaviour as it was.
//!
//! [`choice`] is which of a policy's a pod gets. [`container`] renders one, with what [`session`] and [`trust`] take over from
//! the agent. The agent learns of them through [`registry`], [`mcp`] and [`git`].

mod choice;
mod container;
mod git;
mod mcp;
mod registry;
mod session;
mod trust;

use session::Proxies;

pub(super) use choice::Choice;
pub(super) use container::plan_program;
pub(super) use trust::Trusted;

use super::draft::{Draft, Notes};
use super::finding::Finding;
use super::ports::PlacedSidecar;
use crate::names;
use crate::policy::{Compiled, Credential, Needed, Sidecar, Variable};

/// Plans the sidecars that were chosen, in order, before the pod's own init containers. Returns whether there is one.
pub(super) fn plan_sidecars(
    draft: &mut Draft<'_>,
    policy: &Compiled,
    choice: Choice<'_>,
    placed: &[PlacedSidecar<'_>],
    trusted: &Trusted,
) -> bool {
    for (sidecar, reason, detail) in choice.left_out {
        draft.notes.skip(&unit(sidecar), reason, detail);
    }
    for placed in placed {
        draft.notes.problems.extend(placed.conflicts.iter().cloned());
    }
    let hides = placed.iter().any(|placed| placed.sidecar.credential.is_some());
    if let Some(trust) = policy.sidecars.trust.as_ref().filter(|_| hides) {
        draft.notes.need([trust.needed.clone()]);
        draft.add_volume(names::TRUST_VOLUME, &trust.volume);
    }
    let proxies = draft.containers.first().filter(|_| hides).map(Proxies::of);
    for placed in placed {
        let sidecar = placed.sidecar;
        let detail = format!(
            "container {}{} on port {}",
            names::NAME_PREFIX,
            sidecar.name,
            placed.port
        );
        draft.unit(&unit(sidecar), detail, |draft| {
            container::plan_sidecar(draft, placed, proxies.as_ref(), trusted);
        });
        let exposed = sidecar.warnings().into_iter();
        let exposed = exposed.map(|text| Finding::exposure(None, &unit(sidecar), text).admitted());
        draft.notes.warnings.extend(exposed);
        note_needs(&mut draft.notes, sidecar);
    }
    let endpoint = |placed: &PlacedSidecar<'_>| {
        let sidecar: &Sidecar = placed.sidecar;
        Some((sidecar.mcp_key.clone()?, sidecar.url(placed.port)))
    };
    let endpoints: Vec<(String, String)> = placed.iter().filter_map(endpoint).collect();
    registry::plan_registry(draft, &endpoints);
    mcp::plan_file(draft, policy.mcp_config.as_ref(), placed);
    git::plan_git(draft, placed);
    !placed.is_empty()
}

fn unit(sidecar: &Sidecar) -> String {
    format!("sidecars[{}]", sidecar.name)
}

/// The objects that the pod will wait for because of a sidecar.
fn note_needs(notes: &mut Notes, sidecar: &Sidecar) {
    notes.need(sidecar.env.iter().filter_map(Variable::needed));
    if let Some(secret) = sidecar.credential.as_ref().and_then(Credential::secret) {
        notes.need([Needed::secret(secret, false)]);
    }
}
