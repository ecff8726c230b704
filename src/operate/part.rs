//! What is looked at, and how it is with it.

use serde::Serialize;
use strum::{EnumMessage, VariantArray};

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// It works, and somebody should know.
    Warning,
    /// Nobody could look.
    Unknown,
    /// It does not work.
    Broken,
}

impl Level {
    /// The sign that people are shown.
    pub fn sign(self) -> char {
        match self {
            Self::Fine => '✓',
            Self::Warning => '!',
            Self::Unknown => '?',
            Self::Broken => '✗',
        }
    }
}

/// What is looked at, in this order.
#[derive(
    EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Part {
    /// Version and features of the API server and the nodes
    ApiServer,
    /// The definitions of the policies
    Definitions,
    /// Both webhook configurations, and the operator's settings
    Webhooks,
    /// The served certificate, beside the caBundle
    Certificate,
    /// The webhook's pods
    Replicas,
    /// The ValidatingAdmissionPolicies of the chart, and their bindings
    Guards,
    /// Policies, and the namespaces that they are for
    Policies,
    /// Running pods
    Agents,
    /// A pod for each policy, created as a dry run
    Trials,
}

impl Part {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it is about, in a sentence.
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}
