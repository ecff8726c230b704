//! Which of a pod's containers is the agent, when neither the policy nor the pod says so: found by what it is, because a
//! mesh's proxy or another webhook's sidecar may stand in front of it.

use super::decision::Reason;
use super::earlier::Earlier;
use super::pod::{Container, Pod};
use super::select::{self, Chosen, List, Place};
use crate::clients;
use crate::names;

/// What kubectl takes for the pod's main container.
pub(super) const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Containers that meshes, platforms and their webhooks put beside others.
const SIDECARS: [&str; 34] = [
    // Meshes.
    "istio-proxy",
    "linkerd-proxy",
    "linkerd-debug",
    "consul-dataplane",
    "envoy",
    "envoy-proxy",
    "kuma-sidecar",
    "osm-proxy",
    // Dapr, Vault, Argo, Knative, Ray.
    "daprd",
    "vault-agent",
    "wait",
    "queue-proxy",
    "autoscaler",
    // Proxies to databases and for logins.
    "cloud-sql-proxy",
    "cloudsql-proxy",
    "alloydb-auth-proxy",
    "kube-rbac-proxy",
    "oauth-proxy",
    "oauth2-proxy",
    // Telemetry and logs.
    "otc-container",
    "otel-collector",
    "jaeger-agent",
    "datadog-agent",
    "fluent-bit",
    "fluentd",
    "filebeat",
    "promtail",
    "config-reloader",
    // Identities and files.
    "spiffe-helper",
    "gke-gcsfuse-sidecar",
    // Systems of agents.
    "ambient-mcp",
    "envoy-credential-proxy",
    "openshell-supervisor-network",
    "state-sync",
];

/// How the names of others begin: Tekton's sidecars, Ambient's.
const SIDECAR_PREFIXES: [&str; 2] = ["sidecar-", "credential-"];

/// How the names of others end.
const SIDECAR_SUFFIX: &str = "-sidecar";

/// The annotation in which Istio lists what it injected.
const ISTIO_STATUS: &str = "sidecar.istio.io/status";

/// The variable by which OpenKruise marks the containers of a SidecarSet, whatever their names.
const KRUISE_MARK: &str = "IS_INJECTED";

/// Names of the agent's container in the systems that we know. Tekton puts `step-` in front.
const AGENTS: [&str; 10] = [
    "agent",
    "agent-runtime",
    "agentic-ci",
    "ambient-code-runner",
    "claude",
    "claude-code",
    "kagent",
    "main",
    "runtime",
    "user-container",
];

/// The containers that receive the injection.
pub(super) struct Choice<'p> {
    /// In the order in which they are served.
    pub(super) chosen: Vec<Chosen<'p>>,
    /// All that could be meant, in the pod's order, when nobody says which; else none.
    pub(super) candidates: Vec<&'p str>,
}

/// The containers that the policy or the pod names, else the agent.
///
/// # Errors
/// When one that is named does not exist or may not be chosen, or the pod has none.
pub(super) fn choose<'p>(
    pod: &'p Pod<'p>,
    wanted: &[String],
    earlier: &Earlier<'p>,
) -> Result<Choice<'p>, (Reason, String)> {
    let named = select::named(pod, wanted)?;
    let choice = if named.is_empty() {
        let nothing = || (Reason::ContainerNotFound, "the pod has no containers".to_owned());
        agent(pod, earlier).ok_or_else(nothing)?
    } else {
        Choice {
            chosen: named,
            candidates: Vec::new(),
        }
    };
    Ok(choice)
}

/// Finds the agent; none when the pod has no containers.
fn agent<'p>(pod: &'p Pod<'p>, earlier: &Earlier<'p>) -> Option<Choice<'p>> {
    let all: Vec<Chosen<'p>> = { pod.spec.containers.iter().enumerate() }
        .map(|(index, container)| Chosen {
            place: Place {
                list: List::Containers,
                index,
            },
            container,
        })
        .collect();
    let by_istio = by_istio(pod);
    let own = narrowed(&all, |container| !is_sidecar(container, &by_istio));
    let served: Vec<Chosen<'p>> = { own.iter().copied() }
        .filter(|it| {
            earlier.is_served(it.container) || pod.annotation(names::POLICY_REF).is_some() && has_ours(it.container)
        })
        .collect();
    let default = pod.annotation(DEFAULT_CONTAINER);
    let is_default = |container: &Container<'_>| Some(&*container.name) == default;
    // An injection stays where it is, whatever other webhooks have said or put in front of it since.
    let (pool, named) = if served.is_empty() {
        (own, only(&all, is_default))
    } else {
        let named = only(&served, is_default);
        (served, named)
    };
    let found = named
        .or_else(|| only(&pool, |_| true))
        .or_else(|| only(&pool, is_agent))
        .or_else(|| only(&pool, calls_models));
    let (chosen, candidates) = match found {
        Some(chosen) => (chosen, Vec::new()),
        None => (*pool.first()?, pool.iter().map(|it| &*it.container.name).collect()),
    };
    Some(Choice {
        chosen: vec![chosen],
        candidates,
    })
}

/// Those of which something is true; all when it is true of none.
fn narrowed<'p>(all: &[Chosen<'p>], is_one: impl Fn(&Container<'p>) -> bool) -> Vec<Chosen<'p>> {
    let some: Vec<Chosen<'p>> = all.iter().copied().filter(|it| is_one(it.container)).collect();
    if some.is_empty() { all.to_vec() } else { some }
}

/// The only one of which something is true.
fn only<'p>(all: &[Chosen<'p>], is_one: impl Fn(&Container<'p>) -> bool) -> Option<Chosen<'p>> {
    let mut some = all.iter().filter(|it| is_one(it.container));
    some.next().copied().filter(|_| some.next().is_none())
}

/// Whether a container mounts a volume of ours.
fn has_ours(container: &Container<'_>) -> bool {
    let mut mounts = container.volume_mounts.iter().flatten();
    mounts.any(|mount| mount.name.starts_with(names::NAME_PREFIX))
}

fn is_sidecar(container: &Container<'_>, by_istio: &[String]) -> bool {
    let name = &*container.name;
    SIDECARS.contains(&name)
        || SIDECAR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with(SIDECAR_SUFFIX)
        || by_istio.iter().any(|injected| injected == name)
        || { container.env.iter().flatten() }
            .any(|env| &*env.name == KRUISE_MARK && env.value.as_deref() == Some("true"))
}

fn is_agent(container: &Container<'_>) -> bool {
    let name = &*container.name;
    AGENTS.contains(&name.strip_prefix("step-").unwrap_or(name))
}

/// Whether a container has variables of clients that call models.
fn calls_models(container: &Container<'_>) -> bool {
    let mut env = container.env.iter().flatten();
    env.any(|env| clients::speaks_of_models(&env.name))
}

/// The containers that Istio says it injected.
fn by_istio(pod: &Pod<'_>) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Status {
        containers: Vec<String>,
    }
    let status = pod.annotation(ISTIO_STATUS).unwrap_or_default();
    serde_json::from_str(status).map_or_else(|_| Vec::new(), |status: Status| status.containers)
}
