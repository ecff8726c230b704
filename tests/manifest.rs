//! Manifests are read as kubectl reads them and written so that it reads the same again.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use vertex_injector::manifest::{self, Document, MAX_INPUT_BYTES, ManifestError, documents, parse, workload};

fn one(text: &str) -> Value {
    let mut all = documents(text).unwrap();
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn problem(text: &str) -> ManifestError {
    parse("in.yaml", text).expect_err(text)
}

/// What a person would see.
fn told(text: &str) -> String {
    problem(text).to_string()
}

fn without_text(mut documents: Vec<Document>) -> Vec<Document> {
    for document in &mut documents {
        document.text = None;
    }
    documents
}

fn values(documents: &[Document]) -> Vec<Value> {
    documents.iter().map(|document| document.value.clone()).collect()
}

mod reading {
    use super::*;

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
}

mod errors {
    use super::*;

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
}

mod directories {
    use super::*;

    #[test]
    fn manifests_are_read_in_the_order_of_their_names_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("b.yml", "kind: B\n");
        write("a.yaml", "kind: A\n");
        write("c.json", "{\"kind\": \"C\"}");
        write("README.md", "not: [a manifest");
        write(".hidden.yaml", "not: [a manifest");
        fs::create_dir(directory.path().join("nested.yaml")).unwrap();
        let read = manifest::read(directory.path()).unwrap();
        assert_eq!(read.iter().map(Document::kind).collect::<String>(), "ABC");
    }

    #[test]
    fn a_mounted_config_map_reads_as_its_keys() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("..2026_01_01");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("policy.yaml"), "kind: A\n").unwrap();
        symlink("..2026_01_01", directory.path().join("..data")).unwrap();
        symlink("..data/policy.yaml", directory.path().join("policy.yaml")).unwrap();
        assert_eq!(manifest::read(directory.path()).unwrap().len(), 1);
    }

    #[test]
    fn every_broken_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), "a: 1\na: 2\n").unwrap();
        fs::write(directory.path().join("b.yaml"), "a: [\n").unwrap();
        assert_eq!(manifest::read(directory.path()).unwrap_err().len(), 2);
    }
}

mod writing {
    use super::*;

    fn pods() -> Vec<(String, String)> {
        let mut pods: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pods"))
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
        let words = [
            "y",
            "n",
            "on",
            "off",
            "yes",
            "no",
            "true",
            "null",
            "~",
            "",
            "0644",
            "0o17",
            "1e3",
            ".5",
            "1_000",
            "0x1F",
            "1:30",
            "2001-01-01",
            ".inf",
            ".nan",
            "=",
            "<<",
            "- a",
            "? a",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "'a'",
            "\"a\"",
            "{a}",
            "[a]",
            " a",
            "a ",
            "\ta",
            "a\n",
            "\na",
            "a\r\nb",
            "a\u{85}b",
            "\u{feff}a",
            "---",
            "...",
            "\u{0}\u{7}",
            "+1",
            "-",
            "-1",
            "0b1",
            "12e03",
            "_1",
            "1__0",
            "a:",
            ":a",
            ",a",
            "a,b",
            "\u{1f600}",
            "\u{2028}",
        ];
        for word in words {
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
}

mod pods {
    use super::*;

    /// Pointers of the pods of a document, with their kinds and names.
    fn found(yaml: &str) -> Vec<(String, String, String)> {
        let pods = workload::pods(&one(yaml));
        pods.into_iter()
            .map(|pod| (pod.pointer(), pod.kind, pod.name))
            .collect()
    }

    fn at(pointer: &str, kind: &str, name: &str) -> Vec<(String, String, String)> {
        vec![(pointer.to_owned(), kind.to_owned(), name.to_owned())]
    }

    #[test]
    fn a_pod_is_found_where_its_kind_keeps_it() {
        for (head, path, pointer) in [
            ("apiVersion: v1\nkind: Pod", "", ""),
            ("apiVersion: v1\nkind: PodTemplate", "template", "/template"),
            (
                "apiVersion: v1\nkind: ReplicationController",
                "spec.template",
                "/spec/template",
            ),
            (
                "apiVersion: apps/v1\nkind: Deployment",
                "spec.template",
                "/spec/template",
            ),
            (
                "apiVersion: apps/v1\nkind: StatefulSet",
                "spec.template",
                "/spec/template",
            ),
            (
                "apiVersion: apps/v1\nkind: DaemonSet",
                "spec.template",
                "/spec/template",
            ),
            (
                "apiVersion: apps/v1\nkind: ReplicaSet",
                "spec.template",
                "/spec/template",
            ),
            ("apiVersion: batch/v1\nkind: Job", "spec.template", "/spec/template"),
            (
                "apiVersion: batch/v1\nkind: CronJob",
                "spec.jobTemplate.spec.template",
                "/spec/jobTemplate/spec/template",
            ),
            (
                "apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox",
                "spec.podTemplate",
                "/spec/podTemplate",
            ),
            (
                "apiVersion: extensions.agents.x-k8s.io/v1beta1\nkind: SandboxTemplate",
                "spec.podTemplate",
                "/spec/podTemplate",
            ),
            (
                "apiVersion: argoproj.io/v1alpha1\nkind: Rollout",
                "spec.template",
                "/spec/template",
            ),
            (
                "apiVersion: serving.knative.dev/v1\nkind: Service",
                "spec.template",
                "/spec/template",
            ),
        ] {
            let mut pod = json!({"spec": {"containers": [{"name": "a"}]}});
            for key in path.rsplit('.').filter(|key| !key.is_empty()) {
                pod = json!({key: pod});
            }
            let mut object = one(&format!("{head}\nmetadata: {{name: x}}\n"));
            object.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
            let kind = object["kind"].as_str().unwrap().to_owned();
            assert_eq!(found(&object.to_string()), at(pointer, &kind, "x"), "{head}");
        }
    }

    #[test]
    fn what_has_no_pod_has_none() {
        for yaml in [
            "kind: ConfigMap\ndata: {spec: pod}\n",
            "apiVersion: v1\nkind: Service\nspec: {selector: {a: b}}\n",
            "apiVersion: cert-manager.io/v1\nkind: Certificate\nspec: {secretTemplate: {}}\n",
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec: {template: {metadata: {}, spec: {}}}\n",
            "apiVersion: example.com/v1\nkind: Pod\nspec: {containers: [{name: a}]}\n",
            "apiVersion: apps/v1\nkind: Deployment\nspec: {template: null}\n",
            "apiVersion: v1\nkind: List\nitems: 5\n",
        ] {
            assert_eq!(found(yaml), [], "{yaml}");
        }
    }

    #[test]
    fn lists_are_searched_typed_and_nested_ones_too() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {generateName: a-, namespace: x}, spec: {containers: []}}";
        assert_eq!(
            found(&format!(
                "apiVersion: v1\nkind: List\nitems: [{{kind: ConfigMap}}, {pod}]\n"
            )),
            at("/items/1", "Pod", "a-*")
        );
        assert_eq!(
            found(&format!(
                "apiVersion: v1\nkind: List\nitems: [{{apiVersion: v1, kind: List, items: [{pod}]}}]\n"
            )),
            at("/items/0/items/0", "Pod", "a-*")
        );
        // The elements of a PodList that the API server sends say neither.
        assert_eq!(
            found("apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}, spec: {containers: []}}]\n"),
            at("/items/0", "Pod", "a")
        );
    }
}
