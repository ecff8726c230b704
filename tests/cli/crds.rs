//! `crds`: the definitions as text and as files.

use super::{Files, all, run};
use serde_json::{Value, json};
use std::fs;
use vertex_injector_core::api;

fn definitions() -> Vec<Value> {
    api::crds()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

#[test]
fn both_formats_and_the_files_say_what_the_code_says() {
    assert_eq!(all(&run(&["crds"]).output()), definitions());
    let list: Value = serde_json::from_str(&run(&["crds", "-o", "json"]).output()).unwrap();
    assert_eq!(
        list,
        json!({"apiVersion": "v1", "kind": "List", "items": definitions()})
    );

    let files = Files::new(&[]);
    assert_eq!(run(&["crds", "--output-dir", &files.path("")]).output(), "");
    for definition in definitions() {
        let name = format!("{}.yaml", definition["spec"]["names"]["plural"].as_str().unwrap());
        assert_eq!(all(&fs::read_to_string(files.path(&name)).unwrap()), [definition]);
    }
}
