//! What we read, write and refuse is what kubectl and a real API server read and refuse.
#![cfg(test)]

use harness::kube::{ControlPlane, Kubernetes};
use harness::process::Ran;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use support::policy_object;
use support::scalars;
use vertex_injector_core::{api, manifest};

#[test]
fn kubectl_and_the_api_server_agree_with_us() {
    let Some(cluster) = ControlPlane::start_or_explain() else {
        return;
    };
    scalars_are_read_alike(&cluster);
    strings_that_we_write_are_read_as_we_mean_them(&cluster);
    policies_are_refused_alike_for_the_same_fields(&cluster);
}

/// What kubectl takes a manifest for, without asking the cluster.
fn as_kubectl_reads(kubectl: &Kubernetes, manifest: &str) -> Value {
    let text = kubectl.kubectl_stdin(&["label", "--local", "-f", "-", "-o", "json", "read=yes"], manifest);
    serde_json::from_str(&text).unwrap()
}

fn scalars_are_read_alike(kubectl: &Kubernetes) {
    let scalars = [
        "0644",
        "0o644",
        "-0644",
        "0_644",
        "09",
        "-09",
        "0x1F",
        "0x_1F",
        "0b11",
        "1_000",
        "+5",
        "-0",
        "1e3",
        "1.0",
        "0.",
        ".5",
        "1.e5",
        "1.5e300",
        "18446744073709551615",
        "18446744073709551616",
        "012345678901234567890123",
        "yes",
        "y",
        "N",
        "on",
        "Off",
        "True",
        "~",
        "Null",
        "",
        "1:30",
        "2001-01-01",
        "2001-12-14t21:59:43.10-05:00",
        "_1",
        "!!str 0644",
        "!!int \"7\"",
        "!!float 7",
        "!!binary aGVsbG8=",
        "!local tagged",
        "'it''s'",
        "\"\\x41\\u00e9\\n\"",
        "plain: no",
        "|\n  a\n   b",
        ">-\n  a\n  b\n\n  c",
        "|+\n  a\n\n",
        "*anchor",
        "{<<: *map, b: 2}",
        "[1, 0644, yes]",
    ];
    for scalar in scalars {
        let yaml = format!(
            "apiVersion: example.com/v1\nkind: Example\nmetadata: {{name: x}}\nanchor: &anchor [a]\nmap: &map {{a: 1}}\nvalue: {scalar}\n"
        );
        let read = kubectl.try_kubectl_stdin(&["label", "--local", "-f", "-", "-o", "json", "read=yes"], &yaml);
        let ours = manifest::documents(&yaml);
        assert_eq!(read.success(), ours.is_ok(), "{scalar}: {} {ours:?}", read.stderr);
        if let Ok(ours) = ours {
            let theirs: Value = serde_json::from_str(&read.stdout).unwrap();
            assert_eq!(numbers(&ours[0]["value"]), numbers(&theirs["value"]), "{scalar}");
        }
    }
}

/// Numbers as kubectl compares them: it writes 1.0 as 1.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), numbers(value)))
            .collect(),
        other => other.clone(),
    }
}

fn strings_that_we_write_are_read_as_we_mean_them(kubectl: &Kubernetes) {
    let words = scalars::TRICKY;
    let data: Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(i, word)| (format!("k{i}"), json!(word)))
        .collect();
    let keys: Map<String, Value> = words.iter().map(|word| (format!("k{word}"), json!(1))).collect();
    let object = json!({
        "apiVersion": "example.com/v1",
        "kind": "Example",
        "metadata": {"name": "x"},
        "data": data,
        "keys": keys,
        "list": words,
    });
    let yaml = manifest::yaml(&manifest::parse("in.json", &object.to_string()).unwrap()).unwrap();
    let read = as_kubectl_reads(kubectl, &yaml);
    for part in ["data", "keys", "list"] {
        assert_eq!(read[part], object[part], "{yaml}");
    }
}

fn policies_are_refused_alike_for_the_same_fields(cluster: &Kubernetes) {
    let definitions: Vec<Value> = api::crds()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect();
    let definitions: Vec<&Value> = definitions.iter().collect();
    cluster.kubectl_stdin(
        &["apply", "--server-side", "-f", "-"],
        &manifest::yaml(&definitions).unwrap(),
    );
    for kind in ["InjectionPolicy", "ClusterInjectionPolicy"] {
        served(cluster, kind);
    }

    for case in manifest::documents(include_str!("../schema/refused.yaml")).unwrap() {
        let name = &case["name"];
        let object = case
            .get("object")
            .cloned()
            .unwrap_or_else(|| policy_object("InjectionPolicy", "case", &case["spec"]));
        let answer = create(cluster, &object);
        let errors: Vec<&str> = case["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(answer.success(), errors.is_empty(), "{name}: {}", answer.stderr);
        // An object that is no policy at all is refused before its fields are looked at.
        if case.get("spec").is_some() && !errors.is_empty() {
            let named = errors
                .iter()
                .any(|error| answer.stderr.contains(&as_the_api_server_writes(error)));
            assert!(
                named,
                "{name}: the API server names none of {errors:?} in {}",
                answer.stderr
            );
        }
    }
}

/// Creates an object without keeping it.
fn create(cluster: &Kubernetes, object: &Value) -> Ran {
    let arguments = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    cluster.try_kubectl_stdin(&arguments, &object.to_string())
}

/// Waits until the API server serves a kind, which it does a moment after it has accepted the definition.
fn served(cluster: &Kubernetes, kind: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = create(cluster, &policy_object(kind, "case", &json!({})));
        if answer.success() {
            return;
        }
        assert!(Instant::now() < deadline, "{kind} is not served: {}", answer.stderr);
    }
}

/// The path of an error as the API server writes it: `matchLabels.key` where we write `matchLabels[key]`.
fn as_the_api_server_writes(error: &str) -> String {
    let (path, _) = error.split_once(": ").unwrap();
    let mut written = Vec::new();
    for (position, part) in path.split(['[', ']']).enumerate() {
        written.push(match part.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) if position == 0 || part.is_empty() || part.starts_with('.') => part.to_owned(),
            Err(_) => format!(".{part}"),
        });
    }
    written.concat()
}
