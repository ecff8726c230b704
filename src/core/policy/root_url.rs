//! Root URLs that receive tokens: of Google's own hosts, or of hosts on the operator's list, exactly.

use super::errors::{Checked, Errors};
use crate::host::Url;
use crate::operator::{Operator, listed};
use std::fmt;

/// `https://HOST[:PORT]`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootUrl(String);

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

impl RootUrl {
    pub(super) fn parse(
        url: &str,
        service: Service,
        field: &str,
        operator: &Operator,
        errors: &mut Errors,
    ) -> Checked<Self> {
        let parsed = url.parse::<Url>().ok();
        let Some(parsed) = parsed.filter(|url| url.is_secure() && url.is_bare()) else {
            return Err(errors.add(field, format!("{url:?} is not of the form https://HOST[:PORT]")));
        };
        let google = parsed.port() == 443 && parsed.host().name().is_some_and(|name| service.is_at(name));
        if !google && !operator.endpoint_hosts.iter().any(|host| host.covers(&parsed)) {
            return Err(errors.add(
                field,
                format!(
                    "host \"{}\" may not receive tokens: it is none of Google's for this, and {}",
                    parsed.address(),
                    listed("endpointHosts", &operator.endpoint_hosts)
                ),
            ));
        }
        Ok(Self(url.trim_end_matches('/').to_owned()))
    }

    /// Where the service is when a policy does not say otherwise.
    pub(super) fn of_google(root: &str) -> Self {
        Self(root.to_owned())
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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

impl fmt::Display for RootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
