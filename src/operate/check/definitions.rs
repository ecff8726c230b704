//! The definitions of the policies, beside those of this program.

use crate::cluster::Look;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// Judges one definition: `wanted` is this program's.
pub fn judge(wanted: &CustomResourceDefinition, found: &Look<Option<CustomResourceDefinition>>) -> Finding {
    let object = Object::new(
        "CustomResourceDefinition",
        wanted.metadata.name.as_deref().unwrap_or_default(),
    );
    let found = match found {
        Look::Unseen(why) => return Finding::unseen(Part::Definitions, object, why),
        Look::Seen(None) => return Finding::of(Problem::DefinitionMissing, object, "does not exist"),
        Look::Seen(Some(found)) => found,
    };
    let conditions = found
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let established = conditions
        .clone()
        .any(|condition| condition.type_ == "Established" && condition.status == "True");
    if !established {
        let refused = conditions.into_iter().find(|condition| condition.status == "False");
        let why = refused
            .and_then(|condition| condition.message.clone())
            .unwrap_or_default();
        let text = if why.is_empty() {
            "is not established yet".to_owned()
        } else {
            format!("is not established: {why}")
        };
        return Finding::of(Problem::DefinitionNotEstablished, object, text);
    }
    for version in &wanted.spec.versions {
        let Some(served) = found
            .spec
            .versions
            .iter()
            .find(|known| known.name == version.name && known.served)
        else {
            let text = format!("does not serve {}", version.name);
            return Finding::of(Problem::DefinitionDiffers, object, text);
        };
        if served.schema != version.schema {
            let label = found
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get("app.kubernetes.io/version"));
            let of = label.map(|label| format!(", labelled {label},")).unwrap_or_default();
            let text = format!("its schema{of} is not that of {}", super::VERSION);
            return Finding::of(Problem::DefinitionDiffers, object, text);
        }
    }
    Finding::fine(
        Part::Definitions,
        object,
        format!("is established, and that of {}", super::VERSION),
    )
}
