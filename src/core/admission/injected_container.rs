//! What every container of ours has in common, whatever it runs: a native sidecar under rules that keep the pod's own
//! behaviour as it was.

use super::draft::{Draft, Volumes};
use super::pod::{Pod, Projected, Quantity};
use super::select;
use crate::api::Resources;
use crate::names;
use crate::quantity::thousandths as quantity;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The user of our own images, where the pod would make them run as root.
const NOBODY: i64 = 65532;

/// What a container gets when the policy does not say.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    /// Request and limit of CPU.
    pub(super) cpu: (&'static str, &'static str),
    /// Request and limit of memory.
    pub(super) memory: (&'static str, Cow<'static, str>),
}

/// A container of ours: what differs between them, in terms of the API.
#[derive(Debug)]
pub(super) struct InjectedContainer<'n> {
    /// Name, with our prefix.
    pub(super) name: &'n str,
    pub(super) image: &'n str,
    pub(super) pull_policy: &'static str,
    pub(super) command: Vec<&'n str>,
    pub(super) args: Vec<&'n str>,
    /// Ports that others may know of; a port on loopback is the container's own business.
    pub(super) ports: Vec<Value>,
    /// Whole entries.
    pub(super) env: Vec<Value>,
    pub(super) startup_probe: Option<Value>,
    pub(super) readiness_probe: Option<Value>,
    /// Whether it runs beside the agent; otherwise it ends before the agent starts.
    pub(super) stays: bool,
    pub(super) resources: Option<&'n Resources>,
    pub(super) defaults: Defaults,
    /// Whole entries; the cover of the API token follows them.
    pub(super) mounts: Vec<Value>,
}

impl InjectedContainer<'_> {
    /// Adds the container, before the pod's own init containers. A stale or forged one under the same name is replaced by ours.
    pub(super) fn add_to(self, draft: &mut Draft<'_>) {
        let pod = draft.pod;
        let name = self.name;
        draft.init_containers.want(name);
        if pod.spec.containers.iter().any(|container| *container.name == *name) {
            let problem = format!("the pod has a container {name:?} of its own, which is the name of a sidecar");
            draft.notes.deny(Some(name), "spec.containers", problem);
            return;
        }
        draft.add_volume(names::NO_API_TOKEN_VOLUME, &json!({"emptyDir": {"sizeLimit": "1Mi"}}));
        let rendered = render(pod, &draft.volumes, self);
        draft.init_containers.plan(pod, name, rendered);
    }
}

fn render(pod: &Pod<'_>, volumes: &Volumes<'_>, container: InjectedContainer<'_>) -> Value {
    let InjectedContainer {
        name,
        image,
        pull_policy,
        command,
        args,
        ports,
        env,
        startup_probe,
        readiness_probe,
        stays,
        resources: wanted,
        defaults,
        mut mounts,
    } = container;
    let mut container = Map::new();
    container.insert("name".into(), name.into());
    container.insert("image".into(), image.into());
    container.insert("imagePullPolicy".into(), pull_policy.into());
    if stays {
        container.insert("restartPolicy".into(), "Always".into());
    }
    if !command.is_empty() {
        container.insert("command".into(), command.into());
    }
    if !args.is_empty() {
        container.insert("args".into(), args.into());
    }
    if !ports.is_empty() {
        container.insert("ports".into(), ports.into());
    }
    if !env.is_empty() {
        container.insert("env".into(), env.into());
    }
    if let Some(probe) = startup_probe {
        container.insert("startupProbe".into(), probe);
    }
    if let Some(probe) = readiness_probe {
        container.insert("readinessProbe".into(), probe);
    }
    if let Some(resources) = resources(pod, wanted, defaults) {
        container.insert("resources".into(), resources);
    }
    container.insert("securityContext".into(), security_context(pod, volumes));
    mounts.push(json!({"name": names::NO_API_TOKEN_VOLUME, "mountPath": names::API_TOKEN_PATH, "readOnly": true}));
    container.insert("volumeMounts".into(), mounts.into());
    Value::Object(container)
}

/// The Pod Security Standard *restricted*. No `runAsUser` (OpenShift assigns one), except where that would run the
/// sidecar as root, or would take the pod's token files away from its one common user.
fn security_context(pod: &Pod<'_>, volumes: &Volumes<'_>) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let common = common_user(pod, volumes).filter(|user| *user != 0);
    let user = common.or_else(|| (pod.spec.security_context.run_as_user == Some(0)).then_some(NOBODY));
    if let (Some(user), Some(context)) = (user, context.as_object_mut()) {
        context.insert("runAsUser".into(), user.into());
    }
    context
}

/// The one user of all containers, when the kubelet gives it token files that others may not read. It does so only while
/// every container runs as that user and no fsGroup is set.
fn common_user(pod: &Pod<'_>, volumes: &Volumes<'_>) -> Option<i64> {
    let pod_context = &pod.spec.security_context;
    let users: Option<BTreeSet<i64>> = select::all(pod)
        .filter(|(_, container)| !container.name.starts_with(names::NAME_PREFIX))
        .map(|(_, container)| container.security_context.run_as_user.or(pod_context.run_as_user))
        .collect();
    let users = users?;
    let narrow_token = || {
        let mut projected = volumes.found().filter_map(|volume| volume.projected.as_ref());
        projected.any(|Projected { default_mode, sources }| {
            default_mode.is_some_and(|mode| mode & 0o004 == 0)
                && sources.iter().any(|source| source.service_account_token.is_some())
        })
    };
    match (users.len(), pod_context.fs_group) {
        (1, None) if narrow_token() => users.first().copied(),
        _ => None,
    }
}

/// Requests and limits always, so that quotas admit the pod; equal ones where the pod is Guaranteed, so that it stays
/// so; none where the pod has resources of its own as a whole.
fn resources(pod: &Pod<'_>, wanted: Option<&Resources>, defaults: Defaults) -> Option<Value> {
    if pod.spec.resources.is_some_and(|resources| resources.get() != "{}") {
        return None;
    }
    let Resources { requests, limits } = wanted.cloned().unwrap_or_default();
    let (cpu_request, cpu_limit) = bounds(requests.cpu, limits.cpu, defaults.cpu);
    let (least, most) = defaults.memory;
    let (memory_request, memory_limit) = bounds(requests.memory, limits.memory, (least, &most));
    let (cpu, memory) = if is_guaranteed(pod) {
        (&cpu_limit, &memory_limit)
    } else {
        (&cpu_request, &memory_request)
    };
    Some(json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}))
}

/// Request and limit of one resource; a default gives way to what the policy says.
fn bounds(request: Option<String>, limit: Option<String>, (least, most): (&str, &str)) -> (String, String) {
    let larger = |a: String, b: &str| {
        if quantity(&a.as_str().into()) < quantity(&b.into()) {
            b.to_owned()
        } else {
            a
        }
    };
    let smaller = |a: String, b: &str| {
        if quantity(&a.as_str().into()) > quantity(&b.into()) {
            b.to_owned()
        } else {
            a
        }
    };
    match (request, limit) {
        (Some(request), Some(limit)) => (request, limit),
        (Some(request), None) => (request.clone(), larger(request, most)),
        (None, Some(limit)) => (smaller(least.to_owned(), &limit), limit),
        (None, None) => (least.to_owned(), most.to_owned()),
    }
}

/// Whether every container of the pod has equal requests and limits of both resources (the kubelet's QoS rule).
fn is_guaranteed(pod: &Pod<'_>) -> bool {
    select::all(pod)
        .filter(|(_, container)| !container.name.starts_with(names::NAME_PREFIX))
        .all(|(_, container)| {
            ["cpu", "memory"].iter().all(|resource| {
                let amount = |found: &Quantity| quantity(&found.0);
                let limit = container.resources.limits.get(*resource).and_then(amount);
                let request = container.resources.requests.get(*resource).map_or(limit, amount);
                limit.is_some() && request == limit
            })
        })
}
