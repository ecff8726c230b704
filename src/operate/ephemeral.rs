//! A container that is added to a pod that runs, tells what it finds in its log, and ends by itself.

use crate::cluster::{Cluster, Refusal};
use anyhow::{anyhow, bail};
use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{GetParams, LogParams, Patch, PatchParams, Request};
use kube::core::Resource;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use vertex_injector_core::causes::with_causes;

/// How long a container may take to begin. Its image is mostly there.
const BEGIN: Duration = Duration::from_mins(1);

/// How long it may take in all, which is more than it needs when every host keeps silent.
const LIMIT: Duration = Duration::from_mins(5);

/// How often the pod's status is asked for.
const PERIOD: Duration = Duration::from_millis(500);

/// Most bytes of its log that are read.
const LOG: i64 = 1024 * 1024;

/// What a kubelet says of containers that begin by themselves if one waits.
const STILL_COMING: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

/// How it is with a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The kubelet is about to start it.
    Coming,
    /// It cannot be started: why.
    Stuck(String),
    /// It runs.
    Running,
    /// It has ended: its exit code, and why, as the kubelet says it.
    Ended(i32, String),
}

/// A pod as JSON.
///
/// # Errors
/// When it cannot be read, or does not exist.
pub async fn pod(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<Value> {
    let request = Request::new(Pod::url_path(&(), Some(namespace))).get(name, &GetParams::default())?;
    cluster.ask(request).await.map_err(|refusal| match refusal {
        Refusal::NotFound => anyhow!("there is no pod {name} in namespace {namespace}"),
        refusal => anyhow!(
            "{}",
            refusal.words(&format!("get on pods/{name} in namespace {namespace}"))
        ),
    })
}

/// Adds the container to the pod.
///
/// # Errors
/// Why the API server does not take it, in words.
pub async fn add(cluster: &Cluster, namespace: &str, pod: &str, container: &Value) -> Result<(), String> {
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [container]}}));
    let request = Request::new(Pod::url_path(&(), Some(namespace)))
        .patch_subresource("ephemeralcontainers", pod, &PatchParams::default(), &patch)
        .map_err(|error| error.to_string())?;
    let right = format!("patch on pods/ephemeralcontainers in namespace {namespace}");
    match cluster.ask::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(Refusal::Answer(words)) => Err(refused(&words)),
        Err(refusal) => Err(refusal.words(&right)),
    }
}

/// Who refuses, before the API server's own words.
fn refused(words: &str) -> String {
    let who = if words.contains("violates PodSecurity") {
        "Pod Security of its namespace refuses it"
    } else if words.contains("ValidatingAdmissionPolicy") && words.contains("-broker'") {
        "the guard of vertex-injector refuses it (admissionPolicies.brokerGuard)"
    } else if words.contains("ValidatingAdmissionPolicy") || words.contains("admission webhook") {
        "an admission policy of the cluster refuses it"
    } else {
        "the API server refuses it"
    };
    format!("{who}: {words}")
}

/// Waits until the container has begun, and gives its log to `take`, line by line, until it has ended: its exit code.
///
/// # Errors
/// When it does not begin, or is not seen to its end.
pub async fn follow(
    cluster: &Cluster,
    (namespace, pod, container): (&str, &str, &str),
    mut take: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<i32> {
    let begun = async {
        loop {
            match look(cluster, namespace, pod, container).await? {
                State::Coming => sleep(PERIOD).await,
                State::Stuck(why) => bail!("container {container} cannot begin: {why}"),
                State::Running | State::Ended(..) => return Ok(()),
            }
        }
    };
    match timeout(BEGIN, begun).await {
        Ok(begun) => begun?,
        Err(_) => bail!(
            "the kubelet has not started container {container} within {} s; is its node there?",
            BEGIN.as_secs()
        ),
    }
    let end = Instant::now() + LIMIT;
    let mut lines = 0;
    loop {
        // Before the log, so that nothing is missed of one that has ended.
        let state = look(cluster, namespace, pod, container).await?;
        let read = read(cluster, (namespace, pod, container), &mut lines, &mut take);
        let whole = timeout_at(end, read).await;
        match (state, whole) {
            (_, Ok(Err(error))) => return Err(error),
            (State::Ended(code, why), Ok(Ok(()))) => {
                if !(0..=2).contains(&code) {
                    bail!("container {container} has ended with code {code} ({why})");
                }
                return Ok(code);
            }
            (_, Err(_)) => bail!("container {container} has not ended within {} s", LIMIT.as_secs()),
            (_, Ok(Ok(()))) if Instant::now() > end => {
                bail!("container {container} has not ended within {} s", LIMIT.as_secs())
            }
            // The connection was cut, or the status comes after the log's end.
            (_, Ok(Ok(()))) => sleep(PERIOD).await,
        }
    }
}

/// Reads the log to its end, without the lines that are known.
async fn read(
    cluster: &Cluster,
    (namespace, pod, container): (&str, &str, &str),
    known: &mut usize,
    take: &mut impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let params = LogParams {
        container: Some(container.to_owned()),
        follow: true,
        limit_bytes: Some(LOG),
        ..LogParams::default()
    };
    let api = Api::<Pod>::namespaced(cluster.patient()?, namespace);
    let log = match api.log_stream(pod, &params).await {
        Ok(log) => log,
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            bail!("container {container} is at work; its log needs get on pods/log in namespace {namespace}")
        }
        Err(error) => bail!(
            "the log of container {container} cannot be read: {}",
            with_causes(&error)
        ),
    };
    let mut lines = std::pin::pin!(log.lines().skip(*known));
    // An end that comes too early is seen by the status.
    while let Some(Ok(line)) = lines.next().await {
        *known += 1;
        take(&line)?;
    }
    Ok(())
}

async fn look(cluster: &Cluster, namespace: &str, name: &str, container: &str) -> anyhow::Result<State> {
    Ok(state(&pod(cluster, namespace, name).await?, container))
}

/// How it is with a container of this name that was added to a pod.
pub fn state(pod: &Value, container: &str) -> State {
    let statuses = pod
        .pointer("/status/ephemeralContainerStatuses")
        .and_then(Value::as_array);
    let mut statuses = statuses.into_iter().flatten();
    let Some(status) = statuses.find(|status| status.get("name").is_some_and(|name| name == container)) else {
        return match text(pod, "/status/phase") {
            phase @ ("Succeeded" | "Failed") => State::Stuck(format!("the pod has ended ({phase})")),
            _ => State::Coming,
        };
    };
    if let Some(ended) = status.pointer("/state/terminated") {
        let code = ended.get("exitCode").and_then(Value::as_i64);
        let code = code.and_then(|code| i32::try_from(code).ok()).unwrap_or(i32::MAX);
        let (reason, message) = (text(ended, "/reason"), text(ended, "/message"));
        return State::Ended(code, [reason, message].join(" ").trim_end().to_owned());
    }
    if status.pointer("/state/running").is_some() {
        return State::Running;
    }
    let reason = text(status, "/state/waiting/reason");
    if STILL_COMING.contains(&reason) {
        State::Coming
    } else {
        let why = format!("{reason}: {}", text(status, "/state/waiting/message"));
        State::Stuck(why.trim_end_matches(": ").to_owned())
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
