//! What is known of this pod's identity, for commands that can be pasted.

use crate::broker::credentials::{Credentials, ExternalAccount};
use std::fmt;

/// A value of a command: a word in capitals stands for what nobody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value(Option<String>);

impl Value {
    /// A value that a shell takes as it is; another is as good as unknown.
    pub fn of(text: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
        let fits = (1..=256).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-');
        Self(fits.then(|| text.to_owned()))
    }

    /// Whether it is known.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// It, or the word that stands for it.
    pub fn or<'v>(&'v self, word: &'v str) -> &'v str {
        self.0.as_deref().unwrap_or(word)
    }
}

/// What is known; all of it may be missing.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The project that is called.
    pub project: Value,
    /// The number of the project that the pool is in.
    pub number: Value,
    /// The workload identity pool.
    pub pool: Value,
    /// Its provider.
    pub provider: Value,
    /// The service account that is acted as.
    pub email: Value,
    /// The project that calls are counted against.
    pub quota_project: Value,
    /// The namespace of the pod.
    pub namespace: Value,
    /// Its ServiceAccount.
    pub service_account: Value,
    /// Who issued the token.
    pub issuer: Value,
    /// Where models are called.
    pub region: Value,
    /// The model.
    pub model: Value,
    /// The API that was asked, such as `sts.googleapis.com`.
    pub host: Value,
}

impl Known {
    /// Notes what a credential tells.
    pub(super) fn take(&mut self, credentials: &Credentials) {
        if let Credentials::ExternalAccount(account) = credentials {
            self.take_provider(account);
        }
        if let Some(email) = credentials.email() {
            self.email = Value::of(email);
        }
    }

    fn take_provider(&mut self, account: &ExternalAccount) {
        let parts: Vec<&str> = account.audience.split('/').collect();
        if let [
            "",
            "",
            "iam.googleapis.com",
            "projects",
            number,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] = parts.as_slice()
        {
            self.number = Value::of(number);
            self.pool = Value::of(pool);
            self.provider = Value::of(provider);
        }
    }

    /// Whom a role of models is bound to.
    pub(super) fn member(&self) -> String {
        if self.email.is_known() {
            format!("serviceAccount:{}", self.email.or(""))
        } else {
            self.principal()
        }
    }

    /// The pod's ServiceAccount, as Google knows it.
    pub(super) fn principal(&self) -> String {
        format!(
            "principal://iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/{}/subject/system:serviceaccount:{}:{}",
            self.number.or("NUMBER"),
            self.pool.or("POOL"),
            self.namespace.or("NAMESPACE"),
            self.service_account.or("SERVICEACCOUNT"),
        )
    }

    /// Where the pool's provider is, as gcloud wants it.
    pub(super) fn provider_flags(&self) -> String {
        format!(
            "{} --project={} --location=global --workload-identity-pool={}",
            self.provider.or("PROVIDER"),
            self.number.or("NUMBER"),
            self.pool.or("POOL"),
        )
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.or(""))
    }
}
