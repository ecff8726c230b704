//! What is said of a member or a type that no table has: what the provider would say, so that clients do what they would do then,
//! and whose word it is here.

use super::path::{Path, name_or_dots};
use super::refusal::{Form, Refusal};
use super::tables::Type;
use vertex_injector_core::contract::proxy::Publisher;

const ADVICE: &str = "(vertex-injector: this version's proxy does not know it; the policy's proxy.unknownFields: Allow lets it pass, \
                      or the chart's broker.knownFields names it)";

/// The member at the end of `path`.
pub fn member(publisher: Publisher, path: &Path<'_>) -> Refusal {
    match publisher {
        Publisher::Anthropic => of_anthropic(&format!("{}: Extra inputs are not permitted", path.of_anthropic())),
        Publisher::Google => {
            let (place, name) = path.of_google();
            let at = place
                .as_ref()
                .map_or_else(String::new, |place| format!(" at '{place}'"));
            let words = format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
            Refusal::unknown(format!("{words} {ADVICE}"), Form::GoogleField { place, words })
        }
    }
}

/// The object at `path`, of a `type` that is none of these.
pub fn of_type(publisher: Publisher, path: &Path<'_>, kind: Option<&str>, types: &[&'static Type]) -> Refusal {
    if publisher == Publisher::Google {
        let names: Vec<&str> = types.iter().map(|of| of.name).collect();
        let (place, names) = (path.shown(), names.join(", "));
        let words = format!("Invalid value at '{place}' (type): expected one of {names}.");
        let place = Some(place);
        return Refusal::unknown(format!("{words} {ADVICE}"), Form::GoogleField { place, words });
    }
    let path = path.of_anthropic();
    let Some(kind) = kind else {
        return of_anthropic(&format!("{path}.type: Field required"));
    };
    let names: Vec<String> = types.iter().map(|of| format!("'{}'", of.name)).collect();
    let (kind, names) = (name_or_dots(kind), names.join(", "));
    of_anthropic(&format!(
        "{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {names}"
    ))
}

fn of_anthropic(words: &str) -> Refusal {
    Refusal::unknown(format!("{words} {ADVICE}"), Form::Anthropic)
}
