//! `CREDENTIAL_MCP_URLS`: how Ambient's runners learn of the sidecars. What is there is never clobbered.

use crate::admission::decision::UnitState;
use crate::admission::draft::{ContainerDraft, Draft, Notes};
use crate::admission::env::Given;
use crate::admission::finding::Finding;
use crate::policy::render;
use serde_json::{Map, Value};

/// JSON object of strings: keys and where their endpoints are.
pub(super) const MCP_URLS: &str = "CREDENTIAL_MCP_URLS";

/// Keeps a runner from fetching credentials itself, with the exact value `true`.
const SIDECAR_MODE: &str = "CREDENTIAL_SIDECAR_MODE";

/// JSON object of strings: the providers that a session is bound to, and the ids of their credentials.
pub(super) const CREDENTIAL_IDS: &str = "CREDENTIAL_IDS";

/// The provider of models, whose credential no sidecar serves: the policy's `vertex` does.
const VERTEX: &str = "vertex";

/// Plans both variables in every chosen container.
pub(super) fn plan_registry(draft: &mut Draft<'_>, endpoints: &[(String, String)]) {
    let vertex = { draft.notes.units.iter() }.any(|unit| unit.name == VERTEX && unit.state != UnitState::Skipped);
    let plan = |draft: &mut Draft<'_>| {
        for target in &mut draft.containers {
            let planned = register(target, endpoints, vertex, &mut draft.notes);
            draft.notes.check(planned);
        }
    };
    if endpoints.is_empty() {
        plan(draft);
    } else {
        draft.unit("mcpUrls", format!("{MCP_URLS} and {SIDECAR_MODE}"), plan);
    }
}

/// Merges the endpoints into the agent's registry without touching what is there, except what an earlier injection put
/// there.
fn register(
    target: &mut ContainerDraft<'_>,
    endpoints: &[(String, String)],
    vertex: bool,
    notes: &mut Notes,
) -> Result<(), Finding> {
    let ours = target.previous_within(MCP_URLS);
    if endpoints.is_empty() && ours.is_empty() {
        return Ok(());
    }
    let name = target.name();
    let problem = |variable: &str, text: String| Finding::conflict(Some(name), variable, text);
    let literal = |variable: &str| match target.environment.given(variable) {
        None => Ok(None),
        Some(Given::Literal(text)) if text.trim().is_empty() => Ok(None),
        Some(Given::Literal(text)) => Ok(Some(text.to_string())),
        Some(Given::From { .. }) => Err(problem(
            variable,
            format!(
                "container {name:?} takes {variable} from a valueFrom, into which nothing can be merged; give it a value"
            ),
        )),
    };
    let found = literal(MCP_URLS)?;
    let mut urls = match &found {
        None => Map::new(),
        Some(text) => strings(text).ok_or_else(|| {
            let text = format!("{MCP_URLS} of container {name:?} is not a JSON object of strings (of at most 32 KiB), so nothing can be added to it; correct or remove it");
            problem(MCP_URLS, text)
        })?,
    };
    let before = urls.clone();
    urls.retain(|key, _| !ours.contains(key));
    let mut merged = Vec::new();
    for (key, url) in endpoints {
        match urls.get(key).and_then(Value::as_str) {
            Some(found) if found == url => {}
            Some(_) => {
                let text = format!(
                    "{MCP_URLS} of container {name:?} has another URL under {key:?}; choose another mcpKey for the sidecar"
                );
                return Err(problem(MCP_URLS, text));
            }
            None => {
                urls.insert(key.clone(), url.as_str().into());
                merged.push(key.clone());
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
            target.restore_env(MCP_URLS, render::literal(MCP_URLS, &text), notes);
        }
        return Ok(());
    }
    if let Some(text) = literal(CREDENTIAL_IDS)? {
        let bound = strings(&text).ok_or_else(|| {
            let text =
                format!("{CREDENTIAL_IDS} of container {name:?} is not a JSON object of strings (of at most 32 KiB); correct or remove it");
            problem(CREDENTIAL_IDS, text)
        })?;
        let rest: Vec<&str> = bound
            .keys()
            .map(String::as_str)
            .filter(|provider| !(urls.contains_key(*provider) || vertex && *provider == VERTEX))
            .collect();
        if !rest.is_empty() {
            let text = format!(
                "container {name:?} is bound to {} without a sidecar, and {SIDECAR_MODE} would keep it from fetching those credentials itself; add sidecars for them",
                rest.join(", ")
            );
            return Err(problem(CREDENTIAL_IDS, text));
        }
    }
    target.set_env(MCP_URLS, render::literal(MCP_URLS, &text), notes);
    target.set_env(SIDECAR_MODE, render::literal(SIDECAR_MODE, "true"), notes);
    target.note_within(MCP_URLS, merged);
    Ok(())
}

/// Longest text that is read as an object.
const MAX_OBJECT: usize = 32 << 10;

/// A JSON object of strings.
pub(super) fn strings(text: &str) -> Option<Map<String, Value>> {
    if text.len() > MAX_OBJECT {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) if object.values().all(Value::is_string) => Some(object),
        _ => None,
    }
}
