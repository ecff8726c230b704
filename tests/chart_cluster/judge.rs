//! Two judges of policies: the API server, and the code behind `vertex-injector validate`.

use crate::release::Release;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vertex_injector_core::admission::Policy;
use vertex_injector_core::manifest::policies;

/// By the policy's name: `None` when it is accepted, else the message.
pub type Verdicts = BTreeMap<String, Option<String>>;

/// An `InjectionPolicy` with this spec.
pub fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

/// A `ClusterInjectionPolicy` with this spec.
pub fn cluster_policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "ClusterInjectionPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// Policies with these specs, each with a name of its own.
pub fn named(specs: &[Value]) -> Vec<Value> {
    specs
        .iter()
        .enumerate()
        .map(|(i, spec)| policy(&format!("case-{i}"), spec.clone()))
        .collect()
}

/// What the API server says of each policy, without storing any. They must have names of their own.
#[track_caller]
pub fn api_server(release: &Release, policies: &[Value]) -> Verdicts {
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

/// The fields that `vertex-injector validate` finds fault with.
pub fn validate(release: &Release, policy: &Value) -> Vec<String> {
    let errors = match policies::policy(policy, "default") {
        Err(errors) => errors,
        Ok(object) => Policy::compile(&object, &release.operator).errors().clone(),
    };
    errors.0.into_iter().map(|error| error.field).collect()
}

/// Both judges agree on every policy: the admission policy names exactly the fields that `validate` names; where the
/// schema refuses before it is asked, the API server names those fields or what holds them. Returns how many are refused.
#[track_caller]
pub fn agree(release: &Release, policies: &[Value]) -> usize {
    let rule = Regex::new(r"(?:denied request: |; )(spec\.[A-Za-z0-9.\[\]]+): ").expect("a pattern");
    let verdicts = api_server(release, policies);
    let mut refused = 0;
    for policy in policies {
        let name = policy["metadata"]["name"].as_str().expect("a name");
        let fields: BTreeSet<String> = validate(release, policy).into_iter().collect();
        let Some(message) = &verdicts[name] else {
            assert_eq!(
                fields,
                BTreeSet::new(),
                "the API server accepts {name}: {}",
                policy["spec"]
            );
            continue;
        };
        refused += 1;
        assert!(
            !fields.is_empty(),
            "only the API server refuses {name} {}:\n{message}",
            policy["spec"]
        );
        if message.contains("denied request: ") {
            let named: BTreeSet<String> = rule.captures_iter(message).map(|found| found[1].to_owned()).collect();
            assert_eq!(named, fields, "{name} {}:\n{message}", policy["spec"]);
        } else {
            for field in fields {
                assert!(names(message, &field), "{name}: {field} is not named in:\n{message}");
            }
        }
    }
    refused
}

/// Whether a message of the schema's names the field, or what holds it.
pub fn names(message: &str, field: &str) -> bool {
    let parent = field.rfind(['.', '[']).map_or(field, |end| &field[..end]);
    // A label's key has dots of its own.
    let parent = field
        .find("matchLabels[")
        .map_or(parent, |at| &field[..at + "matchLabels".len()]);
    message.contains(field) || message.contains(&format!("{parent}: ")) || message.contains(&format!("{parent}."))
}
