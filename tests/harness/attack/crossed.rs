//! Reviews of lists and texts that cost little by themselves: each of the one looked up in all of the other would take minutes.

use super::reviews::pod;
use serde_json::{Value, json};

/// Where clients look for the path of a credential.
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Most entries that any of the lists has.
const MOST: usize = 12_000;

/// All of them, of about so many bytes, each with its name.
pub fn crossed(namespace: &str, bytes: usize) -> Vec<(&'static str, String)> {
    let half = long("x", bytes / 2);
    let key = json!({"name": "k", "secret": {"secretName": "key"}});
    let attributes = json!({"name": "v", "csi": {"driver": "d", "volumeAttributes": {"a": half}}});
    let files = list(9000, |i| json!({"path": format!("p{i}")}));
    let files = json!({"name": "shared", "projected": {"sources": [{"configMap": {"items": files}}]}});
    let many_of_one = [
        list(MOST, |_| json!({"name": "A"})),
        vec![
            variable("A", long("/x", bytes / 2)),
            variable(FILE, "/k/key.json".to_owned()),
        ],
    ];
    let moved = [
        list(40, |i| variable(&format!("GIVEN_{i}"), "x".to_owned())),
        vec![
            variable("LATER", "x".to_owned()),
            variable("LONG", long("$(A)", bytes - 8192)),
        ],
    ];
    let prefixes = list(MOST, |i| json!({"prefix": format!("P{i}")}));
    let review = |volumes: &[Value], fields: Value| {
        let mut agent = json!({"name": "agent"});
        let fields = fields.as_object().expect("fields").clone();
        agent.as_object_mut().expect("an object").extend(fields);
        pod(namespace, volumes, &[agent])
    };
    vec![
        (
            "references that may come from many sources",
            review(
                &[],
                json!({"env": [variable("LONG", long("$(A)", bytes / 2))], "envFrom": prefixes}),
            ),
        ),
        (
            "mounts above everything of a long volume",
            review(&[attributes], json!({"volumeMounts": mounts(MOST, |_| "/".to_owned())})),
        ),
        (
            "mounts of long paths",
            review(
                &[],
                json!({"volumeMounts": mounts(bytes / 700, |i| format!("/m{i}{}", long("/x", 600)))}),
            ),
        ),
        (
            "a long path and many mounts",
            review(
                &[],
                json!({
                    "env": [variable(FILE, long("/x", bytes / 2))], "volumeMounts": mounts(MOST, |i| format!("/m{i}")),
                }),
            ),
        ),
        (
            "a path and many mounts",
            review(
                &[],
                json!({
                    "env": [variable(FILE, long("/x", 4000))], "volumeMounts": mounts(MOST, |i| format!("/m{i}")),
                }),
            ),
        ),
        (
            "a long path in a variable of many entries",
            review(
                &[key],
                json!({"env": many_of_one.concat(), "volumeMounts": [{"name": "k", "mountPath": "/k"}]}),
            ),
        ),
        (
            "nothing but space",
            review(
                &[],
                json!({"env": [
                    variable("HTTPS_PROXY", long(" ", bytes / 2)), variable("ANTHROPIC_MODEL", long(" ", bytes / 2 - 4096)),
                ]}),
            ),
        ),
        (
            "references to what is removed",
            review(
                &[],
                json!({"env": [
                    variable("ANTHROPIC_API_KEY", "x".to_owned()),
                    variable("LONG", long("$(ANTHROPIC_API_KEY)", bytes - 4096)),
                ]}),
            ),
        ),
        (
            "references to what is moved",
            review(&[], json!({"env": moved.concat()})),
        ),
        (
            "files of a volume and mounts below it",
            review(
                &[files],
                json!({"volumeMounts": mounts(9000, |i| format!("/shared/m{i}"))}),
            ),
        ),
    ]
}

fn long(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len())
}

fn list(count: usize, entry: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..count).map(entry).collect()
}

fn mounts(count: usize, path: impl Fn(usize) -> String) -> Vec<Value> {
    list(count, |i| json!({"name": "v", "mountPath": path(i)}))
}

fn variable(name: &str, value: String) -> Value {
    let mut entry = json!({"name": name});
    entry["value"] = value.into();
    entry
}
