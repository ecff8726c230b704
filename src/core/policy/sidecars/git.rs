//! Git through a sidecar: hosts that each one sidecar serves, and what may be done there.

use super::filled::Filled;
use crate::git::config::GitHost;
use crate::git::rules::Rule;
use crate::policy::errors::{Checked, Errors, all, parsed};
use crate::policy::text::Port;
use std::collections::HashMap;

/// The git proxy of a sidecar.
#[derive(Debug)]
pub struct Git {
    /// Hosts that the credential is for.
    pub hosts: Vec<GitHost>,
    /// What is let through.
    pub allow: Vec<Rule>,
    /// Its port; otherwise one that is free.
    pub port: Option<Port>,
}

/// The hosts of all sidecars, with the fields that name them.
pub(super) type Hosts = HashMap<String, String>;

pub(super) fn compile(
    whole: &Filled<'_>,
    sidecars: &[Filled<'_>],
    served: &mut Hosts,
    field: &str,
    errors: &mut Errors,
) -> Checked<Option<Git>> {
    let Some(git) = &whole.sidecar.git else { return Ok(None) };
    let own: Vec<&str> = match (git.hosts.as_slice(), whole.known) {
        ([], Some(known)) => known.git_hosts.to_vec(),
        (hosts, _) => hosts.iter().map(String::as_str).collect(),
    };
    if own.is_empty() {
        errors.add(
            format!("{field}.hosts"),
            "needed: only the presets github and gitlab have a host of their own",
        );
    }
    let mut known = Vec::new();
    let hosts = all(own.iter().enumerate().map(|(i, text)| {
        let field = format!("{field}.hosts[{i}]");
        let host: GitHost = parsed(text, &field, errors)?;
        if let Some(other) = served.insert(host.to_string(), field.clone()) {
            errors.add(field, format!("{text:?} is served by {other} already"));
        }
        known.push(host.clone());
        Ok(host)
    }));
    let allow = all(git.allow.iter().enumerate().map(|(i, rule)| {
        let field = format!("{field}.allow[{i}].repositories");
        let repositories = &rule.repositories;
        let host = repositories.split('/').next().unwrap_or_default();
        if !host.parse().is_ok_and(|host: GitHost| known.contains(&host)) {
            let hosts = own.join(", ");
            errors.add(
                &*field,
                format!("{repositories:?} does not begin with one of the hosts [{hosts}]"),
            );
        }
        { rule.flag().parse::<Rule>() }
            .map_err(|problem| errors.add(field, format!("{repositories:?} cannot be a rule: {problem}")))
    }));
    check_idle(&known, &git.allow, field, errors);
    let port = git
        .port
        .map(|port| check_port(port, sidecars, &format!("{field}.port"), errors));
    Ok(Some(Git {
        hosts: hosts?,
        allow: allow?,
        port: port.transpose()?,
    }))
}

/// A host without a rule is one where nothing could be done.
fn check_idle(hosts: &[GitHost], allow: &[crate::api::GitRule], field: &str, errors: &mut Errors) {
    let first = |rule: &crate::api::GitRule| rule.repositories.split('/').next()?.parse::<GitHost>().ok();
    let used: Vec<GitHost> = allow.iter().filter_map(first).collect();
    for (i, host) in hosts.iter().enumerate() {
        if !used.contains(host) {
            errors.add(
                format!("{field}.hosts[{i}]"),
                format!("\"{host}\" has no rule in allow, so nothing could be done there; add {{repositories: {host}/OWNER/REPO, services: [Fetch]}}"),
            );
        }
    }
}

fn check_port(port: i32, sidecars: &[Filled<'_>], field: &str, errors: &mut Errors) -> Checked<Port> {
    let parsed = Port::parse(port, field, errors)?;
    parsed.check_agents(field, errors);
    if let Some(other) = sidecars.iter().find(|other| other.fixed == Some(port)) {
        let name = other.name.unwrap_or_default();
        errors.add(field, format!("{port} is the port of sidecar {name:?} already"));
    }
    let same = |other: &&Filled<'_>| other.sidecar.git.as_ref().and_then(|git| git.port) == Some(port);
    if sidecars.iter().filter(same).count() > 1 {
        errors.add(
            field,
            format!("{port} is the port of two git proxies; they must differ"),
        );
    }
    Ok(parsed)
}
