//! The tables, against the code that they describe.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;
use vertex_injector_core::admission::{Outcome, Reason};
use vertex_injector_core::api::crds;
use vertex_injector_core::clients::{Setting, VARIABLES};
use vertex_injector_core::contract::proxy::Publisher;
use vertex_injector_core::names;
use vertex_injector_core::validation;
use vertex_injector_sidecar::broker::metrics::Counters;
use vertex_injector_sidecar::broker::metrics::calls::{self, Counted};
use vertex_injector_sidecar::broker::proxy::refusal;
use vertex_injector_sidecar::broker::proxy::target::Call;
use vertex_injector_sidecar::broker::proxy::usage::Tokens;
use vertex_injector_webhook::metrics::Metrics;

use crate::text::{README, prose, quoted, table};

#[test]
fn the_variables_of_each_client_are_those_of_the_code() {
    let mut clients = BTreeSet::new();
    for row in table("client") {
        let [client, switch, project, region] = row.as_slice() else {
            panic!("{row:?}")
        };
        let client = quoted(client).remove(0);
        for (setting, cell) in [
            (Setting::Switch, switch),
            (Setting::Project, project),
            (Setting::Region, region),
        ] {
            let set: BTreeSet<String> = setting
                .variables()
                .filter(|variable| variable.set_for.iter().any(|known| format!("{known:?}") == client))
                .map(|variable| variable.name.to_owned())
                .collect();
            let mut shown: BTreeSet<String> = quoted(cell).into_iter().collect();
            if setting == Setting::Project {
                // Said of all clients below the table.
                shown.insert("GOOGLE_CLOUD_PROJECT".to_owned());
            }
            assert_eq!(shown, set, "{setting:?} of {client}");
        }
        clients.insert(client);
    }
    let known = VARIABLES.iter().flat_map(|variable| variable.set_for);
    let known: BTreeSet<String> = known.map(|client| format!("{client:?}")).collect();
    assert_eq!(clients, known);
}

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
fn the_reasons_exist() {
    // Where the code lists them; an enum cannot be asked.
    let source = include_str!("../../src/core/admission/decision.rs");
    let (_, source) = source.split_once("pub enum Reason {").expect("the reasons");
    let (source, _) = source.split_once("\n}").expect("their end");
    let variant = Regex::new(r"(?m)^    ([A-Z][A-Za-z]+),").expect("a pattern");
    let known: BTreeSet<String> = variant.captures_iter(source).map(|found| found[1].to_owned()).collect();
    assert!(known.contains(&Reason::NoPolicy.to_string()));

    for reason in table("reason").iter().flat_map(|row| quoted(&row[0])) {
        assert!(known.contains(&reason), "{reason} is none of {known:?}");
    }
}

#[test]
fn the_metrics_exist() {
    let metrics = Metrics::new();
    metrics.reviewed(Outcome::Injected, Reason::Injected, 0.001);
    metrics.policy_reviewed(validation::Outcome::Accepted, 0.001);
    let of_webhook = metrics.encode().expect("text");
    let of_broker = counted_by_a_broker();
    let named = quoted(&prose())
        .into_iter()
        .filter(|name| name.starts_with("vertex_injector_"));
    let (broker, webhook): (Vec<String>, Vec<String>) =
        named.partition(|name| name.starts_with("vertex_injector_broker_"));
    assert!(!broker.is_empty() && !webhook.is_empty());
    for (names, text) in [(webhook, of_webhook), (broker, of_broker)] {
        for name in names {
            assert!(text.contains(&format!("\n{name}{{")), "{name} is not in:\n{text}");
        }
    }
}

/// The metrics of a broker that has fetched a token, answered a call and refused one.
fn counted_by_a_broker() -> String {
    let counters = Counters::new();
    counters.fetched(&Ok(()));
    let answered = Counted {
        publisher: Some(Publisher::Anthropic),
        call: Some(Call::RawPredict),
        model: Some("claude-*"),
        status: Some(200),
        outcome: calls::Outcome::Answered,
        reason: None,
        feature: None,
        unknown: 1,
        request_bytes: 1,
        response_bytes: 1,
        tokens: Tokens {
            input: 1,
            ..Tokens::default()
        },
        first_byte: Some(Duration::from_secs(1)),
        duration: Duration::from_secs(1),
    };
    counters.calls.ended(&answered);
    counters.calls.ended(&Counted {
        outcome: calls::Outcome::Denied,
        reason: Some(refusal::Reason::Model),
        ..answered
    });
    counters.encode().expect("text")
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
        "vertex-injector.dev/v1alpha1",
    ];
    let ours = Regex::new(r"vertex-injector\.dev/[a-z0-9-]+").expect("a pattern");
    for found in ours.find_iter(README) {
        assert!(known.contains(&found.as_str()), "{}", found.as_str());
    }
}
