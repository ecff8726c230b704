//! What is valid and probably not meant: a region or a model that nobody knows, and models that a client asks for on its own and
//! the proxy would refuse.

use crate::api::{Access, Client, PolicySpec, Vertex};
use crate::clients::Setting;
use crate::contract::proxy::{Publisher, Region};
use crate::glob::Glob;
use std::fmt::Display;

/// Locations of Vertex AI: <https://cloud.google.com/vertex-ai/docs/general/locations>. New ones come, so an unknown one is no error.
const LOCATIONS: [&str; 42] = [
    "global",
    "us",
    "eu",
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "europe-west12",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
];

/// How many known locations are named beside an unknown one.
const NEAR: usize = 4;

/// How names of models begin at Vertex AI, beside those of their publisher.
const FAMILIES: [(Publisher, &[&str]); 2] = [
    (Publisher::Anthropic, &["claude-"]),
    (
        Publisher::Google,
        &["gemini-", "gemma-", "text-", "textembedding-", "multimodalembedding"],
    ),
];

/// Everything that is to be said about a policy's regions and models.
pub(super) fn of(spec: &PolicySpec) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(vertex) = &spec.vertex {
        regions(spec, vertex, &mut notes);
        for setting in Setting::MODELS {
            if let Some(model) = setting.value(vertex) {
                notes.extend(misspelled(&format!("spec.{}", setting.field()), model));
            }
        }
        let allowed = { spec.proxy.iter() }.flat_map(|proxy| &proxy.models);
        let allowed: Vec<Glob> = allowed.filter_map(|glob| glob.parse().ok()).collect();
        if spec.access == Access::Proxy && !allowed.is_empty() {
            asked_for(vertex, &allowed, &mut notes);
        }
    }
    notes
}

fn regions(spec: &PolicySpec, vertex: &Vertex, notes: &mut Vec<String>) {
    let mut check = |field: &dyn Display, region: &str| {
        if !LOCATIONS.contains(&region) && region.parse::<Region>().is_ok() {
            let part = region.split('-').next().unwrap_or_default();
            let mut near: Vec<&str> = { LOCATIONS.into_iter() }
                .filter(|known| known.split('-').next() == Some(part) && known.contains('-'))
                .collect();
            near.sort_by_key(|known| strsim::damerau_levenshtein(known, region));
            near.truncate(NEAR);
            let near = if near.is_empty() {
                "see https://cloud.google.com/vertex-ai/docs/general/locations".to_owned()
            } else {
                format!("near it are {}", near.join(", "))
            };
            notes.push(format!(
                "{field}: {region:?} is no location of Vertex AI that this version knows; {near}"
            ));
        }
    };
    check(&"spec.vertex.region", &vertex.region);
    for (model, region) in &vertex.model_regions {
        check(&format_args!("spec.vertex.modelRegions[{model}]"), region);
    }
    for (i, region) in { spec.proxy.iter() }.flat_map(|proxy| &proxy.regions).enumerate() {
        check(&format_args!("spec.proxy.regions[{i}]"), region);
    }
}

/// A name that no model at Vertex AI has, with the nearest form that one could have.
fn misspelled(field: &str, model: &str) -> Option<String> {
    let begins = |(_, families): &(Publisher, &[&str])| families.iter().any(|family| model.starts_with(family));
    if !FAMILIES.iter().any(begins) {
        return Some(format!(
            "{field}: {model:?} begins like no model of Anthropic's or Google's at Vertex AI, such as claude-sonnet-4-5@20250929 or \
             gemini-2.5-pro"
        ));
    }
    let rest = model.strip_prefix("claude-")?;
    let (name, version) = rest.split_once('@').unwrap_or((rest, ""));
    let (stem, date) = name.rsplit_once('-').unwrap_or((name, ""));
    let dated = version.is_empty() && date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let plain = name.replace('.', "-");
    let meant = match (dated, version) {
        (true, _) => format!("claude-{}@{date}", stem.replace('.', "-")),
        (false, "") => format!("claude-{plain}"),
        (false, version) => format!("claude-{plain}@{version}"),
    };
    (meant != model).then(|| format!("{field}: {model:?} is written {meant:?} at Vertex AI"))
}

/// Models that clients ask for without being told, and the proxy would refuse.
fn asked_for(vertex: &Vertex, allowed: &[Glob], notes: &mut Vec<String>) {
    for (publisher, families) in FAMILIES {
        let caller = vertex
            .clients
            .iter()
            .find(|client| client.traits().publisher == Some(publisher));
        if let Some(client) = caller
            && !allowed
                .iter()
                .any(|glob| families.iter().any(|family| may_match(glob, family)))
        {
            notes.push(format!(
                "spec.proxy.models: none of them is a model of {}'s, and {client:?} calls no others: all its calls would be refused",
                publisher.name()
            ));
        }
    }
    // Anthropic's own clients choose by alias, each version anew.
    let chooses = |client: &&Client| client.traits().publisher == Some(Publisher::Anthropic);
    let Some(client) = vertex.clients.iter().find(chooses) else {
        return;
    };
    if !allowed.iter().any(|glob| may_match(glob, "claude-")) {
        return;
    }
    let open = |setting: Setting, alias: &str| {
        let any = format!("claude-{alias}-0-0@20000101");
        setting.value(vertex).is_none() && !allowed.iter().any(|glob| glob.matches(&any))
    };
    let mut missing = Vec::new();
    let first = [(Setting::Opus, "opus"), (Setting::Sonnet, "sonnet")];
    if Setting::DefaultModel.value(vertex).is_none() && first.into_iter().all(|(setting, alias)| open(setting, alias)) {
        missing.push("spec.vertex.models.default");
    }
    if open(Setting::Haiku, "haiku") {
        missing.push("spec.vertex.models.haiku");
    }
    if !missing.is_empty() {
        notes.push(format!(
            "{}: not set, so {client:?} asks for what its version prefers, which proxy.models may refuse; name models that are allowed",
            missing.join(", ")
        ));
    }
}

/// Whether a pattern could match a name that begins so.
fn may_match(glob: &Glob, begin: &str) -> bool {
    let literal = glob.as_str().split('*').next().unwrap_or_default();
    let open = literal.len() < glob.as_str().len();
    literal.starts_with(begin) || (open && begin.starts_with(literal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What is said of a policy for Claude Code with these fields laid over it.
    fn notes(change: &Value) -> Vec<String> {
        let mut spec = json!({
            "access": "Proxy",
            "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
        });
        for (path, value) in change.as_object().unwrap() {
            let (parent, field) = path.rsplit_once('/').unwrap();
            let parent = if parent.is_empty() {
                &mut spec
            } else {
                spec.pointer_mut(parent).unwrap()
            };
            parent[field] = value.clone();
        }
        of(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_is_usual_needs_no_word() {
        for change in [
            json!({}),
            json!({"/vertex/region": "global", "/proxy": {"regions": ["eu", "europe-west1"]}}),
            json!({"/proxy": {"models": ["claude-*"]}}),
            json!({"/proxy": {"models": ["*"]}}),
            json!({"/proxy": {"models": ["claude-sonnet-4-5*", "claude-haiku-*"]}, "/vertex/models": {"sonnet": "claude-sonnet-4-5@20250929"}}),
            json!({"/proxy": {"models": ["claude-sonnet-4-5@20250929"]},
                   "/vertex/models": {"default": "claude-sonnet-4-5@20250929", "haiku": "claude-sonnet-4-5@20250929"}}),
            json!({"/access": "File", "/proxy": {"models": ["gemini-*"]}}),
        ] {
            assert_eq!(notes(&change), [""; 0], "{change}");
        }
    }

    #[test]
    fn a_location_that_nobody_knows_is_told_with_those_near_it() {
        let told = notes(&json!({"/vertex/region": "us-east6", "/vertex/modelRegions": {"HAIKU_4_5": "mars-north1"}}));
        assert!(
            told[0].starts_with("spec.vertex.region: \"us-east6\" is no location"),
            "{told:?}"
        );
        assert!(
            told[0].contains("near it are us-east1, us-east4, us-east5, "),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("spec.vertex.modelRegions[HAIKU_4_5]: \"mars-north1\""),
            "{told:?}"
        );
        assert!(told[1].contains("https://cloud.google.com/"), "{told:?}");
    }

    #[test]
    fn a_name_of_another_platform_is_told_with_the_one_at_vertex_ai() {
        for (written, told) in [
            ("claude-3-5-sonnet-20241022", "\"claude-3-5-sonnet@20241022\""),
            ("claude-sonnet-4.5", "\"claude-sonnet-4-5\""),
            ("claude-sonnet-4.5@20250929", "\"claude-sonnet-4-5@20250929\""),
            ("gpt-5", "begins like no model"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1", "begins like no model"),
        ] {
            let notes = notes(&json!({"/vertex/models": {"default": written}}));
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(
                notes[0].starts_with("spec.vertex.models.default: ") && notes[0].contains(told),
                "{notes:?}"
            );
        }
    }

    #[test]
    fn models_that_a_client_asks_for_on_its_own_are_told_when_the_proxy_may_refuse_them() {
        let told = notes(&json!({"/proxy": {"models": ["claude-sonnet-4-5@20250929"]}}));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("spec.vertex.models.default, spec.vertex.models.haiku: not set"),
            "{told:?}"
        );
        let told = notes(&json!({"/proxy": {"models": ["gemini-*"]}}));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("is a model of anthropic's, and ClaudeCode calls no others"),
            "{told:?}"
        );
        let told =
            notes(&json!({"/proxy": {"models": ["claude-*"]}, "/vertex/clients": ["ClaudeCode", "GoogleGenAI"]}));
        assert!(
            told[0].contains("is a model of google's, and GoogleGenAI calls no others"),
            "{told:?}"
        );
    }
}
