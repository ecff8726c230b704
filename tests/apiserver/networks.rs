//! The example NetworkPolicies: the API server takes them, they select the pods that they are for, and leave open what these need.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use vertex_injector_core::manifest;

use crate::pods::of_file;
use crate::world::world;
use harness::process::repository;

/// Its name, pods of its system, and ports.
type File = (&'static str, &'static [&'static str], &'static [u64], &'static [u64]);

/// Each file, pods of its system, and the ports of the cluster that they call and are called at.
const FILES: [File; 8] = [
    ("file", &["kartograph-sticky", "kartograph-agentic-ci-job"], &[], &[]),
    (
        "metadata",
        &["kartograph-sticky", "kartograph-agentic-ci-job"],
        &[],
        &[],
    ),
    ("proxy", &["kartograph-sticky", "kartograph-agentic-ci-job"], &[], &[]),
    (
        "kartograph",
        &["kartograph-sticky", "kartograph-agentic-ci-job"],
        &[8000],
        &[8787],
    ),
    (
        "ambient",
        &["ambient-cp-runner", "ambient-cp-runner-novertex"],
        &[8000, 8080, 9000],
        &[8001],
    ),
    ("fracta", &["fracta-job-pod", "fracta-stream-pod"], &[], &[8080]),
    ("kagent", &["kagent-agent"], &[], &[8080]),
    ("sandbox", &[], &[], &[]),
];

/// Whether a selector of Kubernetes matches labels.
fn matches(selector: &Value, labels: &Value) -> bool {
    let equal = { selector["matchLabels"].as_object().into_iter().flatten() }.all(|(key, value)| labels[key] == *value);
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal
        && expressions.all(|expression| {
            let label = &labels[expression["key"].as_str().expect("a key")];
            match expression["operator"].as_str() {
                Some("Exists") => label.is_string(),
                Some("In") => expression["values"].as_array().expect("values").contains(label),
                other => panic!("{other:?}"),
            }
        })
}

/// The ports of rules whose peers are not addresses.
fn ports(rules: &Value, is_address: bool) -> BTreeSet<u64> {
    let rules = rules.as_array().into_iter().flatten();
    let peers = |rule: &Value| {
        rule["to"]
            .as_array()
            .or(rule["from"].as_array())
            .cloned()
            .unwrap_or_default()
    };
    let rules = rules.filter(|rule| peers(rule).iter().any(|peer| peer["ipBlock"].is_object() == is_address));
    let ports = rules.flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
    ports.filter_map(|port| port["port"].as_u64()).collect()
}

#[test]
fn the_example_network_policies_let_the_systems_pods_live() {
    let Some(world) = world() else { return };
    let folder = repository().join("hack/demo/networkpolicies");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), FILES.len());
    for (name, pods, called, served) in FILES {
        let text = fs::read_to_string(folder.join(name).with_extension("yaml")).expect("the file");
        let policy = manifest::documents(&text).expect("well-formed YAML").remove(0);
        let namespace = policy["metadata"]["namespace"].as_str().expect("a namespace");
        if !world.cluster.try_kubectl(&["get", "namespace", namespace]).success() {
            world.cluster.create_namespace(namespace, &[]);
        }
        world.cluster.apply(&text);
        let stored = world.cluster.get(&[
            "--namespace",
            namespace,
            "networkpolicy",
            policy["metadata"]["name"].as_str().expect("a name"),
        ]);
        let spec = &stored["spec"];
        for file in pods {
            let object = of_file(file).remove(0);
            let template = object.pointer("/spec/template").unwrap_or(&object);
            assert!(
                matches(&spec["podSelector"], &template["metadata"]["labels"]),
                "{name} does not select {file}"
            );
        }
        let cluster = ports(&spec["egress"], false);
        // Kartograph's own stands beside the one of the mode.
        if name != "kartograph" {
            assert!(cluster.is_superset(&[53, 5353].into()), "{name}: {cluster:?}");
            assert_eq!(ports(&spec["egress"], true), [443].into(), "{name}");
        }
        assert!(called.iter().all(|port| cluster.contains(port)), "{name}: {cluster:?}");
        let ingress = ports(&spec["ingress"], false);
        assert!(served.iter().all(|port| ingress.contains(port)), "{name}: {ingress:?}");
        let types = spec["policyTypes"].as_array().expect("types");
        assert_eq!(
            types.contains(&json!("Ingress")),
            spec["ingress"].is_array(),
            "{name}: what is not opened would be closed"
        );
    }
}
