//! The fields of a policy.

use crate::{check, table};
use serde_json::Value;
use vertex_injector_core::api::crds;

const ABOUT: &str = "\
Every field of `InjectionPolicy` and `ClusterInjectionPolicy` (`vertex-injector.dev/v1alpha1`), as `kubectl explain` shows them. The
fields of the second that the first does not have are marked.";

#[test]
fn the_page_of_policies_is_what_the_definitions_say() {
    let [namespaced, cluster] = crds().map(|crd| {
        let crd = serde_json::to_value(crd).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    });
    let mut sections = Vec::new();
    section("spec", &cluster, &namespaced, &mut sections);
    assert!(sections.len() > 20);
    check("policy.md", "Policies", ABOUT, &sections.join("\n"));
}

/// A table of an object's fields, then one for each of them that has fields.
fn section(path: &str, schema: &Value, namespaced: &Value, all: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = schema["required"].as_array();
    let rows = properties.iter().map(|(name, field)| {
        let required = required.is_some_and(|required| required.iter().any(|known| known == name));
        let mut meaning = field["description"].as_str().unwrap().replace('\n', " ");
        if namespaced["properties"].get(name).is_none() && path == "spec" {
            meaning.push_str(" `ClusterInjectionPolicy` only.");
        }
        let required = if required { "yes" } else { "" };
        [format!("`{name}`"), kind(field), required.to_owned(), meaning]
    });
    all.push(format!(
        "## `{path}`\n\n{}",
        table(["field", "type", "required", "meaning"], rows)
    ));
    for (name, field) in properties {
        let (item, suffix) = field.get("items").map_or((field, ""), |item| (item, "[]"));
        section(&format!("{path}.{name}{suffix}"), item, item, all);
    }
}

/// The type of a field, with its bounds.
fn kind(field: &Value) -> String {
    let plain = field["type"].as_str().unwrap_or("any").to_owned();
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(", ");
    }
    let bounds = |least: &str, most: &str, unit: &str| match (field[least].as_i64(), field[most].as_i64()) {
        (Some(least), Some(most)) => format!(" ({least} to {most}{unit})"),
        (Some(least), None) => format!(" (at least {least}{unit})"),
        (None, Some(most)) => format!(" (at most {most}{unit})"),
        (None, None) => String::new(),
    };
    match plain.as_str() {
        "array" => format!(
            "list of {}{}",
            kind(&field["items"]),
            bounds("minItems", "maxItems", "")
        ),
        "string" => format!("string{}", bounds("minLength", "maxLength", " characters")),
        "integer" => format!("integer{}", bounds("minimum", "maximum", "")),
        "object" => match field.get("additionalProperties") {
            Some(values) => format!(
                "map of {}{}",
                kind(values),
                bounds("minProperties", "maxProperties", "")
            ),
            None => plain,
        },
        other => other.to_owned(),
    }
}
