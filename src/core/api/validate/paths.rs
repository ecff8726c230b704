//! Where a policy may mount something: not over the system, not over what agent systems and we keep there.

use crate::api::{FieldErrors, PolicySpec};
use crate::names;
use std::collections::HashMap;

/// Nothing is mounted here or below.
const CLOSED: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/pam.d",
    "/etc/sudoers.d",
    "/etc/profile.d",
    "/etc/ld.so.conf.d",
    "/etc/cron.d",
    "/etc/openshell",
    "/etc/openshell-tls",
    "/run/netns",
    "/run/openshell",
    "/run/openshell-sidecar",
    "/run/secrets/kubernetes.io",
    "/run/secrets/openshell",
    "/opt/openshell",
];

/// Nothing is mounted exactly here: it would hide everything below.
const COVERED: &[&str] = &[
    "/",
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/run/secrets",
    "/srv",
    "/var",
    "/var/lib",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/ld.so.conf",
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/etc/environment",
];

pub(super) fn check(spec: &PolicySpec, errors: &mut FieldErrors) {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut mount = |path: &str, field: String, errors: &mut FieldErrors| {
        check_path(path, &field, errors);
        if !path.is_empty() && below(&plain(path), &plain(names::CREDENTIAL_DIRECTORY)) {
            errors.add(
                &*field,
                format!("{path:?} is where credentials are mounted by default; choose another directory"),
            );
        }
        if let Some(other) = seen.insert(plain(path), field.clone()) {
            errors.add(field, format!("{path:?} is the mount path of {other} already"));
        }
    };
    for (i, helper) in spec.auth_helpers.iter().enumerate() {
        mount(&helper.mount_path, format!("spec.authHelpers[{i}].mountPath"), errors);
    }
    for (i, token) in spec.tokens.iter().enumerate() {
        mount(&token.mount_path, format!("spec.tokens[{i}].mountPath"), errors);
    }
    for (i, volume_mount) in spec.volume_mounts.iter().enumerate() {
        mount(
            &volume_mount.mount_path,
            format!("spec.volumeMounts[{i}].mountPath"),
            errors,
        );
    }
    if let Some(config) = &spec.mcp_config {
        mount(&config.mount_path, "spec.mcpConfig.mountPath".to_owned(), errors);
    }
    for (i, agent) in spec.agents.iter().enumerate() {
        let Some(directory) = &agent.credential_directory else {
            continue;
        };
        let field = format!("spec.agents[{i}].credentialDirectory");
        check_path(directory, &field, errors);
        if let Some(other) = seen.get(&plain(directory)) {
            errors.add(field, format!("{directory:?} is the mount path of {other} already"));
        }
    }
}

pub(super) fn check_path(path: &str, field: &str, errors: &mut FieldErrors) {
    if !path.starts_with('/') || path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        errors.add(
            field,
            format!("{path:?} is not a plain absolute path: no empty, '.' or '..' part, no '/' at the end"),
        );
        return;
    }
    let plain = plain(path);
    if let Some(closed) = CLOSED.iter().find(|closed| below(&plain, closed)) {
        errors.add(
            field,
            format!("{path:?} is not for policies: nothing may be mounted at or below {closed}"),
        );
    } else if COVERED.contains(&plain.as_str()) {
        errors.add(
            field,
            format!(
                "{path:?} is not for policies: a mount there would hide what is in it; choose a directory of its own"
            ),
        );
    }
}

/// `/var/run` is `/run` in nearly every image.
fn plain(path: &str) -> String {
    match path.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => path.to_owned(),
    }
}

/// Whether `path` is `parent` or below it.
fn below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
