//! A policy that hands to the agent by one field what it keeps from it by another. What only a pod shows is admission's to find.

use super::errors::Errors;
use super::identity::audiences;
use super::sidecars::Filled;
use super::text::is_same_audience;
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
        let name = Filled::of(sidecar).name.unwrap_or_default();
        Some((http.audience.clone(), format!("the audience of sidecar {name:?}"), "it"))
    });
    let of_broker: Vec<_> = of_broker.collect();
    check_sidecars(spec, &of_broker, errors);
    let guarded: Vec<_> = of_broker.into_iter().chain(of_sidecars).collect();
    for (audience, field) in given(spec) {
        let found = guarded.iter().find(|(other, ..)| is_same_audience(other, &audience));
        if let Some((_, whose, keeper)) = found {
            errors.add(
                field,
                format!("{audience:?} is {whose}: such a token is what {keeper} keeps from the agent; use another, or isolation: BestEffort"),
            );
        }
    }
}

/// Refuses sidecars that get what a broker keeps: its token's audience, with the endpoint to send it to, or its key.
fn check_sidecars(spec: &PolicySpec, of_broker: &[(String, String, &str)], errors: &mut Errors) {
    let key = spec
        .identity
        .as_ref()
        .and_then(|identity| identity.service_account_key.as_ref());
    for (i, sidecar) in spec.sidecars.iter().enumerate() {
        let field = format!("spec.sidecars[{i}]");
        let credential = sidecar.credential.as_ref();
        if let Some(http) = credential.and_then(|it| it.http.as_ref())
            && of_broker
                .iter()
                .any(|(other, ..)| is_same_audience(other, &http.audience))
        {
            let audience = &http.audience;
            errors.add(
                format!("{field}.credential.http.audience"),
                format!("{audience:?} is the identity's audience: such a token is what the broker keeps; use another, or isolation: BestEffort"),
            );
        }
        let Some(key) = key else { continue };
        let secret = credential
            .and_then(|it| it.secret.as_ref())
            .map(|secret| (&secret.secret_name, format!("{field}.credential.secret.secretName")));
        let env = sidecar.env.iter().enumerate().filter_map(|(j, var)| {
            let secret = var.value_from.as_ref()?.secret_key_ref.as_ref()?;
            Some((&secret.name, format!("{field}.env[{j}].valueFrom.secretKeyRef.name")))
        });
        for (secret, field) in secret
            .into_iter()
            .chain(env)
            .filter(|(name, _)| **name == key.secret_name)
        {
            errors.add(
                field,
                format!("{secret:?} is the Secret of the identity's key (identity.serviceAccountKey), which no sidecar shares; use another, or isolation: BestEffort"),
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
