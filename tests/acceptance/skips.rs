//! Every reason for which a pod is left alone: whether it leaves a mark in the pod, and whom a warning tells.

use serde_json::{Value, json};
use strum::VariantArray;
use support::{World, pod, yaml};
use vertex_injector_core::admission::{Outcome, Reason};

const MARK: &str = "vertex-injector.dev/skipped";

/// What a skipped pod shows, when it did not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// Nothing: the reason is the pod's own word, or no policy is about it.
    None,
    /// The annotation: the owner has nothing to do.
    Mark,
    /// The annotation and a warning: the owner may want it otherwise, and can.
    MarkAndWarning,
}

/// The trace of a reason that leaves pods alone; of others there is none. A new reason is thought about here.
fn trace(reason: Reason) -> Option<Trace> {
    match reason {
        Reason::OptedOut | Reason::NotSelected | Reason::MirrorPod => Some(Trace::None),
        Reason::NothingToInject
        | Reason::ManagedByOpenShell
        | Reason::HasCredentialProxy
        | Reason::ServedByOtherWebhook
        | Reason::ProviderNotBound
        | Reason::ProviderServed => Some(Trace::Mark),
        Reason::OwnApiKey | Reason::OwnCredentials | Reason::OtherProvider | Reason::VertexSwitchedOff => {
            Some(Trace::MarkAndWarning)
        }
        Reason::Injected
        | Reason::AlreadyInjected
        | Reason::NoPolicy
        | Reason::PolicyNotFound
        | Reason::PolicyNotAllowed
        | Reason::PolicyUnusable
        | Reason::ContainerNotFound
        | Reason::AmbiguousContainer
        | Reason::WindowsPod
        | Reason::Conflict
        | Reason::NotIsolated
        | Reason::MalformedPod => None,
    }
}

const VERTEX: &str = "{agents: [{podSelector: {}}], vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]},
  identity: {workloadIdentityFederation: {provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}}";

/// A sidecar alone, which only sessions of Ambient want.
const SIDECAR: &str =
    "{agents: [{podSelector: {}}], sidecars: [{preset: github, image: 'registry.example.com/github:1',
  credential: {http: {url: 'https://tokens.example.com/github', audience: tokens.example.com}}}]}";

/// A pod for each reason, with the policy that leaves it alone.
fn left_alone() -> Vec<(Reason, Value, &'static str)> {
    let env = |env: &str| {
        let mut pod = pod("{containers: [{name: agent, image: a}]}");
        pod["spec"]["containers"][0]["env"] = yaml(env);
        pod
    };
    let with = |pointer: &str, value: &str| {
        let mut pod = env("[]");
        json_patch::merge(&mut pod, &yaml(&pointer.replace('V', value)));
        pod
    };
    vec![
        (
            Reason::MirrorPod,
            with("{metadata: {annotations: {kubernetes.io/config.mirror: V}}}", "abc"),
            VERTEX,
        ),
        (
            Reason::OptedOut,
            with("{metadata: {labels: {vertex-injector.dev/inject: V}}}", "'false'"),
            VERTEX,
        ),
        (
            Reason::NotSelected,
            env("[]"),
            "{agents: [{podSelector: {matchLabels: {other: 'yes'}}}], env: [{name: A, value: b}]}",
        ),
        (Reason::NothingToInject, env("[]"), "{agents: [{podSelector: {}}]}"),
        (
            Reason::ManagedByOpenShell,
            with("{metadata: {annotations: {openshell.io/sandbox-id: V}}}", "s1"),
            VERTEX,
        ),
        (
            Reason::HasCredentialProxy,
            with(
                "{metadata: {labels: {kubeagents.x-k8s.io/has-credential-proxy: V}}}",
                "'true'",
            ),
            VERTEX,
        ),
        (
            Reason::ServedByOtherWebhook,
            with(
                "{spec: {volumes: [{name: gcp-iam-token, projected: {sources: V}}]}}",
                "[]",
            ),
            VERTEX,
        ),
        (Reason::OwnApiKey, env("[{name: ANTHROPIC_API_KEY, value: k}]"), VERTEX),
        (
            Reason::OwnCredentials,
            env("[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /own/key.json}]"),
            VERTEX,
        ),
        (
            Reason::OtherProvider,
            env("[{name: CLAUDE_CODE_USE_BEDROCK, value: '1'}]"),
            VERTEX,
        ),
        (
            Reason::VertexSwitchedOff,
            env("[{name: CLAUDE_CODE_USE_VERTEX, value: '0'}]"),
            VERTEX,
        ),
        (
            Reason::ProviderNotBound,
            env("[{name: SESSION_ID, value: session-1}, {name: CREDENTIAL_IDS, value: '{\"jira\": \"1\"}'}]"),
            SIDECAR,
        ),
        (
            Reason::ProviderServed,
            env(
                "[{name: SESSION_ID, value: session-1}, {name: CREDENTIAL_IDS, value: '{\"github\": \"1\"}'},
                  {name: CREDENTIAL_MCP_URLS, value: '{\"github\": \"http://localhost:8091\"}'}]",
            ),
            SIDECAR,
        ),
    ]
}

/// The policy in a cluster whose operator lets it have its sidecar.
fn world(policy: &str) -> World {
    let operator = "{sidecarImages: ['*'], credentialHosts: [tokens.example.com]}";
    World::serving_under(operator, &format!("  {policy}"))
}

#[test]
fn every_reason_to_leave_a_pod_alone_leaves_its_trace_and_a_warning_where_somebody_can_act() {
    let table = left_alone();
    for reason in Reason::VARIANTS {
        let shown = table.iter().any(|(shown, ..)| shown == reason);
        assert_eq!(shown, trace(*reason).is_some(), "{reason}");
    }
    for (reason, pod, policy) in table {
        let admission = world(policy).admit(&pod);
        let message = admission.skipped(reason);
        let mark = &admission.after["metadata"]["annotations"][MARK];
        let warnings: Vec<String> = admission.decision.warnings.iter().map(ToString::to_string).collect();
        let trace = trace(reason).expect("a reason to leave pods alone");
        assert_eq!(mark.is_string(), trace != Trace::None, "{reason}: {message}");
        assert!(mark.is_null() || *mark == json!(reason.to_string()), "{reason}: {mark}");
        assert_eq!(
            !warnings.is_empty(),
            trace == Trace::MarkAndWarning,
            "{reason}: {warnings:?}"
        );
        for warning in &warnings {
            assert!(
                warning.contains(&reason.to_string()) && warning.contains(message),
                "{warning}"
            );
        }
    }
}

#[test]
fn a_pod_that_asks_and_is_left_alone_by_a_policy_is_marked_and_warned_whatever_the_reason() {
    for (reason, mut pod, policy) in left_alone() {
        if trace(reason) == Some(Trace::None) {
            continue;
        }
        pod["metadata"]["labels"]["vertex-injector.dev/inject"] = "true".into();
        let admission = world(policy).admit(&pod);
        assert_eq!(
            (admission.decision.outcome, admission.decision.reason),
            (Outcome::Skipped, reason)
        );
        assert_eq!(
            admission.after["metadata"]["annotations"][MARK],
            json!(reason.to_string())
        );
        let warned = |warning: &str| warning.contains("left this pod alone") && warning.contains(&reason.to_string());
        assert!(
            admission
                .decision
                .warnings
                .iter()
                .any(|warning| warned(&warning.to_string())),
            "{reason}"
        );
    }
}
