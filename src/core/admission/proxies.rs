//! Loopback endpoints and HTTP proxies: a client that sends everything through a proxy would send it those too.

use super::draft::{ContainerDraft, Notes};
use super::env::{Given, Known};
use super::finding::Class;
use crate::policy::render;
use std::collections::BTreeSet;

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

/// Longest text of exceptions: some thousand hosts. Each is looked at for every sidecar, and clients read all of them for every call.
const MAX_EXCEPTIONS: usize = 32 << 10;

/// The hosts of our endpoints.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// Lets loopback go past the proxy of a chosen container that has one, when it got a loopback endpoint (`introduced`);
/// otherwise takes back what an earlier injection added.
pub(super) fn except_loopback(target: &mut ContainerDraft<'_>, introduced: bool, notes: &mut Notes) {
    let seen = PROXIES.iter().any(|proxy| target.environment.known(proxy).is_some());
    let needed = introduced && seen;
    if introduced && !seen {
        note_hidden(target, notes);
    }
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

/// How many bytes the proxies of a container and their exceptions are.
pub(super) fn bytes(target: &ContainerDraft<'_>) -> usize {
    let bytes = |name: &&str| match target.environment.known(name) {
        Some(Known::Text(text)) => text.len(),
        Some(Known::Opaque { .. }) | None => 0,
    };
    PROXIES.iter().chain(&EXCEPTIONS).map(bytes).sum()
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
        let hosts = || others(&seen, &ours);
        let missing = |host: &&str| !name_host(hosts(), host);
        env.push((
            name.to_owned(),
            joined(hosts().chain(LOOPBACK.into_iter().filter(missing))),
        ));
    }
    env
}

/// The exceptions in a text that are not ours.
fn others<'t>(text: &'t str, ours: &BTreeSet<String>) -> impl Iterator<Item = &'t str> {
    let all = text.split(',').filter(|host| !host.trim().is_empty());
    all.filter(|host| !ours.contains(host.trim()))
}

/// Whether exceptions name this host, or all.
fn name_host<'t>(mut exceptions: impl Iterator<Item = &'t str>, host: &str) -> bool {
    exceptions.any(|other| matches!(other.trim(), "*") || other.trim() == host)
}

/// One text of all, without a list of them: whoever wrote the pod chose how many there are.
fn joined<'t>(hosts: impl Iterator<Item = &'t str>) -> String {
    let mut text = String::new();
    for host in hosts {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(host);
    }
    text
}

/// The variables by which a container goes to `host` through an HTTP proxy that a process beside it does not take.
pub(super) fn way_to(target: &ContainerDraft<'_>, domain: &str) -> Vec<&'static str> {
    const FOR_HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let known = |name: &str| target.environment.known(name);
    let past = |name: &&str| match known(name) {
        Some(Known::Text(hosts)) => {
            { hosts.split(',').map(str::trim) }.any(|host| host == "*" || host.ends_with(domain))
        }
        Some(Known::Opaque { .. }) | None => false,
    };
    if EXCEPTIONS.iter().any(past) {
        return Vec::new();
    }
    FOR_HTTPS.into_iter().filter(|name| known(name).is_some()).collect()
}

/// A proxy that nobody sees needs exceptions that nobody can add: a new variable would hide those beside it.
fn note_hidden(target: &ContainerDraft<'_>, notes: &mut Notes) {
    let excepted = |name: &&str| {
        matches!(target.environment.known(name), Some(Known::Text(hosts))
            if LOOPBACK.iter().all(|own| name_host(hosts.split(','), own)))
    };
    if let Some(sources) = target.hidden_sources()
        && !EXCEPTIONS.iter().any(excepted)
    {
        let name = target.name();
        let warning = format!(
            "container {name} takes variables from {sources} with envFrom; where an HTTP proxy is among them (HTTP_PROXY, HTTPS_PROXY), NO_PROXY must name {}, or clients send what is for the sidecars to the proxy",
            LOOPBACK.join(" and ")
        );
        notes.warn(Class::Unseen, name, "envFrom", warning);
    }
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
    // What an injection before has added does not count: the second time must end as the first.
    let added: usize = ours.iter().map(|host| host.len() + 1).sum();
    if text.len() > MAX_EXCEPTIONS + added {
        let (container, kib) = (target.name(), MAX_EXCEPTIONS >> 10);
        let problem = format!(
            "{name} of container {container:?} has more than {kib} KiB; name domains or networks in place of single hosts"
        );
        notes.deny(Some(container), name, problem);
        return;
    }
    // What references resolve to counts too.
    let seen = match target.environment.known(name) {
        Some(Known::Text(seen)) => seen.to_string(),
        _ => String::new(),
    };
    let named = |host: &str| name_host(seen.split(','), host);
    let missing: Vec<&str> = LOOPBACK
        .into_iter()
        .filter(|host| needed && (ours.contains(*host) || !named(host)))
        .collect();
    if missing.is_empty() && ours.is_empty() {
        return;
    }
    let entry = render::literal(name, &joined(others(text, &ours).chain(missing.iter().copied())));
    if missing.is_empty() {
        target.restore_env(name, entry, notes);
    } else {
        let missing = missing.into_iter().map(str::to_owned).collect();
        target.set_env(name, entry, notes);
        target.note_within(name, missing);
    }
}
