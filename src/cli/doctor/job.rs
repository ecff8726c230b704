//! A Job that goes the way of a pod: as its ServiceAccount, on such a node, in such a network, with the token and the configuration
//! that the pod has.

use super::super::inputs::read_all;
use super::asked::Asked;
use super::subject::{NO_IMAGE, agents, containers, env_of, find_broker, has_policy, text, text_of};
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::path::Path;
use vertex_injector_core::clients::{CREDENTIALS, Setting};
use vertex_injector_core::contract::broker::{self, ModeName};
use vertex_injector_core::endpoint::NODE_METADATA;
use vertex_injector_core::manifest;
use vertex_injector_core::names;

/// The only container.
const NAME: &str = "doctor";

/// Prefix of labels by which controllers know their own.
const OF_CONTROLLERS: [&str; 5] = [
    "pod-template-hash",
    "controller-",
    "job-name",
    "batch.kubernetes.io/",
    "apps.kubernetes.io/",
];

/// What decides about a pod's network and place, and is taken over as it is.
const TAKEN_OVER: [&str; 10] = [
    "serviceAccountName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "imagePullSecrets",
    "securityContext",
    "dnsPolicy",
    "dnsConfig",
    "hostAliases",
    "runtimeClassName",
];

/// The manifest, in YAML.
///
/// # Errors
/// When there is no pod, or none that was injected.
pub(super) fn manifest(file: &Path, image: Option<&str>, asked: &Asked) -> anyhow::Result<String> {
    let documents = read_all(&[file.to_owned()], false)?;
    let mut pods = documents.iter().filter(|document| document.kind() == "Pod");
    let (Some(pod), None) = (pods.next(), pods.next()) else {
        bail!(
            "{}: one Pod is needed, as of kubectl get pod NAME -o json",
            file.display()
        );
    };
    of(&pod.value, image, asked).with_context(|| file.display().to_string())
}

/// The same for a pod that is known.
///
/// # Errors
/// When it was not injected.
pub(super) fn of(pod: &Value, image: Option<&str>, asked: &Asked) -> anyhow::Result<String> {
    manifest::yaml(&[&job(pod, image, asked)?])
}

fn job(pod: &Value, image: Option<&str>, asked: &Asked) -> anyhow::Result<Value> {
    let name = text(pod, "/metadata/name").unwrap_or("pod");
    let mut container = match find_broker(pod) {
        Some(broker) => beside_broker(broker),
        None => without_broker(pod, image, asked)?,
    };
    container.insert("name".into(), NAME.into());
    container.insert("args".into(), arguments(pod, asked).into());
    let volumes = volumes(pod, &mut container);

    let mut spec = Map::new();
    for field in TAKEN_OVER {
        if let Some(value) = pod.pointer(&format!("/spec/{field}")) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    spec.insert("automountServiceAccountToken".into(), false.into());
    spec.insert("restartPolicy".into(), "Never".into());
    // Nobody sets it, so that no Service sends this pod anything, though it has the labels.
    spec.insert(
        "readinessGates".into(),
        json!([{"conditionType": "vertex-injector.dev/never"}]),
    );
    spec.insert("containers".into(), json!([container]));
    spec.insert("volumes".into(), volumes.into());

    let mut labels = pod
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.retain(|label, _| !OF_CONTROLLERS.iter().any(|prefix| label.starts_with(prefix)));
    labels.insert(names::INJECT.into(), "false".into());
    let mut metadata = json!({"name": job_name(name)});
    if let (Some(namespace), Some(metadata)) = (pod.pointer("/metadata/namespace"), metadata.as_object_mut()) {
        metadata.insert("namespace".into(), namespace.clone());
    }
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 300,
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }))
}

/// The same image, environment and files as the broker's.
fn beside_broker(broker: &Value) -> Map<String, Value> {
    let taken = [
        "image",
        "imagePullPolicy",
        "env",
        "volumeMounts",
        "securityContext",
        "resources",
    ];
    let taken = taken
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), broker.get(field)?.clone())));
    taken.collect()
}

/// A container that is told as a broker would be what the agent has.
fn without_broker(pod: &Value, image: Option<&str>, asked: &Asked) -> anyhow::Result<Map<String, Value>> {
    has_policy(pod)?;
    let image = image.context(NO_IMAGE)?;
    let project = asked.project.as_ref().map(ToString::to_string);
    let Some(project) = project.or_else(|| agents(pod, Setting::Project)) else {
        bail!("no container names a project; say --project");
    };
    let mut env = vec![
        variable(broker::MODE, ModeName::Metadata.name()),
        variable(broker::PROJECT, &project),
    ];
    let mount = containers(pod).find_map(|container| {
        let mut mounts = container
            .get("volumeMounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let mount = mounts.find(|mount| text(mount, "/name") == Some(names::CREDENTIALS_VOLUME))?;
        Some((container, mount.clone()))
    });
    let configuration = pod
        .pointer("/metadata/annotations")
        .and_then(|all| text_of(all, names::CREDENTIAL_CONFIGURATION));
    let file = mount.as_ref().and_then(|(container, _)| env_of(container, CREDENTIALS));
    env.push(match (configuration, file) {
        (Some(json), _) => variable(broker::CREDENTIALS_JSON, json),
        (None, Some(file)) => variable(broker::CREDENTIALS, file),
        (None, None) => variable(broker::NODE_METADATA_SERVER, NODE_METADATA),
    });
    for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        let mut values = containers(pod).filter_map(|container| env_of(container, name));
        // One with a password is not printed.
        if let Some(value) = values.find(|value| !value.contains('@')) {
            env.push(json!({"name": name, "value": value}));
        }
    }
    let container = json!({
        "image": image,
        "env": env,
        "volumeMounts": mount.map(|(_, mount)| mount).into_iter().collect::<Vec<_>>(),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    Ok(container.as_object().cloned().unwrap_or_default())
}

/// The volumes that the container mounts, under names of their own: those of ours are refused to others.
fn volumes(pod: &Value, container: &mut Map<String, Value>) -> Vec<Value> {
    let mounts = container.get_mut("volumeMounts").and_then(Value::as_array_mut);
    let mut mounts = mounts.into_iter().flatten().collect::<Vec<_>>();
    let all = pod.pointer("/spec/volumes").and_then(Value::as_array);
    let mut found = Vec::new();
    for volume in all.into_iter().flatten() {
        let Some(old) = text(volume, "/name") else { continue };
        let new = format!("{NAME}-{}", found.len());
        let mut used = false;
        for mount in mounts.iter_mut().filter(|mount| text(mount, "/name") == Some(old)) {
            if let Some(mount) = mount.as_object_mut() {
                mount.insert("name".into(), new.clone().into());
                used = true;
            }
        }
        if !used {
            continue;
        }
        let mut volume = volume.clone();
        if let Some(sources) = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut) {
            // The annotation behind it is not this pod's.
            sources.retain(|source| source.get("downwardAPI").is_none());
        }
        if let Some(volume) = volume.as_object_mut() {
            volume.insert("name".into(), new.into());
        }
        found.push(volume);
    }
    found
}

/// What the agent calls, where the broker's environment does not say.
fn arguments(pod: &Value, asked: &Asked) -> Vec<String> {
    let mut arguments = vec![NAME.to_owned()];
    let region = asked.region.as_ref().map(ToString::to_string);
    let models = Setting::MODELS.into_iter().filter_map(|setting| agents(pod, setting));
    let model = models
        .filter_map(|model| model.split('[').next().map(str::to_owned))
        .find(|model| model.contains('-'));
    let flags = [
        ("--project", asked.project.as_ref().map(ToString::to_string)),
        ("--region", region.or_else(|| agents(pod, Setting::Region))),
        ("--model", asked.model.clone().or(model)),
    ];
    for (flag, value) in flags {
        arguments.extend(value.map(|value| format!("{flag}={value}")));
    }
    arguments
}

fn variable(setting: vertex_injector_core::contract::setting::Setting, value: &str) -> Value {
    json!({"name": setting.variable.unwrap_or_default(), "value": value})
}

/// `doctor-NAME`, no longer than a label may be.
fn job_name(pod: &str) -> String {
    let name: String = pod.chars().take(50).collect();
    format!("{NAME}-{}", name.replace('.', "-").trim_end_matches('-'))
}
