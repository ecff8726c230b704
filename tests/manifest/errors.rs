//! What cannot be read, and how that is told.

use super::{problem, told};
use std::fs;
use vertex_injector_core::manifest::{self, MAX_INPUT_BYTES, parse};

#[test]
fn a_duplicate_key_is_an_error_with_its_name_document_and_line() {
    assert_eq!(
        told("a: 1\n---\nb: 1\nc: {x: 1}\nb: 2\n"),
        "in.yaml:5: document 2: duplicate key \"b\""
    );
    assert_eq!(
        told("{\"a\": {\"b\": 1,\n \"b\": 2}}"),
        "in.yaml:2: document 1: duplicate key \"b\""
    );
    // Equal once read: 0xB and 11.
    assert!(told("0xB: 1\n11: 2\n").contains("duplicate key"));
}

#[test]
fn what_is_no_yaml_or_json_is_an_error_with_its_line() {
    for (text, line, words) in [
        ("a: [1,\nb: 2\n", 1, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("---\na: 1\n---\nb: \"open\n", 4, "not valid YAML"),
        ("a: *nowhere\n", 1, "anchor"),
        ("a: .inf\n", 1, "infinite"),
        ("? [a]\n: b\n", 1, "a key must be a string"),
        ("{\"a\": 1,\n\"b\": \"c\" \"d\"}\n", 2, "not valid JSON"),
        ("a: 1\n--- \n{\"a\": \"b\" \"c\"}\n", 3, "not valid JSON"),
    ] {
        let error = problem(text);
        assert_eq!(error.line, Some(line), "{text} {error}");
        assert!(error.problem.contains(words), "{error}");
    }
}

#[test]
fn what_is_no_map_is_an_error() {
    assert_eq!(
        told("a: 1\n---\n- b\n"),
        "in.yaml:3: document 2: a Kubernetes object is a map with apiVersion and kind, this is a list"
    );
    assert!(told("hello\n").contains("this is a string"));
    assert!(told("42\n").contains("this is a number"));
}

#[test]
fn no_error_shows_content() {
    let secret = "s3cr3t-canary";
    for text in [
        format!("a: \"{secret}\nb: c\n"),
        format!("a: {secret}: {secret}\n"),
        format!("a: [{secret}\nb: {secret}\n"),
        format!("- {secret}\n"),
        format!("{secret}\n"),
        format!("a: *{secret}\n"),
        format!("a: !!binary {secret}!\n"),
        format!("a: !{secret} [\n"),
        format!("a: !!int {secret}\n"),
        format!("a: !!float {secret}\n"),
        format!("a: !!bool {secret}\n"),
        format!("{{\"a\": \"{secret}\" \"b\"}}"),
        format!("{{\"a\": {secret}}}"),
        format!("? {{{secret}: 1}}\n: {secret}\n"),
        format!("'{secret} with spaces': 1\n'{secret} with spaces': 2\n"),
        format!("<<: {secret}\n"),
        format!("%{secret}\n---\na: [\n"),
        format!("a: |{secret}\n  x\n"),
        format!("a: &{secret}\n\t- b\n"),
    ] {
        if let Err(error) = parse("in.yaml", &text) {
            assert!(!error.to_string().contains(secret), "{error}");
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }
}

#[test]
fn depth_aliases_and_numbers_of_values_are_bounded() {
    let deep = |n: usize| format!("{}1{}", "{\"a\": ".repeat(n), "}".repeat(n));
    assert!(told(&deep(1000)).contains("nested"));
    let lines: Vec<String> = (0..1000).map(|i| " ".repeat(i) + "a:\n").collect();
    assert!(told(&lines.concat()).contains("nested more than 100 levels"));

    // Ten anchors, each of eight of the one before: a billion values, or 64 GiB of text.
    let bomb = |leaf: &str| {
        let level = |i: usize| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 8].join(","));
        format!("a0: &a0 [{leaf}]\n") + &(1..10).map(level).collect::<Vec<_>>().concat()
    };
    assert!(parse("in.yaml", &bomb("x")).is_err());
    assert!(parse("in.yaml", &bomb(&"x".repeat(1 << 20))).is_err());

    // Spread over many documents, each below its own limit.
    let some = format!("a: &a [{}]\nb: [*a,*a,*a,*a,*a]\n---\n", vec!["x"; 10_000].join(","));
    assert!(told(&some.repeat(20)).contains("values in one input"));
}

#[test]
fn files_are_bounded_and_must_be_text() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("big.yaml");
    fs::write(&file, vec![b'#'; usize::try_from(MAX_INPUT_BYTES).unwrap() + 1]).unwrap();
    let errors = manifest::read(&file).unwrap_err();
    assert!(
        errors[0].to_string().ends_with("big.yaml: larger than 32 MiB"),
        "{errors:?}"
    );

    fs::write(&file, b"a: 1\nb: \xff\xfe\n").unwrap();
    let errors = manifest::read(&file).unwrap_err();
    assert!(
        errors[0].to_string().ends_with("big.yaml:2: not UTF-8 text"),
        "{errors:?}"
    );
}
