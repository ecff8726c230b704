//! Every name and path that either the code or the chart knows, put to both.

use crate::judge::{agree, named};
use crate::release::RELEASE;
use harness::process::repository;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_variable_that_code_or_chart_knows_is_judged_alike() {
    let Some(release) = &*RELEASE else { return };
    let mut names = words(
        &[
            "src/core/reserved.rs",
            "src/core/clients.rs",
            "charts/vertex-injector/files/policy-rules.yaml",
        ],
        "[A-Za-z_][A-Za-z0-9_]{1,}",
    );
    for name in names.clone() {
        names.insert(format!("{name}X"));
        names.insert(format!("X_{name}"));
        names.insert(format!("X{name}"));
        names.insert(name.to_lowercase());
    }
    assert!(names.len() > 500, "{}", names.len());
    let names: Vec<String> = names.into_iter().collect();
    // Few enough for a message to name all of them.
    let specs: Vec<Value> = names
        .chunks(16)
        .flat_map(|names| {
            let literal: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "x"})).collect();
            let reference = json!({"configMapKeyRef": {"name": "a", "key": "b"}});
            let reference: Vec<Value> = names.iter().map(|name| json!({"name": name, "valueFrom": reference})).collect();
            let token = |(i, name): (usize, &String)| json!({"name": format!("t{i}"), "audience": "a", "mountPath": format!("/t{i}"), "envName": name});
            let tokens: Vec<Value> = names.iter().enumerate().map(token).collect();
            let held: Vec<Value> = names.iter().map(|name| json!({"name": name, "field": "token"})).collect();
            [
                json!({"env": literal}),
                json!({"agents": [{"podSelector": {}}, {"podSelector": {}, "env": reference}, {"podSelector": {}, "env": literal}]}),
                json!({"sidecars": [{"name": "a", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8100, "env": literal}]}),
                json!({"sidecars": [{
                    "name": "a", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8100, "command": ["serve"],
                    "credential": {"secret": {"secretName": "a"}}, "credentialEnv": held,
                }]}),
                json!({"tokens": tokens}),
            ]
        })
        .collect();
    assert!(agree(release, &named(&specs)) > 60);
}

#[test]
fn every_path_that_code_or_chart_knows_is_judged_alike_wherever_it_is_mounted() {
    let Some(release) = &*RELEASE else { return };
    let mut paths = words(
        &[
            "src/core/reserved.rs",
            "src/core/names.rs",
            "charts/vertex-injector/files/policy-rules.yaml",
        ],
        "/[a-z0-9./-]*",
    );
    for path in paths.clone() {
        paths.insert(format!("{path}/below"));
        paths.insert(format!("{path}-beside"));
        if path.starts_with("/run") {
            paths.insert(format!("/var{path}"));
        }
    }
    for odd in [
        "/a//b", "/a/", "//a", "/a/./b", "/a/../b", "/..", "/.", "/.a", "/..a", "/...", "/a/.../b", "/a b", "/ä",
    ] {
        paths.insert(odd.to_owned());
    }
    // The schema wants two characters at least, and no white space: its own test has those.
    paths.retain(|path| path.len() > 1 && !path.contains(' '));
    assert!(paths.len() > 100, "{}", paths.len());
    let paths: Vec<String> = paths.into_iter().collect();
    let specs: Vec<Value> = paths
        .chunks(16)
        .flat_map(|paths| {
            let mount = |(_, path): (usize, &String)| json!({"name": "v", "mountPath": path});
            let helper = |(_, path): (usize, &String)| json!({"configMapName": "c", "mountPath": path});
            let token =
                |(i, path): (usize, &String)| json!({"name": format!("t{i}"), "audience": "a", "mountPath": path});
            let agent = |(_, path): (usize, &String)| json!({"podSelector": {}, "credentialDirectory": path});
            [
                json!({"podVolumes": ["v"], "volumeMounts": paths.iter().enumerate().map(mount).collect::<Value>()}),
                json!({"authHelpers": paths.iter().enumerate().map(helper).collect::<Value>()}),
                json!({"tokens": paths.iter().enumerate().map(token).collect::<Value>()}),
                json!({"agents": paths.iter().enumerate().map(agent).collect::<Value>()}),
            ]
        })
        .collect();
    assert!(agree(release, &named(&specs)) > 40);
}

/// Every string of this form in these files: literals in Rust, values in YAML.
fn words(files: &[&str], form: &str) -> BTreeSet<String> {
    let whole = Regex::new(&format!("^(?:{form})$")).expect("a pattern");
    let mut words = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(repository().join(file)).expect("a file of the repository");
        if Path::new(file).extension() == Some("rs".as_ref()) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            words.extend(
                code.flat_map(|line| line.split('"').skip(1).step_by(2))
                    .map(str::to_owned),
            );
        } else {
            strings(
                &vertex_injector_core::manifest::documents(&text).expect("well-formed")[0],
                &mut words,
            );
        }
    }
    words.retain(|word| whole.is_match(word));
    words
}

fn strings(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            all.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
        Value::Object(map) => map.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}
