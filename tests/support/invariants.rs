//! What is true of every answer about every pod (X1–X5, X12 of the acceptance checks).

use crate::view::list;
use crate::{Admission, World, api_server};
use json_patch::PatchOperation;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vertex_injector_core::admission::{Outcome, review};

/// Checks an answer, and the answer about the same pod as the API server completes it.
#[track_caller]
pub fn check(world: &World, namespace: &str, admission: &Admission) {
    response_shows_the_decision(admission);
    touches_only_what_it_may(admission);
    makes_nothing_ambiguous(admission);
    every_mount_has_a_volume(admission);
    a_broker_keeps_the_credential(admission);
    is_deterministic_and_dry_run_changes_nothing(world, namespace, admission);
    is_idempotent(world, namespace, admission);
    survives_the_api_server(world, namespace, admission);
}

#[track_caller]
fn response_shows_the_decision(admission: &Admission) {
    let Admission { decision, response, .. } = admission;
    let denied = decision.outcome == Outcome::Denied;
    assert_eq!(response["allowed"], !denied);
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["auditAnnotations"]["outcome"], decision.outcome.to_string());
    assert_eq!(response["auditAnnotations"]["reason"], decision.reason.to_string());
    let warnings: Vec<&str> = list(response, "warnings")
        .iter()
        .map(|it| it.as_str().expect("text"))
        .collect();
    let told: Vec<&str> = decision.warnings.iter().map(|warning| &**warning).collect();
    assert_eq!(warnings, told);
    if denied {
        assert_eq!(response["status"]["message"], decision.message);
        assert!(decision.patch.is_empty(), "a refused pod has a patch");
        assert!(decision.env.is_empty() && decision.volumes.is_empty() && decision.containers.is_empty());
    }
    assert!(!decision.message.is_empty(), "an answer without a word");
    let units = decision.units.iter().map(|unit| unit.detail.as_str());
    for said in told.into_iter().chain(units).chain([decision.message.as_str()]) {
        // What a person reads is made for reading.
        for leftover in ["Text(", "Some(", "String(", "None", "PointerBuf"] {
            assert!(!said.contains(leftover), "{said}");
        }
    }
    if let (true, Some(policy)) = (denied, &decision.policy) {
        let (name, _) = policy.split_once('@').expect("a generation");
        assert!(
            decision.message.contains(name),
            "{} lacks the policy {name}",
            decision.message
        );
    }
}

/// X3: nothing but our annotations, the node selector, variables, mounts, volumes and init containers of ours.
#[track_caller]
fn touches_only_what_it_may(admission: &Admission) {
    for operation in &admission.patch.0 {
        let (op, path) = match operation {
            PatchOperation::Add(add) => ("add", add.path.to_string()),
            PatchOperation::Remove(remove) => ("remove", remove.path.to_string()),
            PatchOperation::Replace(replace) => ("replace", replace.path.to_string()),
            other => panic!("{other:?} is no operation of ours"),
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let fine = match parts.as_slice() {
            ["metadata", "annotations", key] => key.starts_with("vertex-injector.dev~1"),
            ["metadata", "annotations"]
            | ["spec", "nodeSelector", ..]
            | ["spec", "imagePullSecrets" | "volumes" | "initContainers"]
            | ["spec", "imagePullSecrets", "-"]
            | ["spec", "containers" | "initContainers", _, "env" | "volumeMounts"] => op == "add",
            ["spec", "volumes", _] | ["spec", "containers" | "initContainers", _, "env" | "volumeMounts", _] => true,
            ["spec", "initContainers", "0"] if op == "add" => true,
            ["spec", "initContainers", index] => is_ours(&admission.before, index),
            _ => false,
        };
        assert!(fine, "{op} {path} is not for us");
    }
    let count = |pod: &Value| list(&pod["spec"], "containers").len();
    assert_eq!(
        count(&admission.before),
        count(&admission.after),
        "len(spec.containers) changed"
    );
}

fn is_ours(pod: &Value, index: &str) -> bool {
    pod["spec"]["initContainers"][index.parse::<usize>().expect("an index")]["name"]
        .as_str()
        .is_some_and(|name| name.starts_with("vertex-injector-"))
}

/// X1: no name occurs more often than it did, and none that we bring occurs twice.
#[track_caller]
fn makes_nothing_ambiguous(admission: &Admission) {
    let (before, after) = (repeated(&admission.before), repeated(&admission.after));
    for (what, times) in after {
        let allowed = before.get(&what).copied().unwrap_or(1);
        assert!(times <= allowed, "{what} occurs {times} times after the injection");
    }
}

/// How often each name occurs that may occur once.
fn repeated(pod: &Value) -> BTreeMap<String, usize> {
    let spec = &pod["spec"];
    let mut names: Vec<String> = Vec::new();
    names.extend(
        list(spec, "volumes")
            .iter()
            .map(|volume| format!("volume {}", volume["name"])),
    );
    for container in list(spec, "containers").iter().chain(list(spec, "initContainers")) {
        let name = &container["name"];
        names.push(format!("container {name}"));
        names.extend(
            list(container, "env")
                .iter()
                .map(|env| format!("{} in {name}", env["name"])),
        );
        let path = |mount: &Value| {
            mount["mountPath"]
                .as_str()
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned()
        };
        names.extend(
            list(container, "volumeMounts")
                .iter()
                .map(|mount| format!("mount {} in {name}", path(mount))),
        );
    }
    let mut times = BTreeMap::new();
    for name in names {
        *times.entry(name).or_default() += 1;
    }
    times
}

#[track_caller]
fn every_mount_has_a_volume(admission: &Admission) {
    let missing = |pod: &Value| -> BTreeSet<String> {
        let spec = &pod["spec"];
        let volumes: Vec<&Value> = list(spec, "volumes").iter().map(|volume| &volume["name"]).collect();
        let containers = list(spec, "containers").iter().chain(list(spec, "initContainers"));
        let mounts = containers.flat_map(|container| list(container, "volumeMounts"));
        mounts
            .map(|mount| &mount["name"])
            .filter(|name| !volumes.contains(name))
            .map(Value::to_string)
            .collect()
    };
    let (before, after) = (missing(&admission.before), missing(&admission.after));
    assert!(
        after.is_subset(&before),
        "mounts without a volume: {:?}",
        after.difference(&before)
    );
}

/// Where there is a broker, nobody else mounts the credential's volume, and no annotation or variable of the agent tells
/// of it.
#[track_caller]
fn a_broker_keeps_the_credential(admission: &Admission) {
    const BROKER: &str = "vertex-injector-broker";
    let pod = &admission.after;
    let containers = || {
        list(&pod["spec"], "containers")
            .iter()
            .chain(list(&pod["spec"], "initContainers"))
    };
    let brokered = containers().any(|container| container["name"] == BROKER);
    if admission.decision.outcome != Outcome::Injected || !brokered {
        return;
    }
    for container in containers().filter(|container| container["name"] != BROKER) {
        let name = &container["name"];
        let mounts = list(container, "volumeMounts").iter();
        assert!(
            mounts
                .clone()
                .all(|mount| mount["name"] != "vertex-injector-credentials"),
            "{name} mounts the broker's credential"
        );
    }
    assert_eq!(
        pod["metadata"]["annotations"].get("vertex-injector.dev/credential-configuration"),
        None,
        "the broker's configuration is in its own environment"
    );
    for edited in &admission.decision.env {
        let (container, variable) = edited.name.split_once('/').expect("CONTAINER/NAME");
        let container = containers()
            .find(|other| other["name"] == container)
            .expect("a container");
        let entries = list(container, "env").iter().filter(|entry| entry["name"] == variable);
        for entry in entries {
            let value = entry["value"].as_str().unwrap_or_default();
            let files = [
                "GOOGLE_APPLICATION_CREDENTIALS",
                "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
            ];
            let loopback = pod["metadata"]["annotations"].get("vertex-injector.dev/loopback-configuration");
            assert!(
                !files.contains(&variable) || loopback.is_some(),
                "{variable}={value} beside a broker"
            );
        }
    }
}

/// X4 and X12.
#[track_caller]
fn is_deterministic_and_dry_run_changes_nothing(world: &World, namespace: &str, admission: &Admission) {
    for dry_run in [false, true] {
        let again = review(
            &api_server::review(&admission.before, namespace, dry_run),
            &world.policies,
        )
        .expect("a good review");
        let response: Value = serde_json::from_slice(&again.response).expect("JSON");
        assert_eq!(
            response["response"], admission.response,
            "another answer to the same question (dryRun: {dry_run})"
        );
        assert_eq!(again.dry_run, dry_run);
    }
}

/// X2.
#[track_caller]
fn is_idempotent(world: &World, namespace: &str, admission: &Admission) {
    let again = world.ask(namespace, &admission.after);
    if admission.decision.outcome == Outcome::Denied {
        return;
    }
    assert_eq!(
        again.decision.outcome, admission.decision.outcome,
        "{}",
        again.decision.message
    );
    assert_eq!(again.patch.0, [], "a second injection changes something");
}

/// The pod of a real API server arrives with its defaults filled in and passes by once more when a plugin touched it:
/// the outcome is the same, and what is stored is the injected pod with the same defaults.
#[track_caller]
fn survives_the_api_server(world: &World, namespace: &str, admission: &Admission) {
    if list(&admission.before["spec"], "containers").is_empty() {
        return;
    }
    let stored = world.create(namespace, &admission.before);
    let mut expected = admission.after.clone();
    api_server::fill_in(&mut expected);
    match (stored, admission.decision.outcome) {
        (Err(_), Outcome::Denied) => {}
        (Err(message), outcome) => panic!("{outcome} as written, but denied as the API server sends it: {message}"),
        (Ok(_), Outcome::Denied) => panic!("denied as written, but not as the API server sends it"),
        (Ok(mut stored), _) => {
            sort(&mut stored);
            sort(&mut expected);
            assert_eq!(stored, expected, "the API server's defaults make a difference");
        }
    }
}

/// Sorts what may come in any order between us and the API server's plugins.
fn sort(pod: &mut Value) {
    let by = |key: &'static str| move |value: &Value| value[key].as_str().unwrap_or_default().to_owned();
    let spec = &mut pod["spec"];
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.sort_by_key(by("name"));
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.sort_by_key(by("mountPath"));
            }
        }
    }
}
