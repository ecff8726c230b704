//! Whether the API server sends a pod to the webhook at all: what its configuration says, asked offline.

use super::pod::Pod;
use super::set::Labels;
use crate::api::Selector;
use crate::names::{INJECTION_ENABLED, NAMESPACE_INJECTION, NAMESPACE_NAME, NEVER_SENT};
use crate::operator::{AgentSelector, Operator};
use serde::Serialize;
use std::fmt;
use strum::{EnumMessage, VariantArray};

/// Why a pod is never sent.
#[derive(EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum NotSent {
    /// Its namespace is always left out.
    NamespaceLeftOut,
    /// Its namespace did not opt in.
    NamespaceNotOptedIn,
    /// No agentSelector reaches it.
    NoAgentSelector,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Asks the selectors of the operator's settings about a pod of `namespace`, whose labels may be unknown. The answer comes
/// with a sentence for people.
pub fn not_sent(
    pod: &Pod<'_>,
    namespace: &str,
    labels: Option<&Labels>,
    operator: &Operator,
) -> Option<(NotSent, String)> {
    let default = Selector {
        match_labels: Labels::from([(NAMESPACE_INJECTION.to_owned(), INJECTION_ENABLED.to_owned())]),
        match_expressions: Vec::new(),
    };
    let selector = operator.namespace_selector.as_ref().unwrap_or(&default);
    let label = |key: &str| {
        if key == NAMESPACE_NAME {
            return Some(namespace);
        }
        labels?.get(key).map(String::as_str)
    };
    let mut about_names = { selector.match_expressions.iter() }.filter(|requirement| requirement.key == NAMESPACE_NAME);
    if NEVER_SENT.contains(&namespace) || !about_names.all(|requirement| requirement.holds(label(NAMESPACE_NAME))) {
        let text = format!("pods of namespace {namespace} are never sent to the webhook");
        return Some((NotSent::NamespaceLeftOut, text));
    }
    if labels.is_some() && !selector.matches(label) {
        let text = format!(
            "namespace {namespace} did not opt in: its labels are not what the webhook's namespaceSelector asks for, {}",
            serde_json::to_string(selector).unwrap_or_default()
        );
        return Some((NotSent::NamespaceNotOptedIn, text));
    }
    let reaches = |selector: &AgentSelector| {
        let account = pod.service_account();
        let of_account =
            selector.service_accounts.is_empty() || selector.service_accounts.iter().any(|it| it == account);
        of_account && selector.object_selector.matches(|key| pod.label(key))
    };
    let selectors = &operator.agent_selectors;
    if selectors.is_empty() || selectors.iter().any(reaches) {
        return None;
    }
    let names: Vec<&str> = selectors.iter().map(|selector| selector.name.as_str()).collect();
    let text = format!(
        "no entry of the operator's agentSelectors ({}) matches the pod, so the API server never sends it to the webhook; add the labels of one, or an entry for such pods",
        names.join(", ")
    );
    Some((NotSent::NoAgentSelector, text))
}
