//! On which nodes a pod may run, as far as it says so itself: nothing of ours runs on Windows.

use super::pod::{Pod, Text, or_default};
use super::select;
use serde::Deserialize;

/// Node labels that name the operating system; the second is the old one.
const OS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

const WINDOWS: &str = "windows";

/// A label that Windows nodes have, and no others.
const BUILD: &str = "node.kubernetes.io/windows-build";

/// Whether a pod is for Windows nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// It says so in this field.
    Certain(&'static str),
    /// This field lets it run on one, among others.
    Possible(&'static str),
    /// Nothing points there.
    No,
}

/// Asks everything by which a pod chooses Windows.
pub(super) fn windows(pod: &Pod<'_>) -> Windows {
    let spec = &pod.spec;
    if let Some(os) = &spec.os {
        return if &*os.name == WINDOWS {
            Windows::Certain("spec.os")
        } else {
            Windows::No
        };
    }
    let is_windows = |os: &&str| {
        let selector = spec.node_selector.as_ref();
        selector.and_then(|it| it.get(*os)).is_some_and(|os| &**os == WINDOWS)
    };
    let build = spec.node_selector.as_ref().and_then(|it| it.get(BUILD));
    if OS.iter().any(is_windows) || build.is_some() {
        return Windows::Certain("spec.nodeSelector");
    }
    // The API server takes these from pods for Windows only.
    let options = select::all(pod).any(|(_, container)| container.security_context.windows_options.is_some());
    if options || spec.security_context.windows_options.is_some() {
        return Windows::Certain("securityContext.windowsOptions");
    }
    affinity(pod)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    node_affinity: NodeAffinity<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAffinity<'a> {
    #[serde(
        borrow,
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    required: Required<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Required<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    node_selector_terms: Vec<Term<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    match_expressions: Vec<Expression<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expression<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    values: Vec<Text<'a>>,
}

/// A node fits when one of the terms does, and a term when all of its expressions do.
fn affinity(pod: &Pod<'_>) -> Windows {
    const FIELD: &str = "spec.affinity.nodeAffinity";
    let read = |raw: &str| {
        // What the API server would refuse chooses nothing.
        let affinity: Affinity<'_> = serde_json::from_str(raw).unwrap_or_default();
        let terms = affinity.node_affinity.required.node_selector_terms;
        let of_windows = terms.iter().filter(|term| term.is_for_windows()).count();
        match (of_windows, terms.len()) {
            (0, _) => Windows::No,
            (some, all) if some == all => Windows::Certain(FIELD),
            _ => Windows::Possible(FIELD),
        }
    };
    // Few pods have one.
    pod.spec.affinity.map_or(Windows::No, |affinity| read(affinity.get()))
}

impl Term<'_> {
    fn is_for_windows(&self) -> bool {
        self.match_expressions.iter().any(|expression| {
            let Expression { key, operator, values } = expression;
            let is = |os: &str| values.iter().any(|value| &**value == os);
            match &**operator {
                "NotIn" | "DoesNotExist" if &**key == BUILD => false,
                _ if &**key == BUILD => true,
                _ if !OS.contains(&&**key) => false,
                "In" => !values.is_empty() && values.iter().all(|value| &**value == WINDOWS),
                "NotIn" => is("linux") && !is(WINDOWS),
                _ => false,
            }
        })
    }
}
