//! The decision about one pod, as one value.

use super::finding::Finding;
use crate::policy::Needed;
use json_patch::PatchOperation;
use serde::Serialize;
use std::fmt;
use strum::{EnumMessage, VariantArray};

/// What happens to a pod, why, and the patch that does it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Injected, skipped or denied.
    pub outcome: Outcome,
    /// The code of the reason; stable, for metrics, alerts and scripts.
    pub reason: Reason,
    /// For the person: what happened, which policy and field, what to do.
    pub message: String,
    /// The policy that decided: `namespace/name@generation`, or `name@generation` of a cluster policy.
    pub policy: Option<String>,
    /// The features of the policy and what became of each.
    pub units: Vec<Unit>,
    /// Environment variables that change, each as `container/NAME`.
    pub env: Vec<Change>,
    /// Volumes that change.
    pub volumes: Vec<Change>,
    /// Containers that are added, replaced or removed.
    pub containers: Vec<Change>,
    /// ConfigMaps, Secrets and claims that the injected pod refers to because of the policy. A missing one keeps the
    /// pod waiting in `ContainerCreating`.
    pub needs: Vec<Needed>,
    /// For the person who created the pod; the API server shows them as warnings.
    pub warnings: Vec<Finding>,
    /// What a refused pod is refused for; the message says it in words.
    #[serde(skip)]
    pub problems: Vec<Finding>,
    /// The JSON Patch (RFC 6902), empty when nothing changes.
    #[serde(skip)]
    pub patch: Vec<PatchOperation>,
}

/// The three ways a review can end.
#[derive(EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Served by a policy; the patch may be empty because all was there already.
    Injected,
    /// Admitted as it is.
    Skipped,
    /// Refused.
    Denied,
}

/// Why. The codes are part of the interface: metrics, audit annotations and scripts rely on them.
#[derive(EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// The policy was applied.
    Injected,
    /// Everything that the policy adds was there already.
    AlreadyInjected,
    /// The policy adds nothing to this pod.
    NothingToInject,
    /// The pod carries `vertex-injector.dev/inject: "false"`.
    OptedOut,
    /// No policy selects the pod, and it did not ask.
    NotSelected,
    /// The pod asks explicitly, and no policy selects it.
    NoPolicy,
    /// The policy that the pod names does not exist or does not select it.
    PolicyNotFound,
    /// A cluster policy that is not overridable selects the pod, which names another one.
    PolicyNotAllowed,
    /// The policy that selects the pod is invalid.
    PolicyUnusable,
    /// A container that the policy or the pod names does not exist, or may not be chosen.
    ContainerNotFound,
    /// The pod asks explicitly, and several of its containers could be the agent.
    AmbiguousContainer,
    /// A pod for Windows nodes.
    WindowsPod,
    /// The API server's image of a static pod; it cannot be changed.
    MirrorPod,
    /// NVIDIA OpenShell manages the pod and routes its inference.
    ManagedByOpenShell,
    /// The pod has its own credential proxy.
    HasCredentialProxy,
    /// Another workload identity webhook has already served the pod.
    ServedByOtherWebhook,
    /// The pod keeps its own API key.
    OwnApiKey,
    /// The pod keeps its own credential file.
    OwnCredentials,
    /// The pod uses another model provider.
    OtherProvider,
    /// The pod switches Vertex off.
    VertexSwitchedOff,
    /// The pod is bound to other providers' credentials than that of the sidecar.
    ProviderNotBound,
    /// The pod has a sidecar for that provider already.
    ProviderServed,
    /// Something of the pod stands in the way of something of the policy.
    Conflict,
    /// The agent could get around the broker, and the policy's `isolation` is `Required`.
    NotIsolated,
    /// A field of the pod has a type that Kubernetes does not allow.
    MalformedPod,
}

impl Reason {
    /// The reason as a sentence, for people.
    pub fn words(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::Denied => "denied",
        })
    }
}

/// A feature of the policy: all of it is in the pod, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// For example `identity`, `broker`, `vertex`, `authHelpers[fracta-auth-helpers]`, `tokens[gateway]`, `sidecars[github]`.
    pub name: String,
    /// What became of it.
    pub state: UnitState,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it consists of, or why it was left out, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Whether the decision's message says the detail: the pod is skipped because this unit is.
    #[serde(skip)]
    pub decides: bool,
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// Some or all of it is added or brought up to date.
    Added,
    /// All of it was there.
    Present,
    /// It is left out; the reason says why.
    Skipped,
}

/// One thing that the patch changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `add`, `replace` or `remove`.
    pub op: &'static str,
    /// Which.
    pub name: String,
}

impl Change {
    pub(super) fn new(op: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        Self { op, name }
    }
}

impl Decision {
    /// The pod is admitted as it is.
    pub fn skipped(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Outcome::Skipped, reason, message)
    }

    /// The pod is refused.
    pub fn denied(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Outcome::Denied, reason, message)
    }

    /// Whether who made the pod should hear of it: the pod is refused, or left alone although a policy selects it.
    pub fn concerns_owner(&self) -> bool {
        match self.outcome {
            Outcome::Injected => false,
            Outcome::Skipped => self.policy.is_some(),
            Outcome::Denied => true,
        }
    }

    pub(crate) fn new(outcome: Outcome, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            outcome,
            reason,
            message: message.into(),
            policy: None,
            units: Vec::new(),
            env: Vec::new(),
            volumes: Vec::new(),
            containers: Vec::new(),
            needs: Vec::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            patch: Vec::new(),
        }
    }
}
