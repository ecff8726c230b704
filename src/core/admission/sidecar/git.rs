//! Sends the agent's git to the sidecars' proxies, by configuration in variables that is added to what the pod has.

use crate::admission::draft::{ContainerDraft, Draft, Notes};
use crate::admission::env::Given;
use crate::admission::finding::Finding;
use crate::admission::ports::PlacedSidecar;
use crate::git::config::{COUNT, GitHost, KEY, MAX_PAIRS, git_config_env, is_owned};
use crate::policy::render;
use std::collections::BTreeMap;

/// Plans the variables of every chosen container.
pub(super) fn plan_git(draft: &mut Draft<'_>, placed: &[PlacedSidecar<'_>]) {
    let proxy = |placed: &PlacedSidecar<'_>| {
        let git = placed.sidecar.wrapper()?.git.as_ref()?;
        Some((placed.git?, git.hosts.clone()))
    };
    let proxies: Vec<(u16, Vec<GitHost>)> = placed.iter().filter_map(proxy).collect();
    let plan = |draft: &mut Draft<'_>| {
        for target in &mut draft.containers {
            let planned = configure(target, &proxies, &mut draft.notes);
            draft.notes.check(planned);
        }
    };
    if proxies.is_empty() {
        plan(draft);
    } else {
        let hosts: Vec<String> = proxies
            .iter()
            .flat_map(|(_, hosts)| hosts)
            .map(GitHost::to_string)
            .collect();
        draft.unit(
            "git",
            format!("git with {} goes through the sidecars", hosts.join(", ")),
            plan,
        );
    }
}

fn configure(
    target: &mut ContainerDraft<'_>,
    proxies: &[(u16, Vec<GitHost>)],
    notes: &mut Notes,
) -> Result<(), Finding> {
    let had = target.is_previous(COUNT);
    if proxies.is_empty() && !had {
        return Ok(());
    }
    let name = target.name();
    let own = own_configuration(target)?;
    let mut whole = own.clone();
    for (port, hosts) in proxies {
        let added = git_config_env(|name| whole.get(name).map(String::as_str), *port, hosts)
            .map_err(|problem| Finding::conflict(Some(name), COUNT, format!("container {name:?}: {problem}")))?;
        whole.extend(added);
    }
    if proxies.is_empty() {
        if let Some(count) = own.get(COUNT) {
            target.restore_env(COUNT, render::literal(COUNT, count), notes);
        }
        return Ok(());
    }
    for (variable, value) in &whole {
        if own.get(variable) != Some(value) {
            target.set_env(variable, render::literal(variable, value), notes);
        }
    }
    Ok(())
}

/// The configuration of the pod's own: without what an earlier injection added, and with the count that it had.
fn own_configuration(target: &ContainerDraft<'_>) -> Result<BTreeMap<String, String>, Finding> {
    let mut own = BTreeMap::new();
    for name in target.environment.positions_of(is_owned).into_keys() {
        if name != COUNT && target.is_previous(&name) {
            continue;
        }
        match target.environment.given(&name) {
            Some(Given::Literal(text)) => drop(own.insert(name, text.to_string())),
            _ => {
                let problem = format!(
                    "container {:?} takes {name} from a valueFrom, so git's configuration cannot be extended; give it a value",
                    target.name()
                );
                return Err(Finding::conflict(Some(target.name()), &name, problem));
            }
        }
    }
    if target.is_previous(COUNT) {
        let count = (0..MAX_PAIRS)
            .take_while(|n| own.contains_key(&format!("{KEY}{n}")))
            .count();
        if count == 0 {
            own.remove(COUNT);
        } else {
            own.insert(COUNT.to_owned(), count.to_string());
        }
    }
    Ok(own)
}
