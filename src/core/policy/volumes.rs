//! Volumes and mounts of the policy's own: references that resolve, objects that can exist, nothing of the node.

use super::errors::{Checked, Errors, all, exactly_one};
use super::paths::Mounts;
use super::render::Needed;
use super::text::{Audience, ObjectName, check_field_path, check_relative};
use crate::api::{DownwardApiItem, KeyToPath, PolicySpec, ProjectedObject, Projection, VolumeMount};
use crate::operator::Operator;
use crate::{names, reserved};
use serde_json::Value;

/// Volumes and mounts of the policy's own.
#[derive(Debug, Default)]
pub struct Volumes {
    /// The policy's volumes.
    pub own: Vec<Volume>,
    /// Mounts for the agent.
    pub mounts: Vec<Mount>,
}

/// A volume of the policy's own.
#[derive(Debug)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// The whole volume.
    pub entry: Value,
    /// What the pod waits for because of it.
    pub needed: Vec<Needed>,
}

/// A mount of the policy's own.
#[derive(Debug)]
pub struct Mount {
    /// The volume.
    pub volume: String,
    /// Whether the pod brings the volume, and not the policy.
    pub of_pod: bool,
    /// The whole entry of a container.
    pub entry: Value,
}

pub(super) fn compile(
    spec: &PolicySpec,
    mounts: &mut Mounts,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Volumes> {
    let own = all(spec.volumes.iter().enumerate().map(|(i, volume)| {
        let field = format!("spec.volumes[{i}]");
        if spec.volumes.iter().take(i).any(|earlier| earlier.name == volume.name) {
            errors.add(format!("{field}.name"), format!("{:?} occurs twice", volume.name));
        }
        compile_volume(volume, &field, operator, errors)
    }));
    for (i, name) in spec.pod_volumes.iter().enumerate() {
        check_name(name, &format!("spec.podVolumes[{i}]"), errors);
        if spec.volumes.iter().any(|volume| volume.name == *name) {
            errors.add(
                format!("spec.podVolumes[{i}]"),
                format!("{name:?} is also a volume of the policy: one of the two"),
            );
        }
    }
    let own_names = spec.volumes.iter().map(|volume| &volume.name);
    let valid: Vec<&str> = own_names.chain(&spec.pod_volumes).map(String::as_str).collect();
    let mounts = all(spec.volume_mounts.iter().enumerate().map(|(i, mount)| {
        let VolumeMount {
            name,
            mount_path,
            sub_path,
            read_only: _,
        } = mount;
        let field = format!("spec.volumeMounts[{i}]");
        if !valid.contains(&name.as_str()) {
            errors.add(
                format!("{field}.name"),
                format!("{name:?} references no volume of this policy; valid names: [{}]. Add it to volumes, or to podVolumes if the pod brings it", valid.join(", ")),
            );
        }
        if let Some(path) = sub_path {
            check_relative(path, &format!("{field}.subPath"), errors);
        }
        mounts.take(mount_path, &format!("{field}.mountPath"), errors)?;
        Ok(Mount {
            volume: name.clone(),
            of_pod: spec.pod_volumes.contains(name),
            entry: serde_json::to_value(mount).unwrap_or_default(),
        })
    }));
    Ok(Volumes {
        own: own?,
        mounts: mounts?,
    })
}

fn compile_volume(
    volume: &crate::api::Volume,
    field: &str,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Volume> {
    let crate::api::Volume {
        name,
        config_map,
        secret,
        empty_dir,
        projected,
        downward_api,
        persistent_volume_claim,
    } = volume;
    check_name(name, &format!("{field}.name"), errors);
    let config_map = config_map.as_ref().map(|source| {
        let field = format!("{field}.configMap");
        check_items(&source.items, &field, errors);
        let name = ObjectName::parse(&source.name, &format!("{field}.name"), errors)?;
        Ok(vec![Needed::config_map(&name, source.optional.unwrap_or(false))])
    });
    let secret = secret.as_ref().map(|source| {
        let field = format!("{field}.secret");
        check_items(&source.items, &field, errors);
        let name = ObjectName::parse(&source.secret_name, &format!("{field}.secretName"), errors)?;
        Ok(vec![Needed::secret(&name, source.optional.unwrap_or(false))])
    });
    let claim = persistent_volume_claim.as_ref().map(|source| {
        let field = format!("{field}.persistentVolumeClaim.claimName");
        Ok(vec![Needed::claim(&ObjectName::parse(
            &source.claim_name,
            &field,
            errors,
        )?)])
    });
    let downward = downward_api.as_ref().map(|source| {
        check_downward(&source.items, &format!("{field}.downwardAPI"), errors);
        Ok(Vec::new())
    });
    let projected = projected.as_ref().map(|projected| {
        let sources = projected.sources.iter().enumerate();
        let shown = all(sources.map(|(i, source)| {
            let field = format!("{field}.projected.sources[{i}]");
            projection(source, &field, operator, errors)
        }));
        shown.map(|shown| shown.into_iter().flatten().collect())
    });
    let empty = empty_dir.as_ref().map(|_| Ok(Vec::new()));
    let needed = exactly_one(
        [config_map, secret, empty, projected, downward, claim],
        field,
        "exactly one of configMap, secret, emptyDir, projected, downwardAPI and persistentVolumeClaim must be set; other volume types are not for policies",
        errors,
    )?;
    Ok(Volume {
        name: name.clone(),
        entry: serde_json::to_value(volume).unwrap_or_default(),
        needed,
    })
}

fn projection(source: &Projection, field: &str, operator: &Operator, errors: &mut Errors) -> Checked<Option<Needed>> {
    let Projection {
        config_map,
        secret,
        downward_api,
        service_account_token,
    } = source;
    let mut object = |object: &ProjectedObject, key: &str| {
        check_items(&object.items, &format!("{field}.{key}"), errors);
        let name = ObjectName::parse(&object.name, &format!("{field}.{key}.name"), errors)?;
        Ok((name, object.optional.unwrap_or(false)))
    };
    let config_map = config_map.as_ref().map(|found| object(found, "configMap"));
    let secret = secret.as_ref().map(|found| object(found, "secret"));
    let downward = downward_api.as_ref().map(|items| {
        check_downward(&items.items, &format!("{field}.downwardAPI"), errors);
        Ok(None)
    });
    let token = service_account_token.as_ref().map(|token| {
        let field = format!("{field}.serviceAccountToken");
        check_relative(&token.path, &format!("{field}.path"), errors);
        Audience::parse(&token.audience, &format!("{field}.audience"), operator, errors).map(|_| None)
    });
    exactly_one(
        [
            config_map.map(|found| found.map(|(name, optional)| Some(Needed::config_map(&name, optional)))),
            secret.map(|found| found.map(|(name, optional)| Some(Needed::secret(&name, optional)))),
            downward,
            token,
        ],
        field,
        "exactly one of configMap, secret, downwardAPI and serviceAccountToken must be set",
        errors,
    )
}

fn check_name(name: &str, field: &str, errors: &mut Errors) {
    if reserved::is_our_volume(name) {
        errors.add(
            field,
            format!(
                "names that begin with {} are reserved for the injector's own volumes",
                names::NAME_PREFIX
            ),
        );
    }
}

fn check_items(items: &[KeyToPath], field: &str, errors: &mut Errors) {
    for (i, item) in items.iter().enumerate() {
        check_relative(&item.path, &format!("{field}.items[{i}].path"), errors);
    }
}

fn check_downward(items: &[DownwardApiItem], field: &str, errors: &mut Errors) {
    for (i, item) in items.iter().enumerate() {
        let field = format!("{field}.items[{i}]");
        check_relative(&item.path, &format!("{field}.path"), errors);
        check_field_path(
            &item.field_ref.field_path,
            false,
            &format!("{field}.fieldRef.fieldPath"),
            errors,
        );
    }
}
