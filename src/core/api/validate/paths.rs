//! Where a policy may mount something: not over what is reserved, and nothing twice.

use crate::api::{FieldErrors, PolicySpec};
use crate::path::is_plain;
use crate::reserved;
use std::collections::HashMap;

pub(super) fn check(spec: &PolicySpec, errors: &mut FieldErrors) {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut mount = |path: &str, field: String, errors: &mut FieldErrors| {
        check_path(path, &field, errors);
        if reserved::is_for_credentials(path) {
            errors.add(
                &*field,
                format!("{path:?} is where credentials are mounted by default; choose another directory"),
            );
        }
        if let Some(other) = seen.insert(reserved::real(path), field.clone()) {
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
        if let Some(other) = seen.get(&reserved::real(directory)) {
            errors.add(field, format!("{directory:?} is the mount path of {other} already"));
        }
    }
}

pub(super) fn check_path(path: &str, field: &str, errors: &mut FieldErrors) {
    if !is_plain(path) {
        errors.add(
            field,
            format!("{path:?} is not a plain absolute path: no empty, '.' or '..' part, no '/' at the end"),
        );
    } else if let Some(directory) = reserved::directory(path) {
        errors.add(
            field,
            format!("{path:?} is not for policies: nothing may be mounted at or below {directory}"),
        );
    }
}
