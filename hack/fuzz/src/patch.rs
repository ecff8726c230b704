//! Patches for the pods of the golden cases, disturbed at random, against the json-patch crate: each can be applied, what it adds
//! is there afterwards, and a second review of the result changes nothing.

use crate::make::disturb;
use fastrand::Rng;
use serde_json::{Value, json};
use support::golden::Case;
use vertex_injector_core::admission::{Decision, Pod, decide};

pub(crate) fn compare(rng: &mut Rng, inputs: u64) -> Result<u64, String> {
    let cases: Vec<_> = Case::all()
        .iter()
        .map(|case| (case.world(), case.pod(), case.namespace()))
        .collect();
    let others: Vec<Value> = others(cases.iter().map(|(_, pod, _)| pod));
    let mut taken = 0;
    for _ in 0..inputs {
        let (world, pod, namespace) = &cases[rng.usize(..cases.len())];
        let mut pod = pod.clone();

        for _ in 0..rng.usize(..4) {
            disturb(rng, &mut pod, &others);
        }
        if !names_are_names(&pod) {
            continue;
        }
        let decided = |pod: &Value| -> Option<Decision> {
            let bytes = pod.to_string();
            let pod = Pod::parse(bytes.as_bytes()).ok()?;
            Some(decide(&pod, namespace, &world.policies))
        };
        let Some(decision) = decided(&pod) else { continue };
        if decision.patch.is_empty() {
            continue;
        }
        let mut after = pod.clone();
        let difference = |what: String| Err(format!("{what}: {pod} with {}", json!(decision.patch)));
        if let Err(error) = json_patch::patch(&mut after, &decision.patch) {
            return difference(format!("cannot be applied: {error}"));
        }
        match decided(&after) {
            Some(again) if again.patch.is_empty() => taken += 1,
            Some(again) => return difference(format!("a second review patches again: {}", json!(again.patch))),
            None => return difference("the result is no pod".to_owned()),
        }
    }
    Ok(taken)
}

/// Everything that stands somewhere in the pods, to stand somewhere else.
fn others<'a>(pods: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    fn collect(value: &Value, all: &mut Vec<Value>) {
        all.push(value.clone());
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
            Value::Object(object) => object.values().for_each(|value| collect(value, all)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut all = vec![json!(""), json!([]), json!({}), json!(0), json!(true)];
    pods.for_each(|pod| collect(pod, &mut all));
    all
}

/// Whether the API server could have let the names of the containers pass (RFC 1123).
fn names_are_names(pod: &Value) -> bool {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut names = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|container| container["name"].as_str());
    names.all(|name| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}
