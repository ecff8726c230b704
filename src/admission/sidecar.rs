//! Credential sidecars: native sidecars under rules that keep the pod's own behaviour as it was.

use super::draft::Draft;
use super::native::{self, Defaults, Native};
use super::render;
use crate::api::{PolicySpec, Sidecar, Transport};
use crate::names;
use serde_json::{Map, Value, json};

const MCP_URLS: &str = "CREDENTIAL_MCP_URLS";
const SIDECAR_MODE: &str = "CREDENTIAL_SIDECAR_MODE";
const CREDENTIAL_IDS: &str = "CREDENTIAL_IDS";

const DEFAULTS: Defaults = Defaults {
    cpu: ("50m", "500m"),
    memory: ("64Mi", "256Mi"),
};

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
    let name = format!("{}{}", names::PIECE_PREFIX, sidecar.name);
    let temporary = format!("{}tmp-{}", names::PIECE_PREFIX, sidecar.name);
    if let Some(user) = native::user_of_port(draft.pod, sidecar.port) {
        draft.problems.push(format!(
            "sidecar {:?} wants port {}, which container {user:?} uses",
            sidecar.name, sidecar.port
        ));
    }
    draft.add_volume(&temporary, &json!({"emptyDir": {"sizeLimit": "16Mi"}}));
    let native = Native {
        name: &name,
        image: &sidecar.image,
        pull_policy: "IfNotPresent",
        command: sidecar.command.iter().map(String::as_str).collect(),
        args: sidecar.args.iter().map(String::as_str).collect(),
        ports: vec![json!({"containerPort": sidecar.port, "protocol": "TCP"})],
        env: sidecar.env.iter().map(render::env).collect(),
        startup_probe: None,
        resources: sidecar.resources.as_ref(),
        defaults: DEFAULTS,
        mounts: vec![json!({"name": temporary, "mountPath": "/tmp"})],
        sealed: false,
    };
    native::plan(draft, native);
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
