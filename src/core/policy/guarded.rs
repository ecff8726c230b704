//! A policy that hands to the agent by one field what it keeps from it by another. What only a pod shows is admission's to find.

use super::errors::Errors;
use super::identity::audiences;
use crate::api::{Isolation, PolicySpec};

/// Refuses tokens of the policy, its own volumes' among them, that a broker or a sidecar keeps from the agent.
pub(super) fn check(spec: &PolicySpec, errors: &mut Errors) {
    match spec.isolation {
        Isolation::Required => {}
        Isolation::BestEffort => return,
    }
    let of_broker = of_identity(spec).filter(|_| spec.access.has_broker());
    let of_broker = of_broker.into_iter().flat_map(|(audiences, _)| audiences);
    let of_broker = of_broker.map(|audience| (audience, "the identity's audience".to_owned(), "the broker"));
    let of_sidecars = spec.sidecars.iter().filter_map(|sidecar| {
        let http = sidecar.credential.as_ref()?.http.as_ref()?;
        let preset = sidecar.preset.map(|preset| preset.known().name);
        let name = sidecar.name.as_deref().or(preset).unwrap_or_default();
        Some((http.audience.clone(), format!("the audience of sidecar {name:?}"), "it"))
    });
    let guarded: Vec<_> = of_broker.chain(of_sidecars).collect();
    for (audience, field) in given(spec) {
        if let Some((_, whose, keeper)) = guarded.iter().find(|(other, ..)| *other == audience) {
            errors.add(
                field,
                format!("{audience:?} is {whose}: such a token is what {keeper} keeps from the agent; use another, or isolation: BestEffort"),
            );
        }
    }
}

/// The audiences of tokens that the agent gets, each with its field.
fn given(spec: &PolicySpec) -> Vec<(String, String)> {
    let tokens = spec.tokens.iter().enumerate();
    let mut given: Vec<_> = tokens
        .map(|(i, token)| (token.audience.clone(), format!("spec.tokens[{i}].audience")))
        .collect();
    for (i, volume) in spec.volumes.iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| &projected.sources);
        given.extend(sources.enumerate().filter_map(|(j, source)| {
            let token = source.service_account_token.as_ref()?;
            let field = format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken.audience");
            Some((token.audience.clone(), field))
        }));
    }
    if !spec.access.has_broker() {
        let own = of_identity(spec).and_then(|(audiences, field)| Some((audiences.into_iter().next()?, field)));
        given.extend(own);
    }
    given
}

/// The audiences of the identity's tokens, the one that is projected first, and its field.
fn of_identity(spec: &PolicySpec) -> Option<(Vec<String>, String)> {
    let federation = spec.identity.as_ref()?.workload_identity_federation.as_ref()?;
    let field = "spec.identity.workloadIdentityFederation.audience".to_owned();
    Some((audiences(&federation.provider, federation.audience.as_deref()), field))
}
