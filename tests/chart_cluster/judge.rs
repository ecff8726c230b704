//! What the API server says of many objects at once.

use crate::release::Release;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// By the policy's name: `None` when it is accepted, else the message.
pub(crate) type Verdicts = BTreeMap<String, Option<String>>;

/// What the API server says of each policy, without storing any. They must have names of their own.
#[track_caller]
pub(crate) fn api_server(release: &Release, policies: &[Value]) -> Verdicts {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": policies});
    let arguments = ["create", "--dry-run=server", "--output", "name", "--filename", "-"];
    let ran = release.cluster.try_kubectl_stdin(&arguments, &list.to_string());
    let mut verdicts = Verdicts::new();
    for line in ran.stdout.lines() {
        let (_, name) = line.split_once('/').expect("KIND/NAME");
        verdicts.insert(name.to_owned(), None);
    }
    // Of one object, and of one among several.
    let refusal = r#"(?m)^(?:The|Error from server \(\w+\): error when creating "\w+":) \S+ "([^"]+)" is (?:invalid|forbidden): "#;
    let refusal = Regex::new(refusal).expect("a pattern");
    let found: Vec<_> = refusal.captures_iter(&ran.stderr).collect();
    for (i, refusal) in found.iter().enumerate() {
        let start = refusal.get(0).expect("the whole").end();
        let end = found
            .get(i + 1)
            .map_or(ran.stderr.len(), |next| next.get(0).expect("the whole").start());
        verdicts.insert(refusal[1].to_owned(), Some(ran.stderr[start..end].trim().to_owned()));
    }
    for policy in policies {
        let name = policy["metadata"]["name"].as_str().expect("a name");
        assert!(
            verdicts.contains_key(name),
            "nothing is said of {name}:\n{:.5000}",
            ran.stderr
        );
    }
    verdicts
}
