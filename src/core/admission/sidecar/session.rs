//! What a credential sidecar takes over from the agent: how to reach the world (proxies), and for Ambient's
//! exchange who this session is. An incomplete set is denied, because a sidecar without it could only fail.

use super::registry::{CREDENTIAL_IDS, strings};
use crate::admission::draft::{ContainerDraft, Notes};
use crate::admission::env::Known;
use crate::admission::proxies;
use crate::allowed::{Listed, PlainHttp};
use crate::host::Url;
use crate::policy::{Sidecar, Source, render};
use serde_json::{Value, json};

/// Variables of the exchange and those of the agent that hold their values, the first that is there.
const EXCHANGE: [(&str, &[&str]); 4] = [
    ("SESSION_ID", &["SESSION_ID"]),
    ("AMBIENT_API_URL", &["AMBIENT_API_URL", "BACKEND_API_URL"]),
    ("AMBIENT_CP_TOKEN_URL", &["AMBIENT_CP_TOKEN_URL"]),
    ("AMBIENT_CP_TOKEN_PUBLIC_KEY", &["AMBIENT_CP_TOKEN_PUBLIC_KEY"]),
];

/// Most bytes of all that one sidecar takes over. Each has its own copy.
const MAX_TEXT: usize = 64 << 10;

/// Entries for the sidecar's container.
#[derive(Default)]
pub(super) struct TakenOver {
    pub(super) env: Vec<Value>,
    /// Hosts that may have a token, `HOST:PORT`.
    pub(super) hosts: Vec<Listed>,
}

/// The proxies of the agent, which all sidecars take over.
pub(super) struct Proxies {
    /// How long they are in the agent.
    bytes: usize,
    /// Names and values; none of those that are too long.
    env: Vec<(String, String)>,
}

impl Proxies {
    /// Those of a container.
    pub(super) fn of(agent: &ContainerDraft<'_>) -> Self {
        let bytes = proxies::bytes(agent);
        let env = if bytes > MAX_TEXT {
            Vec::new()
        } else {
            proxies::for_sidecar(agent)
        };
        Self { bytes, env }
    }
}

/// Takes over what this sidecar needs from the agent, which is the first chosen container.
pub(super) fn take_over(
    agent: &ContainerDraft<'_>,
    proxies: &Proxies,
    sidecar: &Sidecar,
    notes: &mut Notes,
) -> TakenOver {
    let mut taken = TakenOver::default();
    match sidecar.wrapper().map(|wrapper| (&wrapper.source, wrapper.plain_http)) {
        None | Some((Source::Secret { .. }, _)) => {}
        Some((Source::Http { host, .. }, _)) => taken.hosts.push(host.clone()),
        Some((Source::AmbientExchange { provider, hosts }, plain_http)) => {
            exchange(agent, &sidecar.name, (provider, hosts, plain_http), &mut taken, notes);
        }
    }
    let is_own = |name: &str| sidecar.env.iter().any(|own| own.name == name);
    for (name, value) in &proxies.env {
        if !is_own(name) {
            taken.env.push(render::literal(name, &escaped(value)));
        }
    }
    let own = proxies.bytes;
    let texts = taken.env.iter().filter_map(|entry| entry.get("value")?.as_str());
    if own + texts.map(str::len).sum::<usize>() > 2 * MAX_TEXT || own > MAX_TEXT {
        let (container, kib) = (agent.name(), MAX_TEXT >> 10);
        let problem = format!(
            "sidecar {:?} would take over more than {kib} KiB of variables from container {container:?} (proxies, certificates, its session); shorten them",
            sidecar.name
        );
        notes.deny(Some(container), "env", problem);
        return TakenOver::default();
    }
    taken
}

fn exchange(
    agent: &ContainerDraft<'_>,
    name: &str,
    (provider, hosts, plain_http): (&str, &[Listed], PlainHttp),
    taken: &mut TakenOver,
    notes: &mut Notes,
) {
    let container = agent.name();
    let text = |variable: &str| match agent.environment.known(variable) {
        Some(Known::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let mut deny = |variable: &str, text: String| notes.deny(Some(container), variable, text);
    let mut missing = Vec::new();
    for (variable, sources) in EXCHANGE {
        let Some(value) = sources.iter().find_map(|source| text(source)) else {
            missing.push(sources.join(" or "));
            continue;
        };
        if variable.ends_with("_URL") {
            match value.parse::<Url>() {
                Ok(url) if let Err(problem) = plain_http.check(&url) => {
                    deny(variable, format!("{variable} of container {container:?} {problem}"));
                }
                Ok(url) if hosts.iter().any(|listed| listed.covers(&url)) => match host_of(&url).parse() {
                    Ok(host) if taken.hosts.contains(&host) => {}
                    Ok(host) => taken.hosts.push(host),
                    Err(problem) => deny(
                        variable,
                        format!("{variable} of container {container:?} leads to a host that {problem}"),
                    ),
                },
                Ok(url) => deny(
                    variable,
                    format!(
                        "{variable} of container {container:?} leads to {}, which is not on the operator's list of credentialHosts, so sidecar {name:?} may not send a token there",
                        host_of(&url)
                    ),
                ),
                Err(problem) => deny(variable, format!("{variable} of container {container:?} {problem}")),
            }
        }
        taken.env.push(render::literal(variable, &escaped(&value)));
    }
    let ids = text(CREDENTIAL_IDS);
    match ids.as_deref().map(strings) {
        Some(Some(ids)) => match ids.get(provider) {
            Some(id) => taken.env.push(render::literal(
                CREDENTIAL_IDS,
                &escaped(&json!({provider: id}).to_string()),
            )),
            None => missing.push(format!("{CREDENTIAL_IDS} with {provider:?}")),
        },
        Some(None) => deny(
            CREDENTIAL_IDS,
            format!(
                "{CREDENTIAL_IDS} of container {container:?} is not a JSON object of strings (of at most 32 KiB); correct or remove it"
            ),
        ),
        None => missing.push(CREDENTIAL_IDS.to_owned()),
    }
    if !missing.is_empty() {
        deny(
            "env",
            format!(
                "sidecar {name:?} needs for ambientExchange what container {container:?} lacks as a literal value: {}; without it no credential can be fetched",
                missing.join(", ")
            ),
        );
    }
}

/// `HOST:PORT`, whatever the URL leaves out.
fn host_of(url: &Url) -> String {
    format!("{}:{}", url.host(), url.port())
}

/// A literal that the kubelet does not expand: the references in it are resolved already.
pub(super) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
