//! What `helm show readme` prints: the values of the chart.

use crate::{same, table};
use serde_json::Value;
use std::fs;
use std::path::Path;
use vertex_injector_core::manifest;

const ABOUT: &str = "\
<!-- Written from values.yaml and values.schema.json by `make docs`. -->

Gives LLM agents in Kubernetes access to Google Vertex AI without handing them keys. It needs Kubernetes 1.30 or newer, and one value:
`image.repository`, the name under which you pushed the image.

`values.yaml` explains every value at length, and `ci` has values for some clusters. A misspelt or impossible value is refused with its
name.";

#[test]
fn the_charts_readme_lists_every_value_with_its_default() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/vertex-injector");
    let read = |name: &str| {
        let text = fs::read_to_string(chart.join(name)).unwrap();
        manifest::documents(&text).unwrap().remove(0)
    };
    let (schema, values) = (read("values.schema.json"), read("values.yaml"));
    let mut rows = Vec::new();
    leaves("", &schema, &values, &mut rows);
    assert!(rows.len() > 50);
    let table = table(["value", "default", "what it is"], rows);
    same(
        "charts/vertex-injector/README.md",
        &format!("# vertex-injector\n\n{ABOUT}\n\n{table}"),
    );
}

/// A row for each value below this one.
fn leaves(path: &str, schema: &Value, values: &Value, rows: &mut Vec<[String; 3]>) {
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), values.as_object())
        && !fields.is_empty()
    {
        for (name, field) in properties.iter().filter(|(name, _)| fields.contains_key(*name)) {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            leaves(&path, field, &values[name], rows);
        }
        return;
    }
    let default = match values {
        Value::Array(list) if !list.is_empty() => "see `values.yaml`".to_owned(),
        value => format!("`{value}`"),
    };
    let what = schema["description"].as_str().unwrap_or_default();
    rows.push([format!("`{path}`"), default, what.to_owned()]);
}
