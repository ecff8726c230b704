//! Helpers and tokens: volumes of ours that a policy describes, each mounted read-only in the agent.

use super::env::{self, Names};
use super::errors::{Checked, Errors, all};
use super::paths::{MountPath, Mounts};
use super::render::{Needed, token_source, token_volume};
use super::text::{Audience, ObjectName};
use crate::api::{AuthHelper, PolicySpec, Token};
use crate::names;
use crate::operator::Operator;
use serde_json::{Value, json};
use std::collections::HashMap;

/// A volume of ours with its mount and perhaps a variable that names a file in it.
#[derive(Debug)]
pub struct MountedVolume {
    /// The unit's name.
    pub unit: String,
    /// Name of the volume.
    pub volume_name: String,
    /// The volume, without its name.
    pub volume: Value,
    /// Where it is mounted, read-only.
    pub path: MountPath,
    /// A variable and its value.
    pub env: Option<(String, String)>,
    /// What the pod waits for because of it.
    pub needed: Option<Needed>,
}

/// ConfigMaps of helper programs.
pub(super) fn helpers(spec: &PolicySpec, mounts: &mut Mounts, errors: &mut Errors) -> Checked<Vec<MountedVolume>> {
    let mut earlier = Vec::new();
    let pieces = spec.auth_helpers.iter().enumerate().map(|(i, helper)| {
        let AuthHelper {
            config_map_name,
            mount_path,
            default_mode,
            optional,
        } = helper;
        let field = format!("spec.authHelpers[{i}]");
        let name = ObjectName::parse(config_map_name, &format!("{field}.configMapName"), errors);
        let path = mounts.take(mount_path, &format!("{field}.mountPath"), errors);
        let (name, path) = (name?, path?);
        let mut source = json!({"name": name.as_str(), "defaultMode": default_mode.unwrap_or(0o755)});
        if *optional && let Some(source) = source.as_object_mut() {
            source.insert("optional".into(), true.into());
        }
        let volume = json!({ "configMap": source });
        let volume_name = volume_name("helper-", name.as_str(), &volume, &earlier);
        earlier.push((volume_name.clone(), volume.clone()));
        Ok(MountedVolume {
            unit: format!("authHelpers[{name}]"),
            volume_name,
            volume,
            path,
            env: None,
            needed: Some(Needed::config_map(&name, *optional)),
        })
    });
    all(pieces)
}

/// More ServiceAccount tokens. Their variables are the policy's, beside `spec.env`.
pub(super) fn tokens(
    spec: &PolicySpec,
    mounts: &mut Mounts,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Vec<MountedVolume>> {
    let mut variables: HashMap<&str, String> = HashMap::new();
    for (i, var) in spec.env.iter().enumerate() {
        variables.insert(&var.name, format!("spec.env[{i}]"));
    }
    let pieces = spec.tokens.iter().enumerate().map(|(i, token)| {
        let Token {
            name,
            audience,
            expiration_seconds,
            mount_path,
            file_name,
            env_name,
        } = token;
        let field = format!("spec.tokens[{i}]");
        let audience = Audience::parse(audience, &format!("{field}.audience"), operator, errors);
        if spec.tokens.iter().take(i).any(|earlier| earlier.name == *name) {
            errors.add(format!("{field}.name"), format!("{name:?} occurs twice"));
        }
        if let Some(variable) = env_name {
            let field = format!("{field}.envName");
            env::check_name(variable, Names::OfAgents, &field, errors);
            if let Some(other) = variables.insert(variable, field.clone()) {
                errors.add(field, format!("{variable:?} is set by {other} already"));
            }
        }
        let path = mounts.take(mount_path, &format!("{field}.mountPath"), errors);
        let (audience, path) = (audience?, path?);
        let file = file_name.as_deref().unwrap_or(names::TOKEN_FILE);
        Ok(MountedVolume {
            unit: format!("tokens[{name}]"),
            volume_name: format!("{}token-{name}", names::NAME_PREFIX),
            volume: token_volume(&token_source(audience.as_str(), *expiration_seconds, file)),
            env: env_name.clone().map(|variable| (variable, format!("{path}/{file}"))),
            path,
            needed: None,
        })
    });
    all(pieces)
}

/// A volume name of at most 63 characters for an object name of up to 253; equal volumes share one.
fn volume_name(kind: &str, object: &str, volume: &Value, earlier: &[(String, Value)]) -> String {
    let label = object.replace('.', "-");
    let longest = 63 - names::NAME_PREFIX.len() - kind.len();
    let short = match label.get(..longest.saturating_sub(9)) {
        Some(head) if label.len() > longest || label != object => format!("{head}-{:08x}", fingerprint(object)),
        _ if label == object => label,
        _ => format!("{label}-{:08x}", fingerprint(object)),
    };
    let base = format!("{}{kind}{short}", names::NAME_PREFIX);
    if earlier.iter().any(|(name, other)| *name == base && other != volume) {
        format!("{}{kind}{:08x}", names::NAME_PREFIX, fingerprint(&volume.to_string()))
    } else {
        base
    }
}

/// FNV-1a: the same in every build, which `std`'s hasher does not promise.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
