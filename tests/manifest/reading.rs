//! What a text means.

use super::one;
use serde_json::{Value, json};
use vertex_injector_core::manifest::{documents, parse};

#[test]
fn scalars_mean_what_kubectl_takes_them_for() {
    // The right column is what kubectl 1.35 makes of the left one.
    for (yaml, meant) in [
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("-0644", json!(-420)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("1_000", json!(1000)),
        ("yes", json!(true)),
        ("y", json!(true)),
        ("on", json!(true)),
        ("NO", json!(false)),
        ("True", json!(true)),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("", json!(null)),
        ("1:30", json!("1:30")),
        ("2001-01-01", json!("2001-01-01")),
        (".5", json!(0.5)),
        ("+5", json!(5)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("'0644'", json!("0644")),
        ("!!str 0644", json!("0644")),
        ("!!binary aGVsbG8=", json!("hello")),
    ] {
        assert_eq!(one(&format!("a: {yaml}\n"))["a"], meant, "{yaml}");
    }
    // These are the same numbers to kubectl, which writes them without a fraction.
    for (yaml, meant) in [("09", 9.0), ("1e3", 1000.0), ("1.0", 1.0), ("0.", 0.0)] {
        assert_eq!(one(&format!("a: {yaml}\n"))["a"].as_f64(), Some(meant), "{yaml}");
    }
}

#[test]
fn a_stream_is_divided_at_its_markers_and_empty_documents_are_none() {
    let text = "# a header\n---\n# Source: chart\na: 1\n---\n---\n\n--- # next\nb: 2\n...\n---\nc: |\n  ---\n  text\n--- {d: 4}\n";
    assert_eq!(
        documents(text).unwrap(),
        [
            json!({"a": 1}),
            json!({"b": 2}),
            json!({"c": "---\ntext\n"}),
            json!({"d": 4})
        ]
    );
    assert_eq!(documents("").unwrap(), [] as [Value; 0]);
    assert_eq!(documents("# nothing\n---\n").unwrap(), [] as [Value; 0]);
    assert_eq!(
        documents("%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n").unwrap(),
        [json!({"a": 1}), json!({"b": 2})]
    );
    assert_eq!(
        documents("\u{feff}a: 1\r\n---\r\nb: 2\r\n").unwrap(),
        [json!({"a": 1}), json!({"b": 2})]
    );
}

#[test]
fn json_is_read_as_a_stream_too_alone_and_between_yaml() {
    assert_eq!(
        documents(r#"{"a": 1} {"b": 2}"#).unwrap(),
        [json!({"a": 1}), json!({"b": 2})]
    );
    assert_eq!(
        documents("{\"a\": 1}\n---\nb: 2\n").unwrap(),
        [json!({"a": 1}), json!({"b": 2})]
    );
    assert_eq!(
        documents("{a: 0644, b: [x]}\n").unwrap(),
        [json!({"a": 420, "b": ["x"]})]
    );
}

#[test]
fn a_number_as_a_key_is_the_text_that_kubectl_makes_of_it() {
    for (key, text) in [
        ("1.50", "1.5"),
        ("12e13", "1.2e+14"),
        ("1e-7", "1e-07"),
        ("100000.0", "100000"),
        ("12e103", ".inf"),
    ] {
        let object = &documents(&format!("apiVersion: v1\nkind: A\ndata: {{{key}: 1}}\n")).unwrap()[0];
        assert_eq!(object["data"], serde_json::json!({ text: 1 }), "{key}");
    }
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let value = one("base: &base {a: 1, b: [x]}\nchild: {<<: *base, a: 2}\nsame: *base\n");
    assert_eq!(value["child"], json!({"a": 2, "b": ["x"]}));
    assert_eq!(value["same"], value["base"]);
}

#[test]
fn keys_keep_their_order() {
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<String>();
    assert_eq!(keys(one("z: 1\na: 2\nm: 3\n")), "zam");
    assert_eq!(keys(one(r#"{"z": 1, "a": 2, "m": 3}"#)), "zam");
}

#[test]
fn every_document_knows_its_place_and_what_it_was_written_as() {
    let text = "# first\nkind: A\n---\nkind:   B # spaced\n";
    let read = parse("in.yaml", text).unwrap();
    assert_eq!(read[0].place.to_string(), "in.yaml");
    assert_eq!(read[1].place.to_string(), "in.yaml (document 2)");
    assert_eq!(read[0].text.as_deref(), Some("# first\nkind: A\n"));
    assert_eq!(read[1].text.as_deref(), Some("kind:   B # spaced\n"));
}

#[test]
fn keys_are_read_as_kubectl_reads_them() {
    let object = one("{on: a, n: b, 0x10: d, 010: e, \"off\": f, '1': g, 1.5: h}");
    let keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["true", "false", "16", "8", "off", "1", "1.5"]);
    assert!(super::told("{on: a, Yes: b}").contains("duplicate key \"true\""));
}
