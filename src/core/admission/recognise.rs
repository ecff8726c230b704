//! Pods of systems that bring credentials of their own, which are left alone.

use super::decision::Reason;
use super::pod::{Pod, Text, or_default};
use super::select;
use crate::names;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The JSON of the variables that processes in an OpenShell sandbox see.
pub(super) const OPENSHELL_USER_ENVIRONMENT: &str = "OPENSHELL_USER_ENVIRONMENT";

const OPENSHELL_ANNOTATION: &str = "openshell.io/sandbox-id";
const OPENSHELL_VARIABLE: &str = "OPENSHELL_SANDBOX_ID";
const CREDENTIAL_PROXY_LABEL: &str = "kubeagents.x-k8s.io/has-credential-proxy";

/// A volume by which another webhook for Google identities is known. People choose such names too, so the type counts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    name: Text<'a>,
    #[serde(default)]
    projected: Option<IgnoredAny>,
    #[serde(default)]
    host_path: Option<IgnoredAny>,
}

impl Trace<'_> {
    /// The webhook that adds such a volume.
    fn webhook(&self) -> Option<&'static str> {
        match &*self.name {
            "gcp-iam-token" if self.projected.is_some() => Some("gcp-workload-identity-federation-webhook"),
            "gcp-creds" if self.host_path.is_some() => Some("minikube's gcp-auth"),
            _ => None,
        }
    }
}

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
    let mut served = None;
    for raw in &pod.spec.volumes {
        let Ok(volume) = serde_json::from_str::<Trace<'_>>(raw.get()) else {
            continue;
        };
        // Where ours came first, the pod stays ours: the other one's defaults do not undo it.
        if &*volume.name == names::CREDENTIALS_VOLUME {
            return None;
        }
        if let Some(webhook) = volume.webhook() {
            let detail = format!("{webhook} has served the pod already (volume {:?})", &*volume.name);
            served = Some((Reason::ServedByOtherWebhook, detail));
        }
    }
    served
}
