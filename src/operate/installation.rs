//! `check`: reads an installation and has it judged, part by part.

use crate::check::agents;
use crate::check::certificate::{self, Called, Target};
use crate::check::trial::{Answer, Trial, trials};
use crate::check::webhooks::{self, Configuration, Settings};
use crate::check::{api_server, definitions, guards, policies, replicas, trial};
use crate::cluster::{Cluster, Look};
use crate::finding::{Finding, Level, Object, Part};
use crate::problem::Problem;
use crate::reading::{self, Which};
use crate::release::Release;
use crate::tls;
use crate::world::World;
use futures::{StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{PostParams, Request};
use kube::core::Resource;
use serde::Serialize;
use serde_json::Value;
use vertex_injector_core::admission::Operator;
use vertex_injector_core::api::crds;

/// Most pods of the webhook with which hands are shaken.
const MAX_REPLICAS: usize = 5;

/// Most trials, and how many at the same time.
const MAX_TRIALS: usize = 100;
const TRIALS_AT_ONCE: usize = 4;

/// What a check found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// This program's version.
    pub version: &'static str,
    /// The release, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// In the order of the parts.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something is so.
    pub fn has(&self, level: Level) -> bool {
        self.findings.iter().any(|finding| finding.level == level)
    }
}

/// Checks an installation. `progress` is told which part is next.
///
/// # Errors
/// When the API server cannot be asked, or several releases could be meant.
pub async fn check(
    cluster: &Cluster,
    which: Which<'_>,
    parts: &[Part],
    progress: impl Fn(Part),
) -> anyhow::Result<Report> {
    let version = cluster.version()?;
    let wanted = |part: Part| {
        let wanted = parts.contains(&part);
        if wanted {
            progress(part);
        }
        wanted
    };
    let mut findings = Vec::new();
    if wanted(Part::ApiServer) {
        let (served, nodes) = tokio::join!(
            cluster.serves("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
            cluster.list::<Node>(None, ""),
        );
        findings.extend(api_server::judge(version, &served, &nodes));
    }
    if wanted(Part::Definitions) {
        for wanted in crds() {
            let name = wanted.metadata.name.as_deref().unwrap_or_default();
            let found = cluster.get::<CustomResourceDefinition>(None, name).await;
            findings.push(definitions::judge(&wanted, &found));
        }
    }
    let mut found = None;
    if parts
        .iter()
        .any(|part| !matches!(part, Part::ApiServer | Part::Definitions))
    {
        match reading::release(cluster, which).await? {
            Look::Seen(Some(release)) => {
                let more = of_release(cluster, &release, wanted).await;
                findings.extend(more);
                found = Some(release);
            }
            Look::Seen(None) => {
                let object = Object::new("release", "");
                let found = match which.namespace {
                    Some(namespace) => format!(
                        "none was found in namespace {namespace}; --namespace names that of vertex-injector itself"
                    ),
                    None => "none was found".to_owned(),
                };
                findings.push(Finding::of(Problem::NotInstalled, object, found));
            }
            Look::Unseen(why) => findings.push(Finding::unseen(Part::Webhooks, Object::new("release", ""), &why)),
        }
    }
    let (name, namespace) = match &found {
        Some(release) => (release.name.as_str(), release.namespace.as_str()),
        None => ("vertex-injector", "vertex-injector"),
    };
    let mut findings: Vec<Finding> = findings.into_iter().map(|it| it.in_release(name, namespace)).collect();
    // Stable: within a part as it was judged.
    findings.sort_by_key(|finding| finding.part);
    Ok(Report {
        version: crate::check::VERSION,
        release: found.map(|release| format!("{}/{}", release.namespace, release.name)),
        findings,
    })
}

async fn of_release(cluster: &Cluster, release: &Release, wanted: impl Fn(Part) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mutating, validating, settings, deployment) = tokio::join!(
        cluster.get::<MutatingWebhookConfiguration>(None, &release.objects),
        cluster.get::<ValidatingWebhookConfiguration>(None, &release.objects),
        reading::settings(cluster, release),
        cluster.get::<Deployment>(Some(&release.namespace), &release.objects),
    );
    let mutating = mutating.map(|found| found.map(|it| Configuration::from(&it)));
    let validating = validating.map(|found| found.map(|it| Configuration::from(&it)));
    let (operator, unknown) = match settings {
        Settings::Known(operator) => (Some(*operator), None),
        Settings::Unknown(finding) => (None, Some(finding)),
    };
    let configurations = [&mutating, &validating]
        .into_iter()
        .filter_map(|look| look.seen()?.as_ref());
    let called: Vec<Called> = configurations.flat_map(certificate::called).collect();
    if wanted(Part::Webhooks) {
        findings.extend(webhooks::judge_injection(release, &mutating, operator.as_ref()));
        findings.push(webhooks::judge_validation(release, &validating));
        findings.extend(unknown);
        for target in distinct(called.iter().map(|called| &called.target)) {
            if let Target::Service { namespace, name } = target {
                let found = cluster.get::<Service>(Some(namespace), name).await;
                let found = found.map(|service| service.is_some());
                findings.push(webhooks::judge_service(namespace, name, &found));
            }
        }
    }
    let pods = match deployment.seen().and_then(|found| selector(found.as_ref()?)) {
        Some(labels) => cluster.list::<Pod>(Some(&release.namespace), &labels).await,
        None => Look::Seen(Vec::new()),
    };
    if wanted(Part::Certificate) {
        for called in &called {
            findings.extend(certificates(cluster, called, &pods).await);
        }
    }
    if wanted(Part::Replicas) {
        let urls = called
            .iter()
            .filter(|called| matches!(called.target, Target::Url { .. }));
        let outside = !called.is_empty() && urls.count() == called.len();
        findings.extend(replicas::judge(release, outside, &deployment, &pods));
    }
    if wanted(Part::Guards) {
        let (policies, bindings) = tokio::join!(
            cluster.list::<ValidatingAdmissionPolicy>(None, ""),
            cluster.list::<ValidatingAdmissionPolicyBinding>(None, ""),
        );
        findings.extend(guards::judge(release, &policies, &bindings));
    }
    findings.extend(of_policies(cluster, release, operator, wanted).await);
    findings
}

async fn of_policies(
    cluster: &Cluster,
    release: &Release,
    operator: Option<Operator>,
    wanted: impl Fn(Part) -> bool,
) -> Vec<Finding> {
    let [of_policies, of_agents, of_trials] = [Part::Policies, Part::Agents, Part::Trials].map(&wanted);
    if !of_policies && !of_agents && !of_trials {
        return Vec::new();
    }
    let parts = [
        (of_policies, Part::Policies),
        (of_agents, Part::Agents),
        (of_trials, Part::Trials),
    ];
    let unseen = |why: &str, all: &[(bool, Part)]| -> Vec<Finding> {
        let parts = all.iter().filter(|(wanted, _)| *wanted);
        parts
            .map(|(_, part)| Finding::unseen(*part, Object::new(part.name(), ""), why))
            .collect()
    };
    let known = operator.is_some();
    let (world, more) = match reading::world(cluster, operator.unwrap_or_default()).await {
        Look::Seen(seen) => seen,
        Look::Unseen(why) => return unseen(&why, &parts),
    };
    let mut findings = Vec::new();
    if of_policies {
        findings.extend(policies::judge(&world));
        if more {
            let object = Object::new("policies and namespaces", "");
            findings.push(Finding {
                part: Part::Policies,
                ..Finding::of(Problem::TooMany, object, "not all were looked at")
            });
        }
    }
    if !known {
        let (_, rest) = parts.split_at(1);
        findings.extend(unseen("the operator's settings are not known", rest));
        return findings;
    }
    if of_agents {
        wanted(Part::Agents);
        let found = reading::agents(cluster, &world, &world.opted_in()).await;
        findings.extend(agents::judge(&found));
    }
    if of_trials {
        wanted(Part::Trials);
        findings.extend(tried(cluster, release, &world).await);
    }
    findings
}

/// Creates the trial pods as dry runs.
async fn tried(cluster: &Cluster, release: &Release, world: &World) -> Vec<Finding> {
    let all = trials(world);
    let left = all.len().saturating_sub(MAX_TRIALS);
    let asked = stream::iter(all.into_iter().take(MAX_TRIALS)).map(|trial| async move {
        let answer = dry_run(cluster, &trial).await;
        trial::judge(&trial, release, &answer)
    });
    let mut findings: Vec<Finding> = asked.buffered(TRIALS_AT_ONCE).collect().await;
    if left > 0 {
        let object = Object::new("policies", "");
        let text = format!("{left} more were not tried");
        findings.push(Finding {
            part: Part::Trials,
            ..Finding::of(Problem::TooMany, object, text)
        });
    }
    findings
}

async fn dry_run(cluster: &Cluster, trial: &Trial) -> Answer {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let request = Request::new(Pod::url_path(&(), Some(&trial.namespace)));
    match request.create(&params, trial.pod.to_string().into_bytes()) {
        Ok(request) => cluster.ask::<Value>(request).await.into(),
        Err(error) => Answer::Forbidden(error.to_string()),
    }
}

/// Shakes hands with everybody who is called.
async fn certificates(cluster: &Cluster, called: &Called, pods: &Look<Vec<Pod>>) -> Vec<Finding> {
    if let Some(finding) = certificate::judge_bundle(called) {
        return vec![finding];
    }
    let now = jiff::Timestamp::now().as_second();
    let name = called.target.server_name();
    let unseen = |why: &str| vec![Finding::unseen(Part::Certificate, called.object.clone(), why)];
    let pods = match (&called.target, pods) {
        (Target::Url { host, port }, _) => {
            let served = tls::of_host(&name, *port, &called.ca_bundle).await;
            return vec![certificate::judge(called, &format!("{host}:{port}"), &served, now)];
        }
        (Target::Service { .. }, Look::Unseen(why)) => return unseen(why),
        (Target::Service { .. }, Look::Seen(pods)) => pods,
    };
    let running = pods.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    });
    let running: Vec<(&Pod, u16)> = running
        .filter_map(|pod| Some((pod, https_port(pod)?)))
        .take(MAX_REPLICAS)
        .collect();
    if running.is_empty() {
        return unseen("no pod of the webhook runs, so nobody shows a certificate");
    }
    let asked = stream::iter(running).map(async |(pod, port)| {
        let from = pod.metadata.name.as_deref().unwrap_or_default();
        match tls::of_pod(cluster, pod, port, &name, &called.ca_bundle).await {
            Look::Seen(served) => certificate::judge(called, from, &served, now),
            Look::Unseen(why) => Finding::unseen(Part::Certificate, called.object.clone(), &format!("{from}: {why}")),
        }
    });
    asked.buffered(MAX_REPLICAS).collect().await
}

/// The port of the webhook's container on which it is called.
fn https_port(pod: &Pod) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let https = ports.find(|port| port.name.as_deref() == Some("https"))?;
    https.container_port.try_into().ok()
}

/// The labels of a Deployment's pods, as a selector.
fn selector(deployment: &Deployment) -> Option<String> {
    let labels = deployment.spec.as_ref()?.selector.match_labels.as_ref()?;
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(labels.join(","))
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut known, next| {
        if !known.contains(&next) {
            known.push(next);
        }
        known
    })
}
