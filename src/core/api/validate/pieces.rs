//! Helpers, tokens, volumes and mounts: references that resolve, objects that can exist.

use super::{check_object_name, identity::check_audience};
use crate::api::{DownwardApiItem, FieldErrors, KeyToPath, PolicySpec, Projection, Resources, Volume};
use crate::glob::Glob;
use crate::operator::Operator;
use crate::quantity::thousandths;
use crate::{names, reserved};

pub(super) fn check(spec: &PolicySpec, operator: &Operator, errors: &mut FieldErrors) {
    for (i, helper) in spec.auth_helpers.iter().enumerate() {
        check_object_name(
            &helper.config_map_name,
            &format!("spec.authHelpers[{i}].configMapName"),
            errors,
        );
    }
    for (i, token) in spec.tokens.iter().enumerate() {
        let field = format!("spec.tokens[{i}]");
        check_audience(&token.audience, &format!("{field}.audience"), operator, errors);
        if spec.tokens.iter().take(i).any(|earlier| earlier.name == token.name) {
            errors.add(format!("{field}.name"), format!("{:?} occurs twice", token.name));
        }
    }
    for (i, volume) in spec.volumes.iter().enumerate() {
        let field = format!("spec.volumes[{i}]");
        if spec.volumes.iter().take(i).any(|earlier| earlier.name == volume.name) {
            errors.add(format!("{field}.name"), format!("{:?} occurs twice", volume.name));
        }
        check_volume(volume, &field, operator, errors);
    }
    check_mounts(spec, errors);
}

/// The downward API's fields; a volume offers fewer than a variable.
pub(super) fn check_field_path(path: &str, for_env: bool, field: &str, errors: &mut FieldErrors) {
    const ANYWHERE: [&str; 3] = ["metadata.name", "metadata.namespace", "metadata.uid"];
    const VOLUMES_ONLY: [&str; 2] = ["metadata.labels", "metadata.annotations"];
    const ENV_ONLY: [&str; 6] = [
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let subscript = VOLUMES_ONLY.iter().any(|map| {
        path.strip_prefix(map)
            .is_some_and(|rest| rest.len() > 4 && rest.starts_with("['") && rest.ends_with("']"))
    });
    let rest: &[&str] = if for_env { &ENV_ONLY } else { &VOLUMES_ONLY };
    if !subscript && !ANYWHERE.contains(&path) && !rest.contains(&path) {
        errors.add(
            field,
            format!("{path:?} is not a field that can be projected here; valid are {}, {}, metadata.labels['KEY'] and metadata.annotations['KEY']", ANYWHERE.join(", "), rest.join(", ")),
        );
    }
}

fn check_mounts(spec: &PolicySpec, errors: &mut FieldErrors) {
    let mut valid: Vec<&str> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
    valid.extend(spec.pod_volumes.iter().map(String::as_str));
    for (i, mount) in spec.volume_mounts.iter().enumerate() {
        let field = format!("spec.volumeMounts[{i}]");
        if !valid.contains(&mount.name.as_str()) {
            errors.add(
                format!("{field}.name"),
                format!("{:?} references no volume of this policy; valid names: [{}]. Add it to volumes, or to podVolumes if the pod brings it", mount.name, valid.join(", ")),
            );
        }
        if let Some(path) = &mount.sub_path {
            check_relative(path, &format!("{field}.subPath"), errors);
        }
    }
    for (i, name) in spec.pod_volumes.iter().enumerate() {
        check_volume_name(name, &format!("spec.podVolumes[{i}]"), errors);
        if spec.volumes.iter().any(|volume| volume.name == *name) {
            errors.add(
                format!("spec.podVolumes[{i}]"),
                format!("{name:?} is also a volume of the policy: one of the two"),
            );
        }
    }
}

fn check_volume_name(name: &str, field: &str, errors: &mut FieldErrors) {
    if reserved::is_our_volume(name) {
        errors.add(
            field,
            format!(
                "names that begin with {} are reserved for the injector's own volumes",
                names::PIECE_PREFIX
            ),
        );
    }
}

fn check_volume(volume: &Volume, field: &str, operator: &Operator, errors: &mut FieldErrors) {
    check_volume_name(&volume.name, &format!("{field}.name"), errors);
    let Volume {
        name: _,
        config_map,
        secret,
        empty_dir,
        projected,
        downward_api,
        persistent_volume_claim,
    } = volume;
    let chosen = [
        config_map.is_some(),
        secret.is_some(),
        empty_dir.is_some(),
        projected.is_some(),
        downward_api.is_some(),
        persistent_volume_claim.is_some(),
    ];
    if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
        errors.add(
            field,
            "exactly one of configMap, secret, emptyDir, projected, downwardAPI and persistentVolumeClaim must be set; other volume types are not for policies",
        );
    }
    if let Some(source) = config_map {
        check_object_name(&source.name, &format!("{field}.configMap.name"), errors);
        check_items(&source.items, &format!("{field}.configMap"), errors);
    }
    if let Some(source) = secret {
        check_object_name(&source.secret_name, &format!("{field}.secret.secretName"), errors);
        check_items(&source.items, &format!("{field}.secret"), errors);
    }
    if let Some(source) = persistent_volume_claim {
        check_object_name(
            &source.claim_name,
            &format!("{field}.persistentVolumeClaim.claimName"),
            errors,
        );
    }
    if let Some(source) = downward_api {
        check_downward(&source.items, &format!("{field}.downwardAPI"), errors);
    }
    for (i, source) in projected.iter().flat_map(|projected| &projected.sources).enumerate() {
        check_projection(source, &format!("{field}.projected.sources[{i}]"), operator, errors);
    }
}

fn check_projection(source: &Projection, field: &str, operator: &Operator, errors: &mut FieldErrors) {
    let Projection {
        config_map,
        secret,
        downward_api,
        service_account_token,
    } = source;
    let chosen = [
        config_map.is_some(),
        secret.is_some(),
        downward_api.is_some(),
        service_account_token.is_some(),
    ];
    if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
        errors.add(
            field,
            "exactly one of configMap, secret, downwardAPI and serviceAccountToken must be set",
        );
    }
    for (object, key) in [(config_map, "configMap"), (secret, "secret")] {
        if let Some(object) = object {
            check_object_name(&object.name, &format!("{field}.{key}.name"), errors);
            check_items(&object.items, &format!("{field}.{key}"), errors);
        }
    }
    if let Some(items) = downward_api {
        check_downward(&items.items, &format!("{field}.downwardAPI"), errors);
    }
    if let Some(token) = service_account_token {
        check_audience(
            &token.audience,
            &format!("{field}.serviceAccountToken.audience"),
            operator,
            errors,
        );
        check_relative(&token.path, &format!("{field}.serviceAccountToken.path"), errors);
    }
}

fn check_items(items: &[KeyToPath], field: &str, errors: &mut FieldErrors) {
    for (i, item) in items.iter().enumerate() {
        check_relative(&item.path, &format!("{field}.items[{i}].path"), errors);
    }
}

fn check_downward(items: &[DownwardApiItem], field: &str, errors: &mut FieldErrors) {
    for (i, item) in items.iter().enumerate() {
        check_relative(&item.path, &format!("{field}.items[{i}].path"), errors);
        check_field_path(
            &item.field_ref.field_path,
            false,
            &format!("{field}.items[{i}].fieldRef.fieldPath"),
            errors,
        );
    }
}

fn check_relative(path: &str, field: &str, errors: &mut FieldErrors) {
    if path.starts_with('/') || path.starts_with("..") || path.split('/').any(|part| part == "..") {
        errors.add(field, format!("{path:?} must be a relative path without '..'"));
    }
}

/// The API server refuses pods whose container requests more than its limit.
pub(super) fn check_bounds(Resources { requests, limits }: &Resources, field: &str, errors: &mut FieldErrors) {
    let pairs = [
        ("cpu", &requests.cpu, &limits.cpu),
        ("memory", &requests.memory, &limits.memory),
    ];
    for (resource, request, limit) in pairs {
        let (Some(request), Some(limit)) = (request, limit) else {
            continue;
        };
        if thousandths(&request.as_str().into()) > thousandths(&limit.as_str().into()) {
            errors.add(
                format!("{field}.requests.{resource}"),
                format!("{request:?} is more than the limit {limit:?}"),
            );
        }
    }
}

/// Whether `text` is of the form `glob`. What is no pattern matches nothing.
pub(super) fn matches(glob: &str, text: &str) -> bool {
    glob.parse::<Glob>().is_ok_and(|glob| glob.matches(text))
}
