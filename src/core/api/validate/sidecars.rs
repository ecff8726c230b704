//! Credential sidecars: that they can be told apart and reached, and that their credential goes where it may.

use super::identity::check_audience;
use super::pieces::{check_bounds, matches};
use super::{check_object_name, paths};
use crate::api::{CredentialHttp, CredentialSource, FieldErrors, Git, Isolation, PolicySpec, Sidecar};
use crate::git::config::GitHost;
use crate::git::rules::Rule;
use crate::host::Url;
use crate::names;
use crate::operator::{Operator, listed};
use crate::presets::Complete;
use crate::reserved;
use std::collections::HashMap;

/// Below this nothing of a credential is written: it is the sidecar's own scratch space, on the node's disk.
const TEMPORARY: &str = "/tmp";

pub(super) fn check(spec: &PolicySpec, operator: &Operator, errors: &mut FieldErrors) {
    let complete: Vec<Complete> = spec
        .sidecars
        .iter()
        .map(|sidecar| Complete::of(sidecar, &operator.preset_images))
        .collect();
    let mut hosts: HashMap<String, String> = HashMap::new();
    for (i, (sidecar, whole)) in spec.sidecars.iter().zip(&complete).enumerate() {
        let field = format!("spec.sidecars[{i}]");
        check_presence(sidecar, whole, &field, errors);
        check_distinct(whole, complete.get(..i).unwrap_or_default(), &field, errors);
        check_image(sidecar, whole, &field, operator, errors);
        if let Some(resources) = &sidecar.resources {
            check_bounds(resources, &format!("{field}.resources"), errors);
        }
        check_mapping(sidecar, whole, &field, errors);
        if let Some(credential) = &sidecar.credential {
            check_source(credential, whole, &field, spec.isolation, operator, errors);
        }
        if let Some(git) = &whole.git {
            check_git(git, &format!("{field}.git"), &mut hosts, errors);
            check_port(git.port, &format!("{field}.git.port"), &complete, errors);
        }
        if sidecar.git_credentials.is_some() && spec.isolation == Isolation::Required {
            errors.add(
                "spec.isolation",
                format!("{field}.gitCredentials lets the agent read the credential, which needs BestEffort; prefer git, which does not"),
            );
        }
    }
    if let Some(config) = &spec.mcp_config
        && complete.iter().all(|sidecar| sidecar.mcp_key.is_none())
    {
        errors.add(
            "spec.mcpConfig",
            format!(
                "no sidecar has an mcpKey, so there is nothing to write into {}",
                config.format.file_name()
            ),
        );
    }
}

/// What has no default.
fn check_presence(sidecar: &Sidecar, whole: &Complete, field: &str, errors: &mut FieldErrors) {
    if whole.name.is_empty() {
        errors.add(format!("{field}.name"), "a sidecar without a preset needs a name");
    }
    if sidecar.preset.is_none() && sidecar.port.is_none() {
        errors.add(format!("{field}.port"), "a sidecar without a preset needs a port");
    }
    if whole.image.is_empty() {
        errors.add(
            format!("{field}.image"),
            match sidecar.preset {
                Some(preset) => format!(
                    "the operator sets no image for preset {} (presetImages), so the policy must name one",
                    preset.known().name
                ),
                None => "a sidecar without a preset needs an image".to_owned(),
            },
        );
    }
}

fn check_distinct(whole: &Complete, earlier: &[Complete], field: &str, errors: &mut FieldErrors) {
    let Complete { name, mcp_key, .. } = whole;
    if earlier.iter().any(|other| other.name == *name) && !name.is_empty() {
        errors.add(
            format!("{field}.name"),
            format!("{name:?} occurs twice; give one of the two another name"),
        );
    }
    let container = format!("{}{name}", names::PIECE_PREFIX);
    if reserved::is_our_container(&container) {
        errors.add(
            format!("{field}.name"),
            format!("{container} is a container of the injector's own; choose another name"),
        );
    }
    if let Some(port) = whole.fixed_port() {
        if let Some(other) = earlier.iter().find(|other| other.fixed_port() == Some(port)) {
            errors.add(
                format!("{field}.port"),
                format!("{port} is the port of sidecar {:?} already", other.name),
            );
        }
        check_taken(port, &format!("{field}.port"), errors);
    }
    if let Some(key) = mcp_key
        && let Some(other) = earlier.iter().find(|other| other.mcp_key.as_ref() == Some(key))
    {
        errors.add(
            format!("{field}.mcpKey"),
            format!("{key:?} is the key of sidecar {:?} already", other.name),
        );
    }
}

fn check_taken(port: i32, field: &str, errors: &mut FieldErrors) {
    if let Some(user) = reserved::user_of_port(port) {
        errors.add(field, format!("{port} is taken by {user}; choose another"));
    }
}

/// The git proxy's port, where the policy names it.
fn check_port(port: Option<i32>, field: &str, sidecars: &[Complete], errors: &mut FieldErrors) {
    let Some(port) = port else { return };
    check_taken(port, field, errors);
    if let Some(other) = sidecars.iter().find(|other| other.fixed_port() == Some(port)) {
        errors.add(field, format!("{port} is the port of sidecar {:?} already", other.name));
    }
    let same = |other: &&Complete| other.git.as_ref().and_then(|git| git.port) == Some(port);
    if sidecars.iter().filter(same).count() > 1 {
        errors.add(
            field,
            format!("{port} is the port of two git proxies; they must differ"),
        );
    }
}

/// The operator's own images need no listing. A version must be named, or a node's old image would run for ever.
fn check_image(sidecar: &Sidecar, whole: &Complete, field: &str, operator: &Operator, errors: &mut FieldErrors) {
    let field = format!("{field}.image");
    let Some(image) = &sidecar.image else {
        if !whole.image.is_empty() && !names_a_version(&whole.image) {
            errors.add(field, "the operator's image for this preset (presetImages) must name a version: a tag other than latest, or a digest (@sha256:…)");
        }
        return;
    };
    if !names_a_version(image) {
        errors.add(
            &*field,
            format!("{image:?} must name a version: a tag other than latest, or a digest (@sha256:…)"),
        );
    }
    if !operator.sidecar_images.iter().any(|glob| matches(glob, image)) {
        let allowed = match operator.sidecar_images.as_slice() {
            [] => "the operator's list of sidecarImages is empty".to_owned(),
            images => format!("the operator's list of sidecarImages has {}", images.join(", ")),
        };
        errors.add(field, format!("{image:?} is not allowed: {allowed}"));
    }
}

fn names_a_version(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_some_and(|(_, tag)| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        !tag.is_empty() && tag != "latest" && tag.bytes().all(known)
    })
}

/// What the server gets of the credential.
fn check_mapping(sidecar: &Sidecar, whole: &Complete, field: &str, errors: &mut FieldErrors) {
    for (i, var) in sidecar.env.iter().enumerate() {
        check_variable(&var.name, &format!("{field}.env[{i}].name"), errors);
        if whole.variables.iter().any(|mapped| mapped.name == var.name) {
            errors.add(
                format!("{field}.env[{i}].name"),
                format!(
                    "{:?} holds a field of the credential; set it in one place only",
                    var.name
                ),
            );
        }
    }
    for (i, var) in sidecar.credential_env.iter().enumerate() {
        let field = format!("{field}.credentialEnv[{i}].name");
        check_variable(&var.name, &field, errors);
        if sidecar
            .credential_env
            .iter()
            .take(i)
            .any(|earlier| earlier.name == var.name)
        {
            errors.add(field, format!("{:?} occurs twice", var.name));
        }
    }
    let mut directory = None;
    for (i, file) in sidecar.credential_files.iter().enumerate() {
        let field = format!("{field}.credentialFiles[{i}].path");
        let parent = file.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        paths::check_path(&file.path, &field, errors);
        if parent.is_empty() || parent == TEMPORARY {
            errors.add(
                &*field,
                format!("{:?} is not in a directory of its own, which becomes a volume in memory; for example /run/credentials/{}", file.path, file.path.rsplit('/').next().unwrap_or_default()),
            );
        } else {
            paths::check_path(parent, &field, errors);
        }
        if *directory.get_or_insert(parent) != parent {
            errors.add(
                &*field,
                format!(
                    "{:?} is in another directory than the first file; all must be in one",
                    file.path
                ),
            );
        }
        if sidecar
            .credential_files
            .iter()
            .take(i)
            .any(|earlier| earlier.path == file.path)
        {
            errors.add(field, format!("{:?} occurs twice", file.path));
        }
    }
    if sidecar.credential.is_none() {
        for (name, is_set) in [
            ("credentialEnv", !sidecar.credential_env.is_empty()),
            ("credentialFiles", !sidecar.credential_files.is_empty()),
            ("onRefresh", sidecar.on_refresh.is_some()),
            ("git", sidecar.git.is_some()),
            ("gitCredentials", sidecar.git_credentials.is_some()),
        ] {
            if is_set {
                errors.add(
                    format!("{field}.{name}"),
                    "needs credential, which says where it comes from",
                );
            }
        }
    }
}

/// The variables of a server are its author's; those of the program that starts it are not.
fn check_variable(name: &str, field: &str, errors: &mut FieldErrors) {
    if let Some(because) = reserved::variable_of_sidecar(name) {
        errors.add(field, format!("{name:?} may not be set by a policy: {because}"));
    }
}

fn check_source(
    credential: &CredentialSource,
    whole: &Complete,
    field: &str,
    isolation: Isolation,
    operator: &Operator,
    errors: &mut FieldErrors,
) {
    let CredentialSource {
        secret,
        http,
        ambient_exchange,
    } = credential;
    let chosen = [secret.is_some(), http.is_some(), ambient_exchange.is_some()];
    if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
        errors.add(
            format!("{field}.credential"),
            "exactly one of secret, http and ambientExchange must be set",
        );
    }
    if let Some(secret) = secret {
        check_object_name(
            &secret.secret_name,
            &format!("{field}.credential.secret.secretName"),
            errors,
        );
    }
    if let Some(CredentialHttp { url, audience, .. }) = http {
        check_audience(audience, &format!("{field}.credential.http.audience"), operator, errors);
        check_url(url, &format!("{field}.credential.http.url"), operator, errors);
    }
    if ambient_exchange.is_some() {
        if isolation == Isolation::Required {
            errors.add(
                "spec.isolation",
                format!("{field}.credential.ambientExchange authenticates nobody: the agent holds the same key and URL and can make the same exchange, which needs BestEffort; prefer http"),
            );
        }
        if whole.provider().is_none() {
            errors.add(
                format!("{field}.mcpKey"),
                "ambientExchange needs it: it is the provider whose credential in CREDENTIAL_IDS is fetched",
            );
        }
    }
    let uses = !whole.variables.is_empty()
        || !whole.files.is_empty()
        || whole.git.is_some()
        || whole.git_credentials.is_some();
    if !uses {
        errors.add(
            format!("{field}.credential"),
            "nothing gets it; add credentialEnv, credentialFiles or git",
        );
    }
    if whole.is_wrapped(credential) && !whole.has_command() {
        errors.add(
            format!("{field}.command"),
            "needed: the server is started by the injector's wrapper, which cannot know the image's entrypoint; name it",
        );
    }
}

/// The host of a credential's endpoint is on the operator's list, exactly. Within the cluster http will do.
fn check_url(url: &str, field: &str, operator: &Operator, errors: &mut FieldErrors) {
    let parsed = url.parse::<Url>().ok();
    let Some(parsed) = parsed.filter(|url| url.host().name().is_some() && !url.has_query()) else {
        errors.add(
            field,
            format!("{url:?} is not of the form https://HOST[:PORT]/PATH, with a host's name and without user, query, '.' and '..'"),
        );
        return;
    };
    let host = parsed.host();
    if !parsed.is_secure() && !host.is_service() {
        errors.add(
            field,
            format!(
                "{url:?} would send a token unencrypted; http is for services of the cluster only (NAME.NAMESPACE.svc)"
            ),
        );
    }
    if !operator.may_have_credentials(&parsed) {
        errors.add(
            field,
            format!(
                "host \"{host}:{}\" may not receive tokens: {}",
                parsed.port(),
                listed("credentialHosts", &operator.credential_hosts)
            ),
        );
    }
}

fn check_git(git: &Git, field: &str, hosts: &mut HashMap<String, String>, errors: &mut FieldErrors) {
    if git.hosts.is_empty() {
        errors.add(
            format!("{field}.hosts"),
            "needed: only the presets github and gitlab have a host of their own",
        );
    }
    let mut known = Vec::new();
    for (i, text) in git.hosts.iter().enumerate() {
        let field = format!("{field}.hosts[{i}]");
        match text.parse::<GitHost>() {
            Err(problem) => errors.add(field, format!("{text:?} is {problem}")),
            Ok(host) => {
                if let Some(other) = hosts.insert(host.to_string(), field.clone()) {
                    errors.add(&*field, format!("{text:?} is served by {other} already"));
                }
                known.push(host);
            }
        }
    }
    let mut used = Vec::new();
    for (i, rule) in git.allow.iter().enumerate() {
        let field = format!("{field}.allow[{i}].repositories");
        let host = rule.repositories.split('/').next().unwrap_or_default();
        match host.parse::<GitHost>() {
            Ok(host) if known.contains(&host) => used.push(host),
            _ => errors.add(
                &*field,
                format!(
                    "{:?} does not begin with one of the hosts [{}]",
                    rule.repositories,
                    git.hosts.join(", ")
                ),
            ),
        }
        if let Err(problem) = rule.flag().parse::<Rule>() {
            errors.add(field, format!("{:?} cannot be a rule: {problem}", rule.repositories));
        }
    }
    for (i, host) in known.iter().enumerate() {
        if !used.contains(host) {
            errors.add(
                format!("{field}.hosts[{i}]"),
                format!("\"{host}\" has no rule in allow, so nothing could be done there; add {{repositories: {host}/OWNER/REPO, services: [Fetch]}}"),
            );
        }
    }
}
