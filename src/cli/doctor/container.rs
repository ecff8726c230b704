//! A container of our image for a pod that runs, in the agent's place: with the pod's network, and with what the agent is told.
//!
//! It has no more than the agent has. The identity token beside a broker is the broker's alone: no volume of ours is mounted there, and
//! nothing is a target, which the chart's guard would refuse. What needs that token is asked of the broker on loopback.

use super::asked::Asked;
use super::environment;
use super::subject::{NO_IMAGE, env_of, find_broker, has_policy, text};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use vertex_injector_core::admission::references;
use vertex_injector_core::clients::{CREDENTIALS, METADATA_ADDRESSES, Setting};
use vertex_injector_core::{names, path};
use vertex_injector_sidecar::doctor::{Way, hosts};

/// The name, with a number where there is one already: containers that were added stay in the pod for as long as it lives.
const NAME: &str = "doctor";

/// By which proxy the network is left.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// Variables that name files or folders.
const FILES: [&str; 3] = [CREDENTIALS, "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The user of our image, whose number nobody else has.
const USER: i64 = 65532;

/// The container, as `spec.ephemeralContainers` takes it.
///
/// # Errors
/// When the pod was not injected, or nobody says which image is ours.
pub(super) fn container(pod: &Value, image: Option<&str>, asked: &Asked, json: bool) -> anyhow::Result<Value> {
    has_policy(pod)?;
    let broker = find_broker(pod);
    let agent = list(pod, "/spec/containers")
        .find(|container| is_agent(container))
        .context("no container of the pod calls models; a Job may: --job")?;
    let brokers = broker.and_then(|broker| text(broker, "/image"));
    let image = image.or(brokers).context(NO_IMAGE)?;
    let env = variables(agent, broker);
    let mut container = Map::new();
    container.insert("name".into(), name(pod).into());
    container.insert("image".into(), image.into());
    if let Some(policy) = broker.and_then(|broker| broker.get("imagePullPolicy")) {
        container.insert("imagePullPolicy".into(), policy.clone());
    }
    container.insert("args".into(), arguments(agent, broker, asked, json).into());
    container.insert("volumeMounts".into(), mounts(agent, &env, broker.is_some()).into());
    container.insert("env".into(), env.into());
    let context = broker.and_then(|broker| broker.get("securityContext")).cloned();
    container.insert(
        "securityContext".into(),
        context.unwrap_or_else(|| confined(pod, agent)),
    );
    Ok(container.into())
}

/// A free one.
fn name(pod: &Value) -> String {
    let all = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"].into_iter();
    let taken: BTreeSet<&str> = all
        .flat_map(|place| list(pod, place))
        .filter_map(|container| text(container, "/name"))
        .collect();
    let numbered = (2..u32::MAX).map(|number| format!("{NAME}-{number}"));
    let mut names = std::iter::once(NAME.to_owned()).chain(numbered);
    names
        .find(|name| !taken.contains(name.as_str()))
        .unwrap_or_else(|| NAME.to_owned())
}

fn arguments(agent: &Value, broker: Option<&Value>, asked: &Asked, json: bool) -> Vec<String> {
    let mut arguments = vec![NAME.to_owned()];
    let flags = [
        ("--project", asked.project.as_ref().map(ToString::to_string)),
        ("--region", asked.region.as_ref().map(ToString::to_string)),
        ("--model", asked.model.clone()),
        ("--output", json.then(|| "json".to_owned())),
    ];
    for (flag, value) in flags {
        // The kubelet puts variables in the place of $(NAME).
        arguments.extend(value.map(|value| format!("{flag}={}", value.replace('$', "$$"))));
    }
    arguments.extend(broker.into_iter().flat_map(|broker| reach(agent, broker)));
    arguments
}

/// The hosts that the broker calls, where the container goes the same way as the broker.
fn reach(agent: &Value, broker: &Value) -> Vec<String> {
    let of_agent = !is_proxy(broker) && PROXIES.iter().any(|name| env_of(agent, name) != env_of(broker, name));
    let nothing = Asked::default();
    let told = environment::pod(nothing, &|name| env_of(broker, name).map(str::to_owned));
    let Ok(pod) = told else { return Vec::new() };
    let Way::Credential(credential) = &pod.way else {
        return Vec::new();
    };
    if of_agent {
        return Vec::new();
    }
    let hosts = hosts::called(credential, &pod.target);
    let hosts = hosts.iter().map(ToString::to_string);
    hosts
        .map(|host| format!("--reach={}", host.trim_end_matches('/')))
        .collect()
}

/// Whether the agent calls nobody but this broker.
fn is_proxy(broker: &Value) -> bool {
    use vertex_injector_core::contract::broker::{MODE, ModeName};
    let mode = MODE.variable.and_then(|name| env_of(broker, name));
    mode == Some(ModeName::Proxy.name())
}

fn is_agent(container: &Value) -> bool {
    let mut names = settings().chain([CREDENTIALS, METADATA_ADDRESSES[0]]);
    names.any(|name| entry(container, name).is_some())
}

/// Variables that say what is called, and where.
fn settings() -> impl Iterator<Item = &'static str> {
    let settings = [Setting::Project, Setting::Region, Setting::Endpoint].into_iter();
    let settings = settings.chain(Setting::MODELS).flat_map(Setting::variables);
    settings.map(|known| known.name)
}

/// What the agent is told, as far as it is looked at, and what these variables are made of. Nothing comes from a Secret.
fn variables(agent: &Value, broker: Option<&Value>) -> Vec<Value> {
    let mut wanted: BTreeSet<&str> = settings().chain(FILES).chain([METADATA_ADDRESSES[0]]).collect();
    let mut proxies = Vec::new();
    match broker {
        // The agent asks nobody but the broker, which leaves by its own.
        Some(broker) if is_proxy(broker) => {
            proxies.extend(PROXIES.iter().filter_map(|name| entry(broker, name)));
        }
        _ => wanted.extend(PROXIES),
    }
    if broker.is_some() {
        // What leads to the broker is in a volume of ours, and says no more than the address.
        wanted.remove(CREDENTIALS);
    }
    let all: Vec<&Value> = list(agent, "/env").collect();
    loop {
        let known = wanted.len();
        for variable in &all {
            if text(variable, "/name").is_some_and(|name| wanted.contains(name)) {
                wanted.extend(references(text(variable, "/value").unwrap_or_default()));
            }
        }
        if wanted.len() == known {
            break;
        }
    }
    let agents = all.into_iter().filter(|variable| {
        let is_wanted = text(variable, "/name").is_some_and(|name| wanted.contains(name));
        let source = variable.get("valueFrom");
        let is_open = source.is_none_or(|from| from.get("configMapKeyRef").or(from.get("fieldRef")).is_some());
        is_wanted && is_open
    });
    agents.chain(proxies).cloned().collect()
}

/// The agent's mounts with the files that its variables name. Volumes of ours beside a broker are the broker's.
fn mounts(agent: &Value, env: &[Value], has_broker: bool) -> Vec<Value> {
    let files = env
        .iter()
        .filter(|variable| text(variable, "/name").is_some_and(|name| FILES.contains(&name)));
    let mut found: Vec<Value> = Vec::new();
    for file in files.filter_map(|variable| text(variable, "/value")) {
        let holds = |mount: &&Value| text(mount, "/mountPath").is_some_and(|at| path::is_within(file, at));
        // Kubernetes mounts no parts of volumes into such containers.
        let fits = |mount: &&Value| {
            let of_ours = text(mount, "/name").is_some_and(|name| name.starts_with(names::NAME_PREFIX));
            mount.get("subPath").or(mount.get("subPathExpr")).is_none() && !(has_broker && of_ours)
        };
        let nearest = list(agent, "/volumeMounts")
            .filter(holds)
            .max_by_key(|mount| text(mount, "/mountPath").map(str::len));
        if let Some(mount) = nearest.filter(fits) {
            let mount = json!({"name": mount["name"], "mountPath": mount["mountPath"], "readOnly": true});
            if !found.contains(&mount) {
                found.push(mount);
            }
        }
    }
    found
}

/// As Pod Security's strictest standard wants it, with the agent's user: files may be readable for that one only.
fn confined(pod: &Value, agent: &Value) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let user = |of: &Value, at: &str| of.pointer(at)?.as_i64();
    let own = user(agent, "/securityContext/runAsUser");
    let user = match own.or_else(|| user(pod, "/spec/securityContext/runAsUser")) {
        Some(0) => Some(USER),
        _ => own,
    };
    if let (Some(user), Some(context)) = (user, context.as_object_mut()) {
        context.insert("runAsUser".into(), user.into());
    }
    context
}

fn entry<'p>(container: &'p Value, name: &str) -> Option<&'p Value> {
    list(container, "/env").find(|variable| text(variable, "/name") == Some(name))
}

fn list<'v>(value: &'v Value, place: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(place).and_then(Value::as_array).into_iter().flatten()
}
