//! Metrics of the webhook and of brokers.

use crate::{check, table};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vertex_injector_core::admission::{Outcome, Reason};
use vertex_injector_core::contract::proxy::Publisher;
use vertex_injector_core::validation;
use vertex_injector_sidecar::broker::metrics::calls::{self, Counted};
use vertex_injector_sidecar::broker::metrics::{Counters, Handout};
use vertex_injector_sidecar::broker::proxy::refusal;
use vertex_injector_sidecar::broker::proxy::target::Call;
use vertex_injector_sidecar::broker::proxy::usage::Tokens;
use vertex_injector_webhook::metrics::{BadRequest, BadRequestLabels, LiveList, LiveListLabels, Metrics};

const ABOUT: &str = "\
In the OpenMetrics format: of the webhook at `/metrics` of its admin port, of a broker at `/metrics` of `spec.broker.metricsPort`.";

#[test]
fn the_page_of_metrics_is_what_the_code_says() {
    let webhook = described(&counted_by_a_webhook());
    let broker = described(&counted_by_a_broker());
    let body = format!("## Webhook\n\n{webhook}\n## Broker\n\n{broker}");
    check("metrics.md", "Metrics", ABOUT, &body);
}

/// The metrics of a webhook that has answered everything once.
fn counted_by_a_webhook() -> String {
    let metrics = Metrics::new();
    metrics.reviewed(Outcome::Injected, Reason::Injected, 0.001);
    metrics.policy_reviewed(validation::Outcome::Accepted, 0.001);
    let cause = BadRequest::Path;
    metrics.bad_requests.get_or_create(&BadRequestLabels { cause }).inc();
    let result = LiveList::Done;
    metrics.live_lists.get_or_create(&LiveListLabels { result }).inc();
    metrics.encode().unwrap()
}

/// The metrics of a broker that has fetched a token, answered a call and refused one.
fn counted_by_a_broker() -> String {
    let counters = Counters::new();
    counters.fetched(&Ok(()));
    counters.handed_out(Handout::Token);
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
    counters.encode().unwrap()
}

/// What the lines `# TYPE`, `# UNIT` and `# HELP` say of each family, and which labels its samples have.
fn described(text: &str) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    let mut current = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let Some(about) = line.strip_prefix("# ") else {
            let labels = label.captures_iter(line).map(|found| found[1].to_owned());
            families
                .get_mut(&current)
                .unwrap()
                .labels
                .extend(labels.filter(|label| label != "le"));
            continue;
        };
        let words: Vec<_> = about.splitn(3, ' ').collect();
        let [what, name, value] = words[..] else {
            panic!("{line}")
        };
        name.clone_into(&mut current);
        let family = families.entry(name.to_owned()).or_default();
        match what {
            "TYPE" => value.clone_into(&mut family.kind),
            "UNIT" => value.clone_into(&mut family.unit),
            "HELP" => value.clone_into(&mut family.help),
            other => panic!("{other}"),
        }
    }
    assert!(families.len() > 5);
    let rows = families.into_iter().map(|(name, family)| {
        let name = if family.kind == "counter" {
            format!("`{name}_total`")
        } else {
            format!("`{name}`")
        };
        let kind = if family.unit.is_empty() {
            family.kind
        } else {
            format!("{}, {}", family.kind, family.unit)
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        [name, kind, labels.join(", "), family.help]
    });
    table(["metric", "type", "labels", "what it says"], rows)
}

#[derive(Default)]
struct Family {
    kind: String,
    unit: String,
    help: String,
    labels: BTreeSet<String>,
}
