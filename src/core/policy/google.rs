//! Services of Google and their root URLs, which receive tokens: of Google's own hosts, or of hosts on the operator's list, exactly.

use super::errors::{Checked, Errors};
use crate::endpoint::Endpoint;
use crate::operator::{Operator, listed};

/// What of Google's an endpoint stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// The Security Token Service.
    Sts,
    /// The IAM Credentials API.
    IamCredentials,
    /// Vertex AI.
    Vertex,
}

/// `https://HOST[:PORT]` of a service.
pub(super) fn parse(
    url: &str,
    service: Service,
    field: &str,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Endpoint> {
    let endpoint = Endpoint::parse(url).ok();
    let Some(endpoint) = endpoint.filter(|url| url.is_secure() && url.is_bare()) else {
        return Err(errors.add(field, format!("{url:?} is not of the form https://HOST[:PORT]")));
    };
    let google = endpoint.port() == 443 && endpoint.host().name().is_some_and(|name| service.is_at(name));
    if !google && !operator.endpoint_hosts.iter().any(|host| host.covers(&endpoint)) {
        return Err(errors.add(
            field,
            format!(
                "host \"{}\" may not receive tokens: it is none of Google's for this, and {}",
                endpoint.address(),
                listed("endpointHosts", &operator.endpoint_hosts)
            ),
        ));
    }
    Ok(endpoint)
}

impl Service {
    fn is_at(self, host: &str) -> bool {
        match self {
            Self::Sts => {
                let regional = || host.strip_prefix("sts.")?.strip_suffix(".rep.googleapis.com");
                host == "sts.googleapis.com" || regional().is_some_and(is_region)
            }
            Self::IamCredentials => host == "iamcredentials.googleapis.com",
            Self::Vertex => {
                matches!(
                    host,
                    "aiplatform.googleapis.com"
                        | "aiplatform.us.rep.googleapis.com"
                        | "aiplatform.eu.rep.googleapis.com"
                ) || host.strip_suffix("-aiplatform.googleapis.com").is_some_and(is_region)
            }
        }
    }
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
