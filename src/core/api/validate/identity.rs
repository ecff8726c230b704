//! Who receives tokens: providers, endpoints, audiences.

use super::check_object_name;
use crate::api::{Client, FieldErrors, Identity, PolicySpec};
use crate::host::Url;
use crate::operator::{Operator, listed};

pub(super) fn check(spec: &PolicySpec, operator: &Operator, errors: &mut FieldErrors) {
    let Some(identity) = &spec.identity else { return };
    let Identity {
        workload_identity_federation,
        gke_workload_identity,
        service_account_key,
        id_token_audiences: _,
    } = identity;
    let chosen = [
        workload_identity_federation.is_some(),
        gke_workload_identity.is_some(),
        service_account_key.is_some(),
    ];
    if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
        errors.add(
            "spec.identity",
            "exactly one of workloadIdentityFederation, gkeWorkloadIdentity and serviceAccountKey must be set",
        );
    }
    if let Some(federation) = workload_identity_federation {
        let field = "spec.identity.workloadIdentityFederation";
        if federation.service_account.is_none() && federation.service_account_token_lifetime_seconds.is_some() {
            errors.add(
                format!("{field}.serviceAccountTokenLifetimeSeconds"),
                "needs serviceAccount: only an impersonated token has a lifetime to choose",
            );
        }
        if let Some(audience) = &federation.audience {
            check_audience(audience, &format!("{field}.audience"), operator, errors);
        }
        if let Some(endpoints) = &federation.endpoints {
            if let Some(sts) = &endpoints.sts {
                check_endpoint(sts, &format!("{field}.endpoints.sts"), is_sts_host, operator, errors);
            }
            if let Some(iam) = &endpoints.iam_credentials {
                check_endpoint(
                    iam,
                    &format!("{field}.endpoints.iamCredentials"),
                    is_iam_host,
                    operator,
                    errors,
                );
            }
        }
    }
    if gke_workload_identity.is_some() {
        let named = !spec.agents.is_empty() && spec.agents.iter().all(|agent| !agent.service_accounts.is_empty());
        if !named {
            errors.add(
                "spec.identity.gkeWorkloadIdentity",
                "every entry of agents needs serviceAccounts: the annotation iam.gke.io/gcp-service-account goes on them",
            );
        }
        if spec
            .vertex
            .as_ref()
            .is_some_and(|vertex| vertex.clients.contains(&Client::Ambient))
            && !spec.access.has_broker()
        {
            errors.add(
                "spec.identity.gkeWorkloadIdentity",
                "the Ambient runner demands a credential file, which gkeWorkloadIdentity does not have; use workloadIdentityFederation",
            );
        }
    }
    if let Some(key) = service_account_key {
        check_object_name(&key.secret_name, "spec.identity.serviceAccountKey.secretName", errors);
    }
}

/// A token for the API server's own audience would be a credential for the cluster.
pub(super) fn check_audience(audience: &str, field: &str, operator: &Operator, errors: &mut FieldErrors) {
    let plain = audience.trim_end_matches('/');
    if operator
        .api_server_audiences
        .iter()
        .any(|api| api.trim_end_matches('/') == plain)
    {
        errors.add(
            field,
            format!(
                "{audience:?} is an audience of the API server: such a token would be a credential for the cluster"
            ),
        );
    }
}

/// A host that receives tokens is Google's own or on the operator's list, exactly.
pub(super) fn check_endpoint(
    url: &str,
    field: &str,
    is_google: fn(&str) -> bool,
    operator: &Operator,
    errors: &mut FieldErrors,
) {
    let parsed = url.parse::<Url>().ok();
    let Some(url) = parsed.filter(|url| url.is_secure() && url.is_bare()) else {
        errors.add(field, format!("{url:?} is not of the form https://HOST[:PORT]"));
        return;
    };
    let google = url.port() == 443 && url.host().name().is_some_and(is_google);
    if !google && !operator.endpoint_hosts.iter().any(|host| host.covers(&url)) {
        errors.add(
            field,
            format!(
                "host \"{}\" may not receive tokens: it is none of Google's for this, and {}",
                url.address(),
                listed("endpointHosts", &operator.endpoint_hosts)
            ),
        );
    }
}

pub(super) fn is_vertex_host(host: &str) -> bool {
    matches!(
        host,
        "aiplatform.googleapis.com" | "aiplatform.us.rep.googleapis.com" | "aiplatform.eu.rep.googleapis.com"
    ) || host.strip_suffix("-aiplatform.googleapis.com").is_some_and(is_region)
}

fn is_sts_host(host: &str) -> bool {
    host == "sts.googleapis.com"
        || host
            .strip_prefix("sts.")
            .and_then(|rest| rest.strip_suffix(".rep.googleapis.com"))
            .is_some_and(is_region)
}

fn is_iam_host(host: &str) -> bool {
    host == "iamcredentials.googleapis.com"
}

/// `LETTERS-LETTERS` and a number, as in `us-east5`.
fn is_region(text: &str) -> bool {
    let Some((area, rest)) = text.split_once('-') else {
        return false;
    };
    let place = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    letters(area) && letters(place) && place.len() < rest.len()
}
