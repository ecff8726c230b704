//! `audit`: the running pods whose injection is not what today's policies say.

use crate::check::agents::Found;
use crate::cluster::{Cluster, Look};
use crate::reading;
use crate::world::World;
use anyhow::bail;
use vertex_injector_core::admission::Operator;

pub use crate::reading::operator;

/// Policies and namespaces of a cluster, for a verb that needs them.
///
/// # Errors
/// When nobody may look at them.
pub async fn world(cluster: &Cluster, operator: Operator) -> anyhow::Result<World> {
    match reading::world(cluster, operator).await {
        Look::Seen((_, true)) => bail!("there are more policies or namespaces than can be looked at"),
        Look::Seen((world, false)) => Ok(world),
        Look::Unseen(why) => bail!("cannot look at policies and namespaces: {why}"),
    }
}

/// Looks at the pods of a namespace, or of all that opted in.
///
/// # Errors
/// When there is no such namespace.
pub async fn audit(cluster: &Cluster, world: &World, namespace: Option<&str>) -> anyhow::Result<Found> {
    Ok(match namespace {
        Some(namespace) if !world.namespaces.contains_key(namespace) => {
            bail!("there is no namespace {namespace}; kubectl get namespaces lists them")
        }
        Some(namespace) => reading::agents(cluster, world, &[namespace]).await,
        None => reading::agents(cluster, world, &world.opted_in()).await,
    })
}
