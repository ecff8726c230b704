//! The schema of each kind, taken from its CustomResourceDefinition once.

use super::node::Node;
use super::shown::nearest;
use crate::api::crds;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The schema of a whole object of this kind.
///
/// # Errors
/// A sentence about the kind, when there is none.
pub(super) fn of(kind: &str) -> Result<&'static Node, String> {
    let schemas = SCHEMAS
        .as_ref()
        .map_err(|error| format!("the schemas of this build cannot be used: {error}"))?;
    schemas.get(kind).ok_or_else(|| {
        let valid = || schemas.keys().map(String::as_str);
        match nearest(kind, valid()) {
            Some(meant) if !kind.is_empty() => format!("no such kind; did you mean {meant}?"),
            _ => format!("must be one of {}", valid().collect::<Vec<_>>().join(", ")),
        }
    })
}

static SCHEMAS: LazyLock<Result<BTreeMap<String, Node>, serde_json::Error>> = LazyLock::new(|| {
    let mut schemas = BTreeMap::new();
    for definition in crds() {
        for version in definition.spec.versions {
            let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
            let mut root: Node = serde_json::from_value(serde_json::to_value(schema)?)?;
            root.required.push("metadata".to_owned());
            root.properties.insert("metadata".to_owned(), metadata()?);
            // The status is the API server's business: it drops what people write there.
            for unchecked in ["apiVersion", "kind", "status"] {
                root.properties.insert(unchecked.to_owned(), Node::anything());
            }
            schemas.insert(definition.spec.names.kind.clone(), root);
        }
    }
    Ok(schemas)
});

/// What the API server checks of every object's metadata.
fn metadata() -> Result<Node, serde_json::Error> {
    let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut metadata: Node = serde_json::from_value(json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string", "minLength": 1, "maxLength": 253,
                "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            },
            "namespace": {"type": "string", "maxLength": 63, "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"},
            "labels": strings,
            "annotations": strings,
        },
    }))?;
    // Present in a policy that was read back from a cluster.
    for written_by_the_server in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        metadata
            .properties
            .insert(written_by_the_server.to_owned(), Node::anything());
    }
    Ok(metadata)
}
