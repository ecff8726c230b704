//! By which steps a credential becomes a token, and where they are taken.

use super::hop::Hop;
use super::known::Value;
use crate::broker::credentials::{Credentials, ExternalAccount, Subject as Source};
use crate::broker::token::Hop as Step;
use vertex_injector_core::endpoint::Endpoint;

/// A step by which a credential becomes a token.
pub(super) struct TokenStep {
    pub(super) hop: Hop,
    step: Step,
    pub(super) to: Endpoint,
    pub(super) at: String,
}

impl TokenStep {
    fn new(hop: Hop, step: Step, to: &Endpoint, at: &str) -> Self {
        Self {
            hop,
            step,
            to: to.clone(),
            at: at.to_owned(),
        }
    }

    /// Whether it was done when `failed` failed.
    pub(super) fn is_before(&self, failed: Step) -> bool {
        failed == Step::Impersonation && self.step != Step::Impersonation
    }
}

/// The steps of a credential, in order.
pub(super) fn steps(credentials: &Credentials) -> Vec<TokenStep> {
    match credentials {
        Credentials::ExternalAccount(account) => {
            let provider = account.audience.rsplit('/').next().unwrap_or_default();
            let provider = Value::of(provider);
            let exchange = TokenStep::new(Hop::Exchange, Step::Sts, &account.token_url, provider.or(""));
            let impersonation = account
                .impersonation
                .as_ref()
                .map(|account| TokenStep::new(Hop::Impersonation, Step::Impersonation, &account.url, &account.email));
            std::iter::once(exchange).chain(impersonation).collect()
        }
        Credentials::ServiceAccount(account) => {
            vec![TokenStep::new(
                Hop::OAuth,
                Step::OAuth,
                &account.token_url,
                &account.email,
            )]
        }
        Credentials::AuthorizedUser(user) => {
            vec![TokenStep::new(Hop::OAuth, Step::OAuth, &user.token_url, "")]
        }
        Credentials::Impersonated(account) => {
            let to = &account.impersonation;
            let mut steps = steps(&account.source);
            steps.push(TokenStep::new(
                Hop::Impersonation,
                Step::Impersonation,
                &to.url,
                &to.email,
            ));
            steps
        }
        Credentials::Metadata(server) => {
            vec![TokenStep::new(Hop::Metadata, Step::Metadata, server, &place(server))]
        }
    }
}

/// Where an identity token comes from.
pub(super) fn source(account: &ExternalAccount) -> String {
    match &account.subject {
        Source::File(path) => path.display().to_string(),
        Source::Url { url, .. } => place(url),
    }
}

/// A host with its port, without what else a URL may tell.
pub(super) fn place(to: &Endpoint) -> String {
    format!("{}:{}", to.host(), to.port())
}
