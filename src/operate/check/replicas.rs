//! The webhook's Deployment and its pods.

use crate::cluster::Look;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::release::Release;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;

/// The label with the chart's version.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Judges the replicas of a release. With `outside`, the webhook is no Deployment.
pub fn judge(
    release: &Release,
    outside: bool,
    found: &Look<Option<Deployment>>,
    pods: &Look<Vec<Pod>>,
) -> Vec<Finding> {
    let object = || Object::within("Deployment", &release.namespace, &release.objects);
    let deployment = match found {
        Look::Unseen(why) => return vec![Finding::unseen(Part::Replicas, object(), why)],
        Look::Seen(None) if outside => {
            let text = "the webhook is outside the cluster (webhook.url)";
            return vec![Finding::fine(Part::Replicas, Object::new("webhook", ""), text)];
        }
        Look::Seen(None) => return vec![Finding::of(Problem::DeploymentMissing, object(), "does not exist")],
        Look::Seen(Some(deployment)) => deployment,
    };
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let mut findings = Vec::new();
    let text = format!(
        "{ready} of {} ready",
        super::count_i64(wanted.into(), "replica is", "replicas are")
    );
    findings.push(match ready {
        0 => Finding::of(Problem::NoReplicaReady, object(), text),
        ready if ready < wanted => Finding::of(Problem::ReplicasMissing, object(), text),
        _ => Finding::fine(Part::Replicas, object(), text),
    });
    match pods {
        Look::Unseen(why) => findings.push(Finding::unseen(Part::Replicas, object(), why)),
        Look::Seen(pods) => {
            findings.extend(pods.iter().filter_map(waiting));
            let images: BTreeSet<&str> = { pods.iter() }
                .flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers))
                .filter_map(|container| container.image.as_deref().filter(|_| container.name == "webhook"))
                .collect();
            if images.len() > 1 {
                let text = format!("its replicas run {}", Vec::from_iter(images).join(" and "));
                findings.push(Finding::of(Problem::ReplicasDiffer, object(), text));
            }
        }
    }
    findings.push(version(deployment, object()));
    findings
}

fn version(deployment: &Deployment, object: Object) -> Finding {
    let label = deployment
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(VERSION_LABEL));
    match label.map(String::as_str) {
        Some(super::VERSION) => Finding::fine(Part::Replicas, object, format!("is of version {}", super::VERSION)),
        other => {
            let other = other.unwrap_or("unknown");
            let text = format!("is of version {other}, this program of {}", super::VERSION);
            Finding::of(Problem::VersionDiffers, object, text)
        }
    }
}

/// Why a pod of the webhook does not run.
fn waiting(pod: &Pod) -> Option<Finding> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let container = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some(format!(
            "{} waits: {}{}",
            container.name,
            waiting.reason.as_deref().unwrap_or("unknown"),
            waiting
                .message
                .as_deref()
                .map(|message| format!(": {message}"))
                .unwrap_or_default()
        ))
    });
    let unscheduled = || {
        let condition = status.conditions.iter().flatten();
        let mut condition = condition.filter(|it| it.type_ == "PodScheduled" && it.status == "False");
        let condition = condition.next()?;
        Some(format!(
            "is not scheduled: {}",
            condition.message.as_deref().unwrap_or_default()
        ))
    };
    let why = container.or_else(unscheduled)?;
    let object = Object::within("Pod", pod.metadata.namespace.as_deref().unwrap_or_default(), name);
    Some(Finding::of(Problem::ReplicaWaiting, object, why))
}
