//! Every breakage that is known, with what to do about it. The reference is written from here.

use crate::part::{Level, Part};
use serde::Serialize;
use std::fmt;
use strum::{EnumMessage, VariantArray};

/// What can be wrong. The names are part of the interface: `-o json` carries them.
#[derive(EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Problem {
    /// A right is missing, a call failed, or there was no answer in time.
    CouldNotLook,
    /// The API server is older than 1.30.
    ApiServerTooOld,
    /// The API server does not serve ValidatingAdmissionPolicies.
    AdmissionPoliciesNotServed,
    /// The kubelet of a node is older than 1.29 and knows no native sidecars: a broker would be an init container that never ends.
    NodeTooOld,
    /// A definition of the policies does not exist.
    DefinitionMissing,
    /// The API server does not serve a definition yet, or refuses its names.
    DefinitionNotEstablished,
    /// A definition is that of another version.
    DefinitionDiffers,
    /// No release of the chart was found.
    NotInstalled,
    /// The MutatingWebhookConfiguration is gone: no agent is injected, and those that ask are refused.
    InjectionWebhookMissing,
    /// The ValidatingWebhookConfiguration is gone: authors of policies are not told what is wrong with them.
    PolicyWebhookMissing,
    /// A webhook configuration has no webhooks.
    NoWebhooks,
    /// A webhook lets pods pass when nobody answers: agents would start without their injection.
    FailsOpen,
    /// The webhook configuration does not send the pods that the operator's settings say.
    SelectorsDiffer,
    /// The Service that the API server calls does not exist.
    ServiceMissing,
    /// The operator's settings, a ConfigMap, do not exist.
    SettingsMissing,
    /// The operator's settings cannot be read by this version.
    SettingsUnreadable,
    /// A webhook has no caBundle, so that the API server believes only its own authorities.
    CaBundleMissing,
    /// The caBundle of a webhook holds no certificate.
    CaBundleUnreadable,
    /// The served certificate is not signed by an authority of the caBundle.
    CertificateNotTrusted,
    /// The served certificate is for other names than the one that the API server calls.
    CertificateNameDiffers,
    /// The served certificate has expired, or is not valid yet.
    CertificateExpired,
    /// The served certificate expires within a week.
    CertificateExpiresSoon,
    /// No TLS connection to the webhook came about from here.
    WebhookUnreachable,
    /// The webhook's Deployment does not exist.
    DeploymentMissing,
    /// No replica of the webhook is ready: agents are refused.
    NoReplicaReady,
    /// Some replicas of the webhook are not ready.
    ReplicasMissing,
    /// A pod of the webhook does not run.
    ReplicaWaiting,
    /// Replicas of the webhook run different images.
    ReplicasDiffer,
    /// The release is of another version than this program.
    VersionDiffers,
    /// An admission policy of the chart is not installed.
    GuardOff,
    /// An admission policy has no binding, so it guards nothing.
    GuardUnbound,
    /// A binding names an admission policy that does not exist.
    GuardMissing,
    /// A binding does not refuse what its admission policy forbids.
    GuardNotDenying,
    /// An admission policy lets pass what it cannot judge.
    GuardFailsOpen,
    /// A policy cannot be used: pods that it selects are refused.
    PolicyUnusable,
    /// A policy cannot be read by this version, and is ignored.
    PolicyUnreadable,
    /// No pod can reach a policy: no agentSelector of the operator sends its pods.
    PolicyUnreachable,
    /// A policy is in a namespace that did not opt in.
    PolicyNotOptedIn,
    /// The webhook has not judged the present generation of a policy.
    PolicyNotJudged,
    /// A cluster policy serves no namespace that opted in.
    PolicyServesNothing,
    /// A namespace opted in, and no policy serves it.
    NamespaceWithoutPolicy,
    /// There are more objects than were looked at.
    TooMany,
    /// A running pod should have been injected and was not: it is older than the policy, the label or the webhook.
    AgentNotInjected,
    /// A policy selects a running pod, and no agentSelector of the operator sends such pods to the webhook.
    AgentNotSent,
    /// A running pod has what an earlier policy said, and today's would give it something else.
    AgentOutdated,
    /// A running pod was injected, and today nothing would inject it.
    AgentOrphaned,
    /// A running pod would be refused today.
    AgentWouldBeRefused,
    /// A running pod lacks some of what was injected.
    InjectionIncomplete,
    /// A container of ours in a pod does not run.
    SidecarNotRunning,
    /// A container of ours in a pod has been started again.
    SidecarRestarted,
    /// The API server could not ask the webhook about a trial pod.
    WebhookFails,
    /// The webhook refuses a pod that its policy selects.
    TrialRefused,
    /// Something else refuses a pod that a policy selects.
    TrialRefusedByOther,
    /// A pod that a policy selects is admitted, and nothing injects it.
    TrialNotInjected,
    /// Another policy takes the pods that a policy selects.
    TrialServedByOther,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Problem {
    /// What it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// How bad it is.
    pub fn level(self) -> Level {
        self.place().1
    }

    /// Where it belongs.
    pub fn part(self) -> Part {
        self.place().0
    }

    /// What to do. NAME and NAMESPACE are the object's, RELEASE and SYSTEM the release and its namespace.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::CouldNotLook => {
                "ask somebody who has the right, or leave this part out with --only; if the call failed, try again"
            }
            Self::ApiServerTooOld => "upgrade the cluster to Kubernetes 1.30 or newer",
            Self::AdmissionPoliciesNotServed => {
                "do not switch off admissionregistration.k8s.io/v1 with the API server's --runtime-config"
            }
            Self::NodeTooOld => {
                "upgrade the node, or keep agents with access: Metadata, access: Proxy or sidecars away from it"
            }
            Self::DefinitionMissing | Self::DefinitionDiffers => {
                "vertex-injector crds | kubectl apply --server-side --force-conflicts -f - (policies that were deleted with their definition have to be applied again)"
            }
            Self::DefinitionNotEstablished => {
                "kubectl describe crd NAME; its conditions say what stands in the way: another definition with the same names"
            }
            Self::NotInstalled => {
                "install the chart, or name the release with --release and its namespace with --namespace"
            }
            Self::InjectionWebhookMissing
            | Self::PolicyWebhookMissing
            | Self::NoWebhooks
            | Self::FailsOpen
            | Self::SelectorsDiffer
            | Self::ServiceMissing
            | Self::SettingsMissing
            | Self::DeploymentMissing
            | Self::GuardUnbound
            | Self::GuardMissing
            | Self::GuardNotDenying
            | Self::GuardFailsOpen => {
                "write it anew: helm get manifest RELEASE -n SYSTEM | kubectl apply -n SYSTEM --server-side --force-conflicts -f -"
            }
            Self::SettingsUnreadable => {
                "use the vertex-injector of the release's version, or upgrade the release to this version's chart"
            }
            Self::CaBundleMissing | Self::CaBundleUnreadable | Self::CertificateNotTrusted => {
                "in mode self-signed the webhook writes the caBundle within a minute: look at its log (kubectl logs -n SYSTEM -l app.kubernetes.io/instance=RELEASE); with cert-manager look at the Certificate and at cainjector; in mode files bring certificates.caBundle and the Secret together"
            }
            Self::CertificateNameDiffers => {
                "serve a certificate for this name: certificates.mode self-signed makes one, in mode files add the name; outside the cluster say it with --tls-san"
            }
            Self::CertificateExpired | Self::CertificateExpiresSoon => {
                "see that it is renewed: in mode self-signed the webhook's log says what keeps it from it, with cert-manager look at the Certificate, in mode files write a new one into the Secret"
            }
            Self::WebhookUnreachable => {
                "see that the webhook runs (kubectl get pods -n SYSTEM, or where webhook.url leads), and that no firewall or NetworkPolicy stands before it"
            }
            Self::NoReplicaReady | Self::ReplicasMissing | Self::ReplicaWaiting => {
                "kubectl describe pods -n SYSTEM -l app.kubernetes.io/instance=RELEASE, and kubectl logs of them: /readyz says what is missing"
            }
            Self::ReplicasDiffer => {
                "wait for the rollout: kubectl rollout status -n SYSTEM deployment/NAME; where it hangs, kubectl rollout undo"
            }
            Self::VersionDiffers => {
                "use the vertex-injector of that version, or helm upgrade RELEASE charts/vertex-injector -n SYSTEM --reuse-values"
            }
            Self::GuardOff => {
                "if it was not switched off on purpose (admissionPolicies of the values): helm get manifest RELEASE -n SYSTEM | kubectl apply -n SYSTEM --server-side --force-conflicts -f -"
            }
            Self::PolicyUnusable => "correct the policy; vertex-injector validate shows the same before it is applied",
            Self::PolicyUnreadable => {
                "upgrade the release and its definitions to the version that the policy is written for, or correct the policy"
            }
            Self::PolicyUnreachable => {
                "add an entry for its pods to the chart's extraAgentSelectors, or labels of an entry to the policy's podSelector"
            }
            Self::PolicyNotOptedIn => {
                "kubectl label namespace NAMESPACE vertex-injector.dev/injection=enabled (or what the chart's namespaceSelector says), or delete the policy"
            }
            Self::PolicyNotJudged => {
                "see that a replica of the webhook runs and may patch the status of policies: kubectl logs -n SYSTEM -l app.kubernetes.io/instance=RELEASE"
            }
            Self::PolicyServesNothing => {
                "label a namespace so that it opts in and fits spec.namespaceSelector, or delete the policy"
            }
            Self::NamespaceWithoutPolicy => {
                "apply an InjectionPolicy there, or take the label away: kubectl label namespace NAME vertex-injector.dev/injection-"
            }
            Self::TooMany => "look at less at once: --only, or audit with --namespace",
            Self::AgentNotInjected | Self::AgentOutdated => {
                "make it anew: kubectl rollout restart of its Deployment, or delete the pod where a controller makes it again; vertex-injector check pod NAME -n NAMESPACE shows what changes"
            }
            Self::AgentNotSent => {
                "give the pod's template the labels of an agentSelector, such as vertex-injector.dev/inject: \"true\", or add an entry for such pods to the chart's extraAgentSelectors; then make the pod anew"
            }
            Self::AgentOrphaned => {
                "make it anew to take the injection away, or see what keeps today's policies from it: the label of the namespace, the labels of the pod, the policies"
            }
            Self::AgentWouldBeRefused => {
                "correct the policy or the pod's template before the pod is made anew: then it would not be created"
            }
            Self::InjectionIncomplete => {
                "make the pod anew; if that does not help, look for another mutating webhook that removes what was injected"
            }
            Self::SidecarNotRunning | Self::SidecarRestarted => {
                "kubectl logs -n NAMESPACE NAME -c CONTAINER --previous, and kubectl describe pod -n NAMESPACE NAME"
            }
            Self::WebhookFails => {
                "what the API server says is what stands between it and the webhook: see docs/troubleshooting.md, failed calling webhook"
            }
            Self::TrialRefused => {
                "the trial pod is the plainest that the policy selects; if real agents are no different, correct the policy: vertex-injector explain -f POD"
            }
            Self::TrialRefusedByOther => {
                "see what refuses pods in NAMESPACE: the account that the policy names, a quota, Pod Security, another webhook"
            }
            Self::TrialNotInjected => {
                "see that the MutatingWebhookConfiguration selects the pods of the policy (part webhooks), and that no other webhook removes what was injected"
            }
            Self::TrialServedByOther => {
                "if the other policy shall not win, change priority, or overridable of the cluster policy"
            }
        }
    }

    /// Both, so that each is sorted in once.
    fn place(self) -> (Part, Level) {
        match self {
            Self::CouldNotLook => (Part::ApiServer, Level::Unknown),
            Self::ApiServerTooOld | Self::AdmissionPoliciesNotServed => (Part::ApiServer, Level::Broken),
            Self::NodeTooOld => (Part::ApiServer, Level::Warning),
            Self::DefinitionMissing | Self::DefinitionNotEstablished => (Part::Definitions, Level::Broken),
            Self::DefinitionDiffers => (Part::Definitions, Level::Warning),
            Self::NotInstalled
            | Self::InjectionWebhookMissing
            | Self::PolicyWebhookMissing
            | Self::NoWebhooks
            | Self::FailsOpen
            | Self::SelectorsDiffer
            | Self::ServiceMissing
            | Self::SettingsMissing
            | Self::SettingsUnreadable => (Part::Webhooks, Level::Broken),
            Self::CaBundleMissing
            | Self::CaBundleUnreadable
            | Self::CertificateNotTrusted
            | Self::CertificateNameDiffers
            | Self::CertificateExpired
            | Self::WebhookUnreachable => (Part::Certificate, Level::Broken),
            Self::CertificateExpiresSoon => (Part::Certificate, Level::Warning),
            Self::DeploymentMissing | Self::NoReplicaReady | Self::ReplicaWaiting => (Part::Replicas, Level::Broken),
            Self::ReplicasMissing | Self::ReplicasDiffer | Self::VersionDiffers => (Part::Replicas, Level::Warning),
            Self::GuardOff => (Part::Guards, Level::Warning),
            Self::GuardUnbound | Self::GuardMissing | Self::GuardNotDenying | Self::GuardFailsOpen => {
                (Part::Guards, Level::Broken)
            }
            Self::PolicyUnusable | Self::PolicyUnreadable | Self::PolicyNotJudged => (Part::Policies, Level::Broken),
            Self::PolicyUnreachable
            | Self::PolicyNotOptedIn
            | Self::PolicyServesNothing
            | Self::NamespaceWithoutPolicy => (Part::Policies, Level::Warning),
            Self::TooMany
            | Self::AgentNotInjected
            | Self::AgentNotSent
            | Self::AgentOutdated
            | Self::AgentOrphaned
            | Self::AgentWouldBeRefused
            | Self::SidecarRestarted => (Part::Agents, Level::Warning),
            Self::InjectionIncomplete | Self::SidecarNotRunning => (Part::Agents, Level::Broken),
            Self::WebhookFails | Self::TrialNotInjected => (Part::Trials, Level::Broken),
            Self::TrialRefused | Self::TrialRefusedByOther | Self::TrialServedByOther => (Part::Trials, Level::Warning),
        }
    }
}
