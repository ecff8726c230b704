//! Workloads of every kind with pods of several systems and oddities: the command line decides, and changes the template, as
//! the webhook does the pod that comes of it.

use harness::process::{self, Ran};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use support::World;
use support::workloads::{POLICIES, objects};
use vertex_injector_core::admission::Operator;
use vertex_injector_core::admission::Outcome;
use vertex_injector_core::manifest::workload::{self, PodAt};

fn run(verb: &str, output: &str, objects: &[&Value]) -> Ran {
    let items = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let directory = tempfile::tempdir().expect("a directory");
    let policies = directory.path().join("policies.yaml");
    std::fs::write(&policies, POLICIES).expect("the policies");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command.args([verb, "-f", "-", "-o", output, "--policy"]).arg(&policies);
    process::run(&mut command, &items.to_string(), Duration::from_mins(1))
}

#[test]
fn a_workload_of_any_kind_is_decided_about_and_changed_as_the_webhook_does_its_pods() {
    let objects = objects();
    assert!(objects.len() >= 300, "{}", objects.len());
    let worlds = ["files", "brokers"].map(|namespace| {
        (
            namespace,
            World::new(&support::documents(POLICIES), namespace, &Operator::default()),
        )
    });
    let webhook = |namespace: &str, pod: &Value| {
        let (_, world) = worlds.iter().find(|(name, _)| *name == namespace).expect("a namespace");
        // Every pod that is sent has some.
        let mut pod = pod.clone();
        pod.as_object_mut()
            .expect("a pod")
            .entry("metadata")
            .or_insert_with(|| json!({}));
        world.ask(namespace, &pod)
    };
    let all: Vec<&Value> = objects.iter().collect();
    let explained: Value = serde_json::from_str(&run("explain", "json", &all).stdout).expect("JSON");
    let mut explained = explained.as_array().expect("a list").iter();
    let (mut admitted, mut outcomes) = (Vec::new(), [0_usize; 3]);
    for object in &all {
        let mut denied = false;
        for at in workload::pods(object) {
            let template = object.pointer(&at.template).expect("a template");
            let asked = webhook(at.namespace.as_deref().expect("a namespace"), &at.pod(template));
            let said = explained.next().expect("an explanation");
            let name = format!("{} {} {}", at.kind, at.name, at.template);
            assert_eq!(said["outcome"], asked.decision.outcome.to_string(), "{name}: {said}");
            assert_eq!(said["reason"], asked.decision.reason.to_string(), "{name}");
            assert_eq!(said["message"], asked.decision.message, "{name}");
            outcomes[asked.decision.outcome as usize] += 1;
            denied |= asked.decision.outcome == Outcome::Denied;
        }
        if !denied {
            admitted.push(*object);
        }
    }
    assert!(explained.next().is_none());
    assert!(outcomes.iter().all(|times| *times > 20), "{outcomes:?}");
    let ran = run("inject", "json", &admitted);
    let injected: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let injected = injected["items"].as_array().expect("a list");
    assert_eq!(injected.len(), admitted.len());
    for (before, after) in admitted.iter().zip(injected) {
        for at in workload::pods(before) {
            let pod = at.pod(before.pointer(&at.template).expect("a template"));
            let asked = webhook(at.namespace.as_deref().expect("a namespace"), &pod);
            assert_eq!(of_template(&at, after), of_pod(&asked.after), "{} {}", at.kind, at.name);
        }
    }
}

/// The pod that comes of an injected template.
fn of_template(at: &PodAt, object: &Value) -> (Value, Value, Vec<Value>) {
    of_pod(&at.pod(object.pointer(&at.template).expect("a template")))
}

/// What counts of a pod: its annotations, its spec, and its volumes in any order, because those of claims are last in one case
/// and not in the other.
fn of_pod(pod: &Value) -> (Value, Value, Vec<Value>) {
    let mut spec = pod["spec"].clone();
    let mut volumes = spec["volumes"].take().as_array().cloned().unwrap_or_default();
    volumes.sort_by_key(|volume| volume["name"].to_string());
    (pod["metadata"]["annotations"].clone(), spec, volumes)
}
