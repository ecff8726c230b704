//! Whatever is done to a policy, it compiles or says why not.

use crate::operator;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use vertex_injector_core::api::ClusterPolicySpec;
use vertex_injector_core::manifest;
use vertex_injector_core::policy;

fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "json") {
            found.push(path);
        }
    }
}

fn collect(value: &Value, specs: &mut Vec<Value>) {
    if value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("InjectionPolicy"))
    {
        specs.push(value["spec"].clone());
    }
    if let Some(spec) = value.get("spec").filter(|_| value.get("errors").is_some()) {
        specs.push(spec.clone());
    }
    for child in value.as_object().into_iter().flat_map(|it| it.values()) {
        collect(child, specs);
    }
    for child in value.as_array().into_iter().flatten() {
        collect(child, specs);
    }
}

fn corpus() -> Vec<Value> {
    let mut paths = Vec::new();
    files(&support::root().join("tests"), &mut paths);
    paths.sort();
    let mut specs = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for document in manifest::documents(&text).unwrap_or_default() {
            collect(&document, &mut specs);
        }
    }
    specs
}

struct Random(u64);
impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % n
    }
}

fn pool(value: &Value, pool: &mut BTreeMap<String, Vec<Value>>) {
    for (key, child) in value.as_object().into_iter().flatten() {
        let list = pool.entry(key.clone()).or_default();
        if list.len() < 60 && !list.contains(child) {
            list.push(child.clone());
        }
        self::pool(child, pool);
    }
    for child in value.as_array().into_iter().flatten() {
        self::pool(child, pool);
    }
}

fn mutate(value: &mut Value, random: &mut Random, pool: &BTreeMap<String, Vec<Value>>) {
    const NASTY: [&str; 14] = [
        "",
        "/",
        "/usr/bin",
        "a..b",
        "UPPER",
        "/var/run/secrets/vertex-injector",
        "PATH",
        "/etc",
        "https://kubernetes.default.svc",
        "LD_PRELOAD",
        "GOOGLE_API_KEY",
        "latest",
        "metadata.name",
        "VERTEX_INJECTOR_X",
    ];
    match value {
        Value::Object(object) => {
            let keys: Vec<String> = object.keys().cloned().collect();
            match random.below(8) {
                0 if !keys.is_empty() => {
                    object.remove(&keys[random.below(keys.len())]);
                }
                1 => {
                    let all: Vec<&String> = pool.keys().collect();
                    let key = all[random.below(all.len())];
                    let values = &pool[key];
                    object.insert(key.clone(), values[random.below(values.len())].clone());
                }
                2 | 3 if !keys.is_empty() => {
                    let key = &keys[random.below(keys.len())];
                    if let Some(values) = pool.get(key) {
                        object[key] = values[random.below(values.len())].clone();
                    }
                }
                _ if !keys.is_empty() => mutate(&mut object[&keys[random.below(keys.len())]], random, pool),
                _ => {}
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let i = random.below(list.len());
            match random.below(5) {
                0 => {
                    let copy = list[i].clone();
                    list.push(copy);
                }
                1 => {
                    list.remove(i);
                }
                _ => mutate(&mut list[i], random, pool),
            }
        }
        Value::String(text) => *text = NASTY[random.below(NASTY.len())].to_owned(),
        Value::Number(_) => *value = json!([8480, 8091, 8470, 80, 700, 1024][random.below(6)]),
        _ => {}
    }
}

#[test]
fn a_mutated_policy_compiles_or_names_fields_of_its_own() {
    const ROUNDS: usize = 3000;
    let corpus = corpus();
    assert!(corpus.len() > 100, "{}", corpus.len());
    let mut known = BTreeMap::new();
    for spec in &corpus {
        pool(spec, &mut known);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut usable, mut unusable) = (0, 0);
    for round in 0..ROUNDS {
        let mut spec = corpus[round % corpus.len()].clone();
        for _ in 0..random.below(4) {
            mutate(&mut spec, &mut random, &known);
        }
        let Ok(spec) = serde_json::from_value::<ClusterPolicySpec>(spec) else {
            continue;
        };
        match policy::compile(&spec.policy, spec.namespace_selector.as_ref(), &operator()).result {
            Ok(compiled) => {
                assert!(!compiled.kinds.is_empty());
                usable += 1;
            }
            Err(refused) => {
                assert!(!refused.errors.0.is_empty());
                let is_field = |field: &str| field == "spec" || field.starts_with("spec.");
                assert!(
                    refused.errors.0.iter().all(|error| is_field(&error.field)),
                    "{}",
                    refused.errors
                );
                unusable += 1;
            }
        }
    }
    assert!(usable > 200 && unusable > 200, "{usable} {unusable}");
}
