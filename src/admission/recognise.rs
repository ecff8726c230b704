//! Pods of systems that bring credentials of their own, which are left alone.

use super::decision::Reason;
use super::pod::{Pod, Volume};
use super::select;

/// The JSON of the variables that processes in an OpenShell sandbox see.
pub(super) const OPENSHELL_USER_ENVIRONMENT: &str = "OPENSHELL_USER_ENVIRONMENT";

const OPENSHELL_ANNOTATION: &str = "openshell.io/sandbox-id";
const OPENSHELL_VARIABLE: &str = "OPENSHELL_SANDBOX_ID";
const CREDENTIAL_PROXY_LABEL: &str = "kubeagents.x-k8s.io/has-credential-proxy";

/// Volumes by which other webhooks for Google identities are known: pfnet's federation webhook and minikube's gcp-auth.
const OTHER_WEBHOOKS: [(&str, &str); 2] = [
    ("gcp-iam-token", "gcp-workload-identity-federation-webhook"),
    ("gcp-creds", "minikube's gcp-auth"),
];

/// Whether NVIDIA OpenShell manages the pod.
pub(super) fn is_open_shell(pod: &Pod<'_>) -> bool {
    pod.annotation(OPENSHELL_ANNOTATION).is_some()
        || select::all(pod).any(|(_, container)| {
            container
                .env
                .iter()
                .flatten()
                .any(|env| &*env.name == OPENSHELL_VARIABLE)
        })
}

/// Why a pod is left alone whatever the policy says, if so. OpenShell is a policy's choice and not listed here.
pub(super) fn served_already(pod: &Pod<'_>) -> Option<(Reason, String)> {
    if pod.label(CREDENTIAL_PROXY_LABEL) == Some("true") {
        return Some((
            Reason::HasCredentialProxy,
            format!("the pod has a credential proxy of its own (label {CREDENTIAL_PROXY_LABEL})"),
        ));
    }
    let names = pod
        .spec
        .volumes
        .iter()
        .filter_map(|raw| serde_json::from_str::<Volume<'_>>(raw.get()).ok());
    let mut served = names.filter_map(|volume| OTHER_WEBHOOKS.iter().find(|(name, _)| *volume.name == **name));
    served.next().map(|(volume, webhook)| {
        (
            Reason::ServedByOtherWebhook,
            format!("{webhook} has served the pod already (volume {volume:?})"),
        )
    })
}
