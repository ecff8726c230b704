//! What stands in the pod under our names and is not wanted: removed where it is an earlier injection's, refused where it
//! would hand a credential to a container that the policy does not serve.

use crate::admission::draft::Draft;
use crate::admission::select;
use crate::names;

/// Volumes, mounts, containers and variables under our names that the policy does not want (any more).
pub(in crate::admission) fn remove_stale(draft: &mut Draft<'_>) {
    let stale: Vec<(usize, String)> = draft
        .volumes
        .iter()
        .enumerate()
        .filter(|(_, (volume, _))| {
            volume.name.starts_with(names::PIECE_PREFIX) && !draft.wanted_volumes.contains(&*volume.name)
        })
        .map(|(i, (volume, _))| (i, volume.name.to_string()))
        .collect();
    for (index, _) in &stale {
        draft.remove_volume(*index);
    }
    draft.adopt_former();
    for container in 0..draft.containers.len() {
        draft.remove_stale_mounts(container);
    }
    for (i, container) in draft.pod.spec.init_containers.iter().enumerate() {
        if container.name.starts_with(names::PIECE_PREFIX) && !draft.wanted_containers.contains(&*container.name) {
            draft.init_edits.remove.insert(i);
            draft.change_container("remove", &container.name);
        }
    }
    draft.remove_stale_env();
    for (annotation, volume) in [
        (names::CREDENTIAL_CONFIGURATION, names::CREDENTIALS_VOLUME),
        (names::LOOPBACK_CONFIGURATION, names::LOOPBACK_VOLUME),
    ] {
        if draft.pod.annotation(annotation).is_some() && !draft.wanted_volumes.contains(volume) {
            draft.annotate(annotation, None);
        }
    }
}

/// A volume of ours in a container that the policy does not serve would hand the credential to it.
pub(in crate::admission) fn deny_foreign_mounts(draft: &mut Draft<'_>) {
    let mut problems = Vec::new();
    for (place, container) in select::all(draft.pod) {
        let chosen = draft.containers.iter().any(|target| target.chosen.place == place);
        if chosen || select::is_ours(place, container) {
            continue;
        }
        for mount in container
            .volume_mounts
            .iter()
            .flatten()
            .filter(|mount| mount.name.starts_with(names::PIECE_PREFIX))
        {
            problems.push(format!(
                "container {:?} mounts volume {:?}, which belongs to the injector, and the policy does not serve this container; remove the mount",
                &*container.name, &*mount.name
            ));
        }
    }
    draft.problems.append(&mut problems);
}
