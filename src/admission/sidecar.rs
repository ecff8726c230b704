//! Credential sidecars: native sidecars under rules that keep the pod's own behaviour as it was.

use super::draft::{self, Draft};
use super::ours::is_ours;
use super::pod::{Pod, Projected, Quantity, Volume};
use super::proxies;
use super::render;
use super::select;
use crate::api::{PolicySpec, Resources, Sidecar, Transport};
use crate::names;
use crate::quantity::thousandths as quantity;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const MCP_URLS: &str = "CREDENTIAL_MCP_URLS";
const SIDECAR_MODE: &str = "CREDENTIAL_SIDECAR_MODE";
const CREDENTIAL_IDS: &str = "CREDENTIAL_IDS";

/// The user of our own images, where the pod would make them run as root.
const NOBODY: i64 = 65532;

/// Plans all sidecars of the policy, in order, before the pod's own init containers.
pub(super) fn plan(draft: &mut Draft<'_>, spec: &PolicySpec) {
    for sidecar in &spec.sidecars {
        let unit = format!("sidecars[{}]", sidecar.name);
        let detail = format!(
            "container {}{} on port {}",
            names::PIECE_PREFIX,
            sidecar.name,
            sidecar.port
        );
        draft.unit(&unit, detail, |draft| plan_container(draft, sidecar));
    }
    let endpoints: Vec<(&str, String)> = spec
        .sidecars
        .iter()
        .filter_map(|sidecar| Some((sidecar.mcp_key.as_deref()?, endpoint(sidecar))))
        .collect();
    let plan = |draft: &mut Draft<'_>| {
        for container in 0..draft.containers.len() {
            if let Err(problem) = register(draft, container, &endpoints) {
                draft.problems.push(problem);
            }
        }
    };
    if endpoints.is_empty() {
        plan(draft);
    } else {
        draft.unit("mcpUrls", format!("{MCP_URLS} and {SIDECAR_MODE}"), plan);
    }
    for container in 0..draft.containers.len() {
        proxies::except_loopback(draft, container, !spec.sidecars.is_empty());
    }
}

/// Where a sidecar's MCP server is. Runners append `/sse` for SSE themselves.
fn endpoint(sidecar: &Sidecar) -> String {
    let path = match (&sidecar.path, sidecar.transport) {
        (Some(path), _) => path.trim_end_matches('/'),
        (None, Transport::SSE) => "",
        (None, Transport::StreamableHTTP) => "/mcp",
    };
    format!("http://localhost:{}{path}", sidecar.port)
}

fn plan_container(draft: &mut Draft<'_>, sidecar: &Sidecar) {
    let pod = draft.pod;
    let name = format!("{}{}", names::PIECE_PREFIX, sidecar.name);
    draft.wanted_containers.insert(name.clone());
    let temporary = format!("{}tmp-{}", names::PIECE_PREFIX, sidecar.name);
    if pod.spec.containers.iter().any(|container| *container.name == *name) {
        draft.problems.push(format!(
            "the pod has a container {name:?} of its own, which is the name of a sidecar"
        ));
        return;
    }
    let port = i64::from(sidecar.port);
    // Init containers under our prefix are brought up to date or removed, and the ports of the policy's are distinct.
    let others = select::all(pod).filter(|(place, container)| !select::is_ours(*place, container));
    let user = { others }.find(|(_, container)| container.ports.iter().any(|p| p.container_port == port));
    if let Some((_, user)) = user {
        draft.problems.push(format!(
            "sidecar {:?} wants port {port}, which container {:?} uses",
            sidecar.name, &*user.name
        ));
    }
    draft.add_volume(&temporary, &json!({"emptyDir": {"sizeLimit": "16Mi"}}));
    draft.add_volume(names::NO_API_TOKEN_VOLUME, &json!({"emptyDir": {"sizeLimit": "1Mi"}}));
    let rendered = container(pod, sidecar, &name, &temporary);
    let variables = sidecar.env.iter().map(|var| format!("{name}/{}", var.name));
    draft.sidecar_env.extend(variables);
    let found = pod
        .spec
        .init_containers
        .iter()
        .position(|container| *container.name == *name);
    match found {
        None => {
            draft.init_edits.prepend.push(rendered);
            draft.change_container("add", &name);
        }
        Some(i) if is_rendering(pod, i, &name, &rendered) => {}
        Some(i) => {
            draft.init_edits.replace.insert(i, rendered);
            draft.change_container("replace", &name);
        }
    }
}

fn container(pod: &Pod<'_>, sidecar: &Sidecar, name: &str, temporary: &str) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), name.into());
    container.insert("image".into(), sidecar.image.as_str().into());
    container.insert("imagePullPolicy".into(), "IfNotPresent".into());
    container.insert("restartPolicy".into(), "Always".into());
    if !sidecar.command.is_empty() {
        container.insert("command".into(), sidecar.command.clone().into());
    }
    if !sidecar.args.is_empty() {
        container.insert("args".into(), sidecar.args.clone().into());
    }
    container.insert(
        "ports".into(),
        json!([{"containerPort": sidecar.port, "protocol": "TCP"}]),
    );
    if !sidecar.env.is_empty() {
        container.insert("env".into(), sidecar.env.iter().map(render::env).collect());
    }
    if let Some(resources) = resources(pod, sidecar) {
        container.insert("resources".into(), resources);
    }
    container.insert("securityContext".into(), security_context(pod));
    container.insert(
        "volumeMounts".into(),
        json!([
            {"name": temporary, "mountPath": "/tmp"},
            {"name": names::NO_API_TOKEN_VOLUME, "mountPath": names::API_TOKEN_PATH, "readOnly": true},
        ]),
    );
    Value::Object(container)
}

/// The Pod Security Standard *restricted*. No `runAsUser` (OpenShift assigns one), except where that would run the
/// sidecar as root, or would take the pod's token files away from its one common user.
fn security_context(pod: &Pod<'_>) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let common = common_user(pod).filter(|user| *user != 0);
    let user = common.or_else(|| (pod.spec.security_context.run_as_user == Some(0)).then_some(NOBODY));
    if let (Some(user), Some(context)) = (user, context.as_object_mut()) {
        context.insert("runAsUser".into(), user.into());
    }
    context
}

/// The one user of all containers, when the kubelet gives it token files that others may not read. It does so only while
/// every container runs as that user and no fsGroup is set.
fn common_user(pod: &Pod<'_>) -> Option<i64> {
    let pod_context = &pod.spec.security_context;
    let users: Option<BTreeSet<i64>> = select::all(pod)
        .filter(|(_, container)| !container.name.starts_with(names::PIECE_PREFIX))
        .map(|(_, container)| container.security_context.run_as_user.or(pod_context.run_as_user))
        .collect();
    let users = users?;
    let narrow_token = || {
        pod.spec
            .volumes
            .iter()
            .filter_map(|raw| serde_json::from_str::<Volume<'_>>(raw.get()).ok())
            .any(|volume| {
                volume.projected.is_some_and(|Projected { default_mode, sources }| {
                    default_mode.is_some_and(|mode| mode & 0o004 == 0)
                        && sources.iter().any(|source| source.contains_key("serviceAccountToken"))
                })
            })
    };
    match (users.len(), pod_context.fs_group) {
        (1, None) if narrow_token() => users.first().copied(),
        _ => None,
    }
}

/// Requests and limits always, so that quotas admit the pod; equal ones where the pod is Guaranteed, so that it stays
/// so; none where the pod has resources of its own as a whole.
fn resources(pod: &Pod<'_>, sidecar: &Sidecar) -> Option<Value> {
    if pod.spec.resources.is_some_and(|resources| resources.get() != "{}") {
        return None;
    }
    let Resources { requests, limits } = sidecar.resources.clone().unwrap_or_default();
    let (cpu_request, cpu_limit) = bounds(requests.cpu, limits.cpu, "50m", "500m");
    let (memory_request, memory_limit) = bounds(requests.memory, limits.memory, "64Mi", "256Mi");
    let (cpu, memory) = if is_guaranteed(pod) {
        (&cpu_limit, &memory_limit)
    } else {
        (&cpu_request, &memory_request)
    };
    Some(json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}))
}

/// Request and limit of one resource; a default gives way to what the policy says.
fn bounds(request: Option<String>, limit: Option<String>, least: &str, most: &str) -> (String, String) {
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
        .filter(|(_, container)| !container.name.starts_with(names::PIECE_PREFIX))
        .all(|(_, container)| {
            ["cpu", "memory"].iter().all(|resource| {
                let amount = |found: &Quantity| quantity(&found.0);
                let limit = container.resources.limits.get(*resource).and_then(amount);
                let request = container.resources.requests.get(*resource).map_or(limit, amount);
                limit.is_some() && request == limit
            })
        })
}

/// Merges the endpoints into the agent's registry without touching what is there, except what an earlier injection put
/// there.
fn register(draft: &mut Draft<'_>, container: usize, endpoints: &[(&str, String)]) -> Result<(), String> {
    let Some(target) = draft.containers.get(container) else {
        return Ok(());
    };
    let ours = target.previous_within(MCP_URLS);
    if endpoints.is_empty() && ours.is_empty() {
        return Ok(());
    }
    let name = target.name();
    let literal = |variable: &str| match target.environment.given(variable) {
        None => Ok(None),
        Some(super::env::Given::Literal(text)) if text.trim().is_empty() => Ok(None),
        Some(super::env::Given::Literal(text)) => Ok(Some(text.to_string())),
        Some(super::env::Given::From { .. }) => Err(format!(
            "container {name:?} takes {variable} from a valueFrom, into which nothing can be merged; give it a value"
        )),
    };
    let found = literal(MCP_URLS)?;
    let mut urls = match &found {
        None => Map::new(),
        Some(text) => strings(text).ok_or_else(|| {
            format!("{MCP_URLS} of container {name:?} is not a JSON object of strings, so nothing can be added to it; correct or remove it")
        })?,
    };
    let before = urls.clone();
    urls.retain(|key, _| !ours.contains(key));
    let mut merged = Vec::new();
    for (key, url) in endpoints {
        match urls.get(*key).and_then(Value::as_str) {
            Some(found) if found == url => {}
            Some(_) => {
                return Err(format!(
                    "{MCP_URLS} of container {name:?} has another URL under {key:?}; choose another mcpKey for the sidecar"
                ));
            }
            None => {
                urls.insert((*key).to_owned(), url.as_str().into());
                merged.push((*key).to_owned());
            }
        }
    }
    let text = match found {
        // As it was written, spaces and all.
        Some(text) if urls == before => text,
        _ => Value::Object(urls.clone()).to_string(),
    };
    if endpoints.is_empty() {
        // What is left was merged with ours and stays; nothing left means that the variable goes.
        if !urls.is_empty() {
            draft.restore_env(container, MCP_URLS, render::literal(MCP_URLS, &text));
        }
        return Ok(());
    }
    if let Some(text) = literal(CREDENTIAL_IDS)? {
        let bound = strings(&text).ok_or_else(|| {
            format!("{CREDENTIAL_IDS} of container {name:?} is not a JSON object of strings; correct or remove it")
        })?;
        let rest: Vec<&str> = bound
            .keys()
            .map(String::as_str)
            .filter(|provider| !urls.contains_key(*provider))
            .collect();
        if !rest.is_empty() {
            return Err(format!(
                "container {name:?} is bound to {} without a sidecar, and {SIDECAR_MODE} would keep it from fetching those credentials itself; add sidecars for them",
                rest.join(", ")
            ));
        }
    }
    draft.set_env(container, MCP_URLS, render::literal(MCP_URLS, &text));
    draft.set_env(container, SIDECAR_MODE, render::literal(SIDECAR_MODE, "true"));
    draft.note_within(container, MCP_URLS, merged);
    Ok(())
}

/// A JSON object of strings.
fn strings(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) if object.values().all(Value::is_string) => Some(object),
        _ => None,
    }
}

/// Whether the init container at a position is our rendering. Others may add mounts and variables, but not of our
/// volumes, and not those that an earlier rendering had.
fn is_rendering(pod: &Pod<'_>, index: usize, name: &str, rendered: &Value) -> bool {
    let Some(found) = pod.init_container(index) else {
        return false;
    };
    let added = |list: &str, key: &str| -> BTreeSet<String> {
        let names = |container: &Value| -> BTreeSet<String> {
            let entries = container.get(list).and_then(Value::as_array).into_iter().flatten();
            entries
                .filter_map(|entry| Some(entry.get(key)?.as_str()?.to_owned()))
                .collect()
        };
        names(&found).difference(&names(rendered)).cloned().collect()
    };
    is_ours(&found, rendered)
        && !added("volumeMounts", "name")
            .iter()
            .any(|volume| volume.starts_with(names::PIECE_PREFIX))
        && draft::previous(pod, name).is_disjoint(&added("env", "name"))
}
