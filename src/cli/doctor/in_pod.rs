//! The same hops in a pod that runs, gone by a container that is added to it.

use super::asked::Asked;
use super::container::container;
use super::subject::text;
use super::{job, words};
use crate::cli::cluster::{self, Connection};
use crate::cli::terminal::{self, Format, say};
use anyhow::Context;
use serde_json::Value;
use std::cell::Cell;
use vertex_injector_operate::ephemeral;
use vertex_injector_sidecar::Ending;

/// What the shell learns when somebody has pressed Ctrl-C.
const INTERRUPTED: u8 = 130;

/// The pod, and how to come to it.
#[derive(Debug)]
pub(super) struct Place {
    /// The cluster.
    pub(super) connection: Connection,
    /// The namespace; none: that of the context.
    pub(super) namespace: Option<String>,
    /// The pod.
    pub(super) pod: String,
}

/// Adds the container, shows what it tells, and ends as it does. Where that is not allowed, prints the Job in its place.
///
/// # Errors
/// When the pod cannot be read or was not injected, or the container is not seen to its end.
pub(super) fn run(place: &Place, image: Option<&str>, asked: &Asked, format: Format) -> anyhow::Result<Ending> {
    let now = Cell::new("the pod");
    cluster::run(&now, async {
        let cluster = place.connection.connect().await?;
        let namespace = place.namespace.as_deref().unwrap_or(&cluster.namespace);
        let name = place.pod.strip_prefix("pod/").unwrap_or(&place.pod);
        let pod = ephemeral::pod(&cluster, namespace, name).await?;
        let container = container(&pod, image, asked, matches!(format, Format::Json))?;
        let added = text(&container, "/name").unwrap_or_default();
        let instead = |why: &str| instead(&pod, image, asked, why);
        if let Some(phase @ ("Succeeded" | "Failed")) = text(&pod, "/status/phase") {
            return instead(&format!("the pod has ended ({phase})"));
        }
        if let Err(why) = ephemeral::add(&cluster, namespace, name, &container).await {
            return instead(&why);
        }
        now.set("what the container finds");
        let follow = ephemeral::follow(&cluster, (namespace, name, added), |line| {
            match format {
                Format::Text => terminal::print(&words::line(line)),
                Format::Json => terminal::print_data(&format!("{line}\n")),
            }
            .context("cannot write")
        });
        tokio::select! {
            code = follow => Ok(match code? {
                0 => Ending::Done,
                code => Ending::Code(u8::try_from(code).unwrap_or(u8::MAX)),
            }),
            _ = tokio::signal::ctrl_c() => {
                say("note", &format!(
                    "container {added} goes on to its end, within minutes: kubectl logs {name} -n {namespace} -c {added}"
                ));
                Ok(Ending::Code(INTERRUPTED))
            }
        }
    })
}

/// The Job, and why.
fn instead(pod: &Value, image: Option<&str>, asked: &Asked, why: &str) -> anyhow::Result<Ending> {
    let job = job::of(pod, image, asked)?;
    say(
        "error",
        &format!("no container can be added to the pod: {}", terminal::clean(why)),
    );
    say(
        "note",
        "this is the Job that goes the pod's way from beside it; kubectl apply -f - takes it",
    );
    terminal::print_data(&job)?;
    Ok(Ending::Code(2))
}
