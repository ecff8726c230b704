//! Which of a policy's sidecars a pod gets. A pod that says which credentials it is bound to gets presets for those only, and
//! none where its platform has put one already.

use super::registry::{CREDENTIAL_IDS, MCP_URLS, strings};
use super::server::{Server, Sidecars};
use crate::admission::decision::Reason;
use crate::admission::draft::Draft;
use crate::admission::env::Given;
use std::collections::BTreeSet;

/// What the chosen containers say of providers.
struct Bound {
    /// The providers in `CREDENTIAL_IDS`; nothing when no container has it, or none that can be read.
    providers: Option<BTreeSet<String>>,
    /// The keys in `CREDENTIAL_MCP_URLS` that are not ours.
    served: BTreeSet<String>,
}

/// The sidecars that the pod gets, in order.
pub(super) fn served<'s>(draft: &Draft<'_>, sidecars: &'s Sidecars) -> impl Iterator<Item = &'s Server> + use<'s> {
    let bound = Bound::of(draft);
    sidecars
        .servers
        .iter()
        .filter(move |server| bound.reason(server).is_none())
}

/// Notes the others.
pub(super) fn skip(draft: &mut Draft<'_>, sidecars: &Sidecars) {
    let bound = Bound::of(draft);
    for server in &sidecars.servers {
        if let Some((reason, detail)) = bound.reason(server) {
            draft.skip(&format!("sidecars[{}]", server.whole.name), reason, detail);
        }
    }
}

impl Bound {
    fn of(draft: &Draft<'_>) -> Self {
        let mut providers = None;
        let mut served = BTreeSet::new();
        for target in &draft.containers {
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
    fn reason(&self, server: &Server) -> Option<(Reason, String)> {
        let provider = server.whole.preset?.known().name;
        let providers = self.providers.as_ref()?;
        if !providers.contains(provider) {
            return Some((
                Reason::ProviderNotBound,
                format!("the pod is not bound to {provider} ({CREDENTIAL_IDS})"),
            ));
        }
        self.served.contains(provider).then(|| {
            (
                Reason::ProviderServed,
                format!("the pod has a sidecar for {provider} already ({MCP_URLS})"),
            )
        })
    }
}
