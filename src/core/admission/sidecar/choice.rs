//! Which of a policy's sidecars a pod gets. A pod that says which credentials it is bound to gets presets for those only, and
//! none where its platform has put one already.

use super::registry::{CREDENTIAL_IDS, MCP_URLS, strings};
use crate::admission::decision::Reason;
use crate::admission::draft::ContainerDraft;
use crate::admission::env::Given;
use crate::policy::{Sidecar, Sidecars};
use std::collections::BTreeSet;

/// The choice for one pod.
#[derive(Debug, Default)]
pub(in crate::admission) struct Choice<'s> {
    /// The sidecars that the pod gets, in order.
    pub(in crate::admission) served: Vec<&'s Sidecar>,
    /// The others, each with why in code and words.
    pub(in crate::admission) left_out: Vec<(&'s Sidecar, Reason, String)>,
}

impl<'s> Choice<'s> {
    /// Chooses by what the chosen containers say of providers.
    pub(in crate::admission) fn of(sidecars: &'s Sidecars, containers: &[ContainerDraft<'_>]) -> Self {
        let mut choice = Self::default();
        if sidecars.servers.is_empty() {
            return choice;
        }
        let bound = Bound::of(containers);
        for sidecar in &sidecars.servers {
            match bound.reason(sidecar) {
                None => choice.served.push(sidecar),
                Some((reason, detail)) => choice.left_out.push((sidecar, reason, detail)),
            }
        }
        choice
    }
}

/// What the chosen containers say of providers.
struct Bound {
    /// The providers in `CREDENTIAL_IDS`; nothing when no container has it, or none that can be read.
    providers: Option<BTreeSet<String>>,
    /// The keys in `CREDENTIAL_MCP_URLS` that are not ours.
    served: BTreeSet<String>,
}

impl Bound {
    fn of(containers: &[ContainerDraft<'_>]) -> Self {
        let mut providers = None;
        let mut served = BTreeSet::new();
        for target in containers {
            let object = |name: &str| match target.environment.given(name) {
                Some(Given::Literal(text)) if !text.trim().is_empty() => strings(text),
                _ => None,
            };
            if let Some(ids) = object(CREDENTIAL_IDS) {
                providers
                    .get_or_insert_with(BTreeSet::new)
                    .extend(ids.into_iter().map(|(provider, _)| provider));
            }
            let ours = target.previous_within(MCP_URLS);
            let urls = object(MCP_URLS).unwrap_or_default();
            served.extend(urls.into_iter().map(|(key, _)| key).filter(|key| !ours.contains(key)));
        }
        Self { providers, served }
    }

    /// Why a pod does not get a preset.
    fn reason(&self, sidecar: &Sidecar) -> Option<(Reason, String)> {
        let provider = sidecar.preset?.known().name;
        if self.providers.as_ref().is_some_and(|bound| !bound.contains(provider)) {
            return Some((
                Reason::ProviderNotBound,
                format!("the pod is not bound to {provider} ({CREDENTIAL_IDS})"),
            ));
        }
        // Also in a pod that says nothing of bindings: where Ambient's platform has put its sidecars, it does not tell the runner. A
        // policy that chooses another key there wants another sidecar beside it.
        let beside = self.providers.is_none() && sidecar.mcp_key.as_deref() != Some(provider);
        (!beside && self.served.contains(provider)).then(|| {
            (
                Reason::ProviderServed,
                format!("the pod has a sidecar for {provider} already ({MCP_URLS})"),
            )
        })
    }
}
