//! Loopback endpoints and HTTP proxies: a client that sends everything through a proxy would send it those too.

use super::draft::{ContainerDraft, Notes};
use super::env::{Given, Known};
use super::finding::Class;
use crate::policy::render;

/// Variables that name a proxy.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Variables that name what goes past it. Clients differ in which they read, and the lower-case one hides the other.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The hosts of our endpoints.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// Lets loopback go past the proxy of a chosen container that has one, when it got a loopback endpoint (`introduced`);
/// otherwise takes back what an earlier injection added.
pub(super) fn except_loopback(target: &mut ContainerDraft<'_>, introduced: bool, notes: &mut Notes) {
    let needed = introduced && PROXIES.iter().any(|proxy| target.environment.known(proxy).is_some());
    // A pod's own exceptions are extended where they are; a new variable would hide them from clients that prefer it.
    let own: Vec<&'static str> = EXCEPTIONS.into_iter().filter(|name| is_own(target, name)).collect();
    if own.is_empty() && needed {
        for name in EXCEPTIONS {
            target.set_env(name, render::literal(name, &LOOPBACK.join(",")), notes);
        }
    }
    for name in own {
        extend(target, name, needed, notes);
    }
}

/// The proxies of a container with their exceptions, loopback among them, for a sidecar that calls the world as the container
/// does. The same before and after an injection.
pub(super) fn for_sidecar(target: &ContainerDraft<'_>) -> Vec<(String, String)> {
    let text = |name: &str| match target.environment.known(name) {
        Some(Known::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let mut env: Vec<(String, String)> = PROXIES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), text(name)?)))
        .collect();
    if env.is_empty() {
        return env;
    }
    let own: Vec<&str> = EXCEPTIONS.into_iter().filter(|name| is_own(target, name)).collect();
    if own.is_empty() {
        env.extend(EXCEPTIONS.map(|name| (name.to_owned(), LOOPBACK.join(","))));
    }
    for name in own {
        let ours = target.previous_within(name);
        let seen = text(name).unwrap_or_default();
        let mut hosts: Vec<&str> = seen.split(',').filter(|host| !ours.contains(host.trim())).collect();
        hosts.retain(|host| !host.trim().is_empty());
        let everything = hosts.iter().any(|host| host.trim() == "*");
        for host in LOOPBACK {
            if !everything && !hosts.iter().any(|other| other.trim() == host) {
                hosts.push(host);
            }
        }
        env.push((name.to_owned(), hosts.join(",")));
    }
    env
}

/// Whether exceptions are the container's own, be it that we have extended them.
fn is_own(target: &ContainerDraft<'_>, name: &str) -> bool {
    let added = target.is_previous(name) && target.previous_within(name).is_empty();
    !added && target.environment.given(name).is_some()
}

fn extend(target: &mut ContainerDraft<'_>, name: &'static str, needed: bool, notes: &mut Notes) {
    let ours = target.previous_within(name);
    let Some(Given::Literal(text)) = target.environment.given(name) else {
        if needed {
            let warning = format!(
                "container {} takes {name} from a valueFrom; it must name {}, or clients send what is for the sidecars to the proxy",
                target.name(),
                LOOPBACK.join(" and ")
            );
            notes.warn(Class::Unseen, target.name(), name, warning);
        }
        return;
    };
    let own: Vec<&str> = text.split(',').filter(|host| !ours.contains(host.trim())).collect();
    // What references resolve to counts too.
    let seen = match target.environment.known(name) {
        Some(Known::Text(seen)) => seen.to_string(),
        _ => String::new(),
    };
    let named = |host: &str| {
        seen.split(',')
            .any(|other| matches!(other.trim(), "*") || other.trim() == host)
    };
    let missing: Vec<&str> = LOOPBACK
        .into_iter()
        .filter(|host| needed && (ours.contains(*host) || !named(host)))
        .collect();
    if missing.is_empty() && ours.is_empty() {
        return;
    }
    let all: Vec<&str> = own
        .iter()
        .copied()
        .filter(|host| !host.trim().is_empty())
        .chain(missing.iter().copied())
        .collect();
    let entry = render::literal(name, &all.join(","));
    if missing.is_empty() {
        target.restore_env(name, entry, notes);
    } else {
        let missing = missing.into_iter().map(str::to_owned).collect();
        target.set_env(name, entry, notes);
        target.note_within(name, missing);
    }
}
