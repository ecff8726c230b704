//! What is written, and that it means what was read.

use super::one;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use support::scalars;
use vertex_injector_core::manifest::{self, Document, documents, parse};

fn without_text(mut documents: Vec<Document>) -> Vec<Document> {
    for document in &mut documents {
        document.text = None;
    }
    documents
}

fn values(documents: &[Document]) -> Vec<Value> {
    documents.iter().map(|document| document.value.clone()).collect()
}

fn pods() -> Vec<(String, String)> {
    let mut pods: Vec<_> = fs::read_dir(support::root().join("tests/pods"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect();
    pods.sort();
    assert!(pods.len() >= 12);
    pods
}

#[test]
fn what_was_not_changed_is_written_as_it_was() {
    let text = "# a comment\nkind: A # and another\nlist: [1, 0644]\n---\n\"kind\":   'B'\n";
    assert_eq!(manifest::yaml(&parse("in.yaml", text).unwrap()).unwrap(), text);
    for (name, text) in pods() {
        assert_eq!(manifest::yaml(&parse(&name, &text).unwrap()).unwrap(), text, "{name}");
    }
    // What brings its own marker or directive is written anew.
    let text = "kind: A\n...\n%YAML 1.1\n---\nkind: B\n...\n--- {kind: C}\n";
    let written = manifest::yaml(&parse("in.yaml", text).unwrap()).unwrap();
    assert_eq!(written, "kind: A\n...\n---\nkind: B\n---\nkind: C\n");
}

#[test]
fn every_real_pod_means_the_same_when_it_is_written_anew_in_yaml_and_json() {
    for (name, text) in pods() {
        let read = without_text(parse(&name, &text).unwrap());
        let yaml = manifest::yaml(&read).unwrap();
        assert_ne!(yaml, text);
        assert_eq!(documents(&yaml).unwrap(), values(&read), "{name}\n{yaml}");
        let json = manifest::json(&read).unwrap();
        let items = match read.as_slice() {
            [_] => vec![one(&json)],
            _ => one(&json)["items"].as_array().unwrap().clone(),
        };
        assert_eq!(items, values(&read), "{name}");
    }
}

#[test]
fn strings_that_a_reader_could_take_for_something_else_are_quoted() {
    let words = scalars::TRICKY;
    for &word in words {
        let value = json!({"kind": "A", word: word, "list": [word, {"x": word}]});
        let read = parse("a.json", &value.to_string()).unwrap();
        let yaml = manifest::yaml(&read).unwrap();
        assert_eq!(documents(&yaml).unwrap(), [value], "{yaml}");
    }
    let yaml =
        manifest::yaml(&parse("a.json", r#"{"a":"0644","b":"yes","c":"1:30","d":"2001-01-01"}"#).unwrap()).unwrap();
    assert_eq!(yaml, "a: \"0644\"\nb: \"yes\"\nc: \"1:30\"\nd: \"2001-01-01\"\n");
}

#[test]
fn long_lines_and_scripts_stay_readable() {
    let long = "word ".repeat(60) + "end";
    let value = json!({"long": long, "script": "set -e\n  indented\nlast\n"});
    let yaml = manifest::yaml(&parse("a.json", &value.to_string()).unwrap()).unwrap();
    assert_eq!(
        yaml,
        format!("long: {long}\nscript: |\n  set -e\n    indented\n  last\n")
    );
}

#[test]
fn json_in_a_string_stays_readable() {
    let value = json!({"annotation": r#"{"a": "it's", "b": ["\n"]}"#});
    let yaml = manifest::yaml(&parse("a.json", &value.to_string()).unwrap()).unwrap();
    assert_eq!(yaml, "annotation: '{\"a\": \"it''s\", \"b\": [\"\\n\"]}'\n");
    assert_eq!(one(&yaml), value);
}

#[test]
fn several_objects_become_one_list_and_lists_do_not_nest() {
    let text = "kind: A\n---\napiVersion: v1\nkind: List\nitems: [{kind: B}, {kind: C}]\n";
    let list = one(&manifest::json(&parse("in.yaml", text).unwrap()).unwrap());
    assert_eq!(
        list,
        json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "A"}, {"kind": "B"}, {"kind": "C"}]})
    );
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e15..1e15).prop_map(Value::from),
        ".*".prop_map(Value::from),
        r"[-+0-9._:xobeEyYnNoOfFtTrRuUlLsS~ \n\t#&*!|>'%@`{}\[\],?]{0,12}".prop_map(Value::from),
        "[{\\[].*".prop_map(Value::from),
        "(.*\n){0,3}[ \t]?.*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((r"[-+0-9._:a-zA-Z~ \n#]{0,12}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_means_the_same_when_it_is_written_and_read(value in anything()) {
        let value = json!({"kind": "A", "value": value});
        let read = parse("a.json", &value.to_string()).unwrap();
        let yaml = manifest::yaml(&read).unwrap();
        prop_assert_eq!(&documents(&yaml).unwrap(), &values(&read), "{}", yaml);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".*|[-{}:\\[\\],&*#a \n\"']{0,200}") {
        let _ = parse("in.yaml", &text);
    }
}
