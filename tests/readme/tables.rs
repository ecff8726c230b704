//! The tables, against the code that they describe, or against the reference that is written from it.

use std::collections::BTreeSet;

use regex::Regex;
use vertex_injector_core::api::crds;
use vertex_injector_core::names;

use crate::text::{pages, prose, quoted, table};

#[test]
fn the_fields_of_a_policy_are_those_of_its_definition() {
    let rows = table("field");
    let shown: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| quoted(&row[0]))
        .map(|field| field.trim_end_matches("[]").to_owned())
        .collect();
    let crd = crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "InjectionPolicy")
        .expect("the definition");
    let crd = serde_json::to_value(crd).expect("JSON");
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let defined: BTreeSet<String> = schema.as_object().expect("properties").keys().cloned().collect();
    assert_eq!(shown, defined);
}

#[test]
fn the_reasons_and_metrics_exist() {
    let of = |page: &'static str| -> BTreeSet<String> { quoted(page).into_iter().collect() };
    let reasons = of(include_str!("../../docs/reference/reasons.md"));
    for reason in table("reason").iter().flat_map(|row| quoted(&row[0])) {
        assert!(reasons.contains(&reason), "{reason} is none of {reasons:?}");
    }
    let metrics = of(include_str!("../../docs/reference/metrics.md"));
    let named = quoted(&prose())
        .into_iter()
        .filter(|name| name.starts_with("vertex_injector_"));
    let named: Vec<String> = named.collect();
    assert!(named.len() > 3);
    for name in named {
        assert!(metrics.contains(&name), "{name} is none of {metrics:?}");
    }
}

#[test]
fn our_labels_and_annotations_are_spelt_as_in_the_code() {
    let known = [
        names::NAMESPACE_INJECTION,
        names::INJECT,
        names::POLICY,
        names::CONTAINERS,
        names::POLICY_REF,
        names::SKIPPED,
        names::CREDENTIAL_CONFIGURATION,
        names::LOOPBACK_CONFIGURATION,
        names::MCP_CONFIGURATION,
        "vertex-injector.dev/v1alpha1",
        // A subresource of the policies.
        "vertex-injector.dev/status",
    ];
    let ours = Regex::new(r"vertex-injector\.dev/[a-z0-9-]+").expect("a pattern");
    for page in pages() {
        for found in ours.find_iter(&page.text) {
            // kubectl takes a label away by its name and a dash.
            assert!(
                known.contains(&found.as_str().trim_end_matches('-')),
                "{}: {}",
                page.path.display(),
                found.as_str()
            );
        }
    }
}
