//! What Google's answers mean: by their codes where these say it, else by their words.

use super::problem::Problem;
use crate::broker::token::{Complaint, Hop as Step, Said, TokenError};
use jiff::Timestamp;

/// How far our clock may differ from a host's before somebody is told, in seconds.
const CLOCK: i64 = 300;

/// What a failed step of the exchange means.
pub(super) fn exchange(error: &TokenError) -> Problem {
    let said = Codes::of(error.said.as_ref());
    let words = error.detail.to_ascii_lowercase();
    match error.hop {
        Step::TokenFile if words.contains("does not exist") => Problem::TokenFileMissing,
        Step::TokenFile => Problem::TokenFileUnreadable,
        Step::TokenUrl => Problem::TokenUrlFails,
        Step::Sts => sts(&said, &words),
        Step::Impersonation => impersonation(&said, &words),
        Step::OAuth => Problem::OAuthRefused,
        Step::Metadata if error.said.is_none() => Problem::MetadataAbsent,
        Step::Metadata => Problem::MetadataRefused,
    }
}

fn sts(said: &Codes<'_>, words: &str) -> Problem {
    let has = |text: &str| words.contains(text);
    if said.api_is_disabled(words) {
        Problem::ExchangeApiDisabled
    } else if has("attribute condition") {
        Problem::AttributeCondition
    } else if said.code == "invalid_target" {
        Problem::ProviderUnknown
    } else if has("jwk")
        || has("signing key")
        || has("signature")
        || has("connecting to the given credential's issuer")
        || has("(kid)")
    {
        Problem::IssuerKeys
    } else if has("issuer in id token") || has("issuer") && has("match") {
        Problem::IssuerRefused
    } else if has("audience") {
        Problem::AudienceRefused
    } else if has("expired") || has("stale") || has("in the future") || has("lifetime") {
        Problem::TokenRefused
    } else {
        Problem::ExchangeRefused
    }
}

fn impersonation(said: &Codes<'_>, words: &str) -> Problem {
    if said.api_is_disabled(words) {
        Problem::ImpersonationApiDisabled
    } else if said.status == 404 {
        Problem::AccountUnknown
    } else if words.contains("disabled") {
        Problem::AccountDisabled
    } else if said.status == 403 {
        Problem::ImpersonationRole
    } else {
        Problem::ImpersonationRefused
    }
}

/// What an answer of Vertex AI means that is none of a model's.
pub(super) fn vertex(complaint: &Complaint) -> Problem {
    let said = Codes::of(Some(&complaint.said));
    let words = complaint.words.to_ascii_lowercase();
    let has = |text: &str| words.contains(text);
    match said.status {
        401 => Problem::TokenRejected,
        403 if said.api_is_disabled(&words) => Problem::VertexApiDisabled,
        403 if said.reason == "BILLING_DISABLED" || has("billing") => Problem::BillingDisabled,
        403 if said.reason == "USER_PROJECT_DENIED" || has("serviceusage.services.use") => Problem::QuotaProject,
        403 if said.reason == "SECURITY_POLICY_VIOLATED" || has("organization's policy") => Problem::ServiceControls,
        403 => Problem::VertexRole,
        // Where no such host is served, there is a page, and no error of the API's.
        404 if said.code.is_empty() => Problem::RegionUnknown,
        404 => Problem::ModelNotEnabled,
        400 if has("location") || has("region") => Problem::RegionUnknown,
        429 => Problem::QuotaExceeded,
        500.. => Problem::VertexFails,
        _ => Problem::VertexRefused,
    }
}

/// What the broker's own refusal means.
pub(super) fn broker(complaint: &Complaint) -> Problem {
    let words = complaint.words.to_ascii_lowercase();
    if words.contains("access token") {
        Problem::BrokerNoToken
    } else if complaint.said.status >= 500 {
        Problem::BrokerCutOff
    } else {
        Problem::BrokerRefuses
    }
}

/// Codes of an answer, empty where it has none.
struct Codes<'s> {
    status: u16,
    code: &'s str,
    reason: &'s str,
}

impl<'s> Codes<'s> {
    fn of(said: Option<&'s Said>) -> Self {
        Self {
            status: said.map_or(0, |said| said.status),
            code: said.and_then(|said| said.code.as_deref()).unwrap_or_default(),
            reason: said.and_then(|said| said.reason.as_deref()).unwrap_or_default(),
        }
    }

    fn api_is_disabled(&self, words: &str) -> bool {
        self.reason == "SERVICE_DISABLED" || words.contains("has not been used in project")
    }
}

/// Our clock beside another, in words, and whether anybody takes what it has signed.
pub(super) fn clock(there: Timestamp) -> (String, bool) {
    let ahead = Timestamp::now().as_second().saturating_sub(there.as_second());
    let found = match ahead {
        0 => "as there".to_owned(),
        1.. => format!("ours is {ahead} s ahead"),
        _ => format!("ours is {} s behind", ahead.saturating_neg()),
    };
    (found, ahead.saturating_abs() <= CLOCK)
}
