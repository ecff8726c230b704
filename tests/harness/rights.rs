//! Rights in a cluster one by one, so that two sets of them can be compared.

use serde_json::Value;
use std::collections::BTreeSet;

/// What one rule grants, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// What may be done.
    pub verb: String,
    /// With what, as `RESOURCE.GROUP/SUBRESOURCE`.
    pub resource: String,
    /// With the object of this name only; empty: with all.
    pub name: String,
}

/// All that a list of rules grants, as a role and a SelfSubjectRulesReview write them.
#[must_use]
pub fn rights(rules: &Value) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules.as_array().into_iter().flatten() {
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        for verb in texts(&rule["verbs"]) {
            for group in texts(&rule["apiGroups"]) {
                for path in texts(&rule["resources"]) {
                    let (plural, sub) = path.split_once('/').unwrap_or((&path, ""));
                    let resource = resource(&group, plural, sub);
                    rights.extend(names.iter().map(|name| Right {
                        verb: verb.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    rights
}

/// The name of a resource, as in [`Right::resource`].
#[must_use]
pub fn resource(group: &str, plural: &str, sub: &str) -> String {
    let resource = format!("{plural}.{group}");
    let resource = format!("{}/{sub}", resource.trim_end_matches('.'));
    resource.trim_end_matches('/').to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().expect("a text").to_owned()).collect()
}
