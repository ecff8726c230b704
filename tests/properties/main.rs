//! What holds for every pod and every policy, tried on generated ones.
//!
//! The seed is fixed, so that every run tries the same cases; `PROPTEST_RNG_SEED=N` tries others and
//! `PROPTEST_CASES=N` more of them.
#![cfg(test)]

mod canary;
mod envelope;
mod hosts;
mod known;
mod model;
mod others;
mod pods;
mod policies;
mod tape;

use model::{containers, decided, decided_by, list, patched, text};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tape::{Tape, tapes};
use vertex_injector_core::admission::{Outcome, Pod, UnitState};
use vertex_injector_core::names;

/// `cases` cases, always the same ones.
fn config(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            config.cases
        } else {
            cases
        },
        rng_seed: match config.rng_seed {
            RngSeed::Random => RngSeed::Fixed(0x7665_7274),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..config
    }
}

/// A pod and a policy that selects it, and further choices for the test.
struct Case {
    pod: Value,
    policy: Value,
    more: Vec<u16>,
}

/// A pod, a policy that selects it, and the same policy after an edit.
struct Edit {
    pod: Value,
    before: Value,
    after: Value,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy {:#}\npod {:#}", self.policy["spec"], self.pod)
    }
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "before {:#}\nafter {:#}\npod {:#}",
            self.before["spec"], self.after["spec"], self.pod
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    tapes().prop_map(|numbers| {
        let mut tape = Tape::new(&numbers);
        let policy = policies::policy(&mut tape);
        let pod = pods::pod(&mut tape);
        Case {
            pod,
            policy,
            more: numbers,
        }
    })
}

fn edits() -> impl Strategy<Value = Edit> {
    tapes().prop_map(|numbers| {
        let mut tape = Tape::new(&numbers);
        let (before, after) = policies::before_and_after(&mut tape);
        Edit {
            pod: pods::pod(&mut tape),
            before,
            after,
        }
    })
}

/// The names of a list that occur more than once.
fn duplicates(items: &[Value], key: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let of = |item: &Value| text(item, key).trim_end_matches('/').to_owned();
    items.iter().map(of).filter(|name| !seen.insert(name.clone())).collect()
}

#[test]
fn the_generator_reaches_every_outcome() {
    let mut runner = TestRunner::new(config(1));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1500 {
        let Case { pod, policy, .. } = cases().new_tree(&mut runner).expect("a case").current();
        let decision = decided(&pod, &policy);
        *counts.entry(decision.reason.to_string()).or_default() += 1;
        for unit in &decision.units {
            let name = unit.name.split('[').next().expect("a name");
            *counts.entry(format!("{name} {:?}", unit.state)).or_default() += 1;
        }
    }
    let expected = [
        "Injected",
        "NothingToInject",
        "OptedOut",
        "PolicyNotFound",
        "ContainerNotFound",
        "WindowsPod",
        "MirrorPod",
        "ManagedByOpenShell",
        "HasCredentialProxy",
        "ServedByOtherWebhook",
        "OwnApiKey",
        "OwnCredentials",
        "VertexSwitchedOff",
        "Conflict",
        "identity Added",
        "identity Skipped",
        "broker Added",
        "broker Skipped",
        "NotIsolated",
        "vertex Added",
        "vertex Skipped",
        "authHelpers Added",
        "tokens Added",
        "env Added",
        "volumes Added",
        "sidecars Added",
        "mcpUrls Added",
    ];
    let missing: Vec<&str> = expected
        .into_iter()
        .filter(|reason| !counts.contains_key(*reason))
        .collect();
    assert!(missing.is_empty(), "never reached: {missing:?}; reached {counts:#?}");
    assert!(counts["Injected"] > 400, "too few pods are injected: {counts:#?}");
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_patched_pod_needs_no_patch(Case { pod, policy, .. } in cases()) {
        let first = decided(&pod, &policy);
        let after = patched(&pod, &first.patch);
        let second = decided(&after, &policy);
        prop_assert_eq!(&second.patch, &vec![], "first {:#?}", first);
        // Where only old pieces were to be taken away, nothing is left to do.
        let served = first.units.iter().any(|unit| unit.state != UnitState::Skipped);
        let expected = if served { first.outcome } else { second.outcome };
        prop_assert_eq!(second.outcome, expected);
    }

    #[test]
    fn the_same_pod_and_policy_give_the_same_bytes(Case { pod, policy, .. } in cases()) {
        let bytes = |pod: &str, policy: &Value| {
            let parsed = Pod::parse(pod.as_bytes()).unwrap();
            let decision = vertex_injector_core::admission::decide(&parsed, policies::NAMESPACE, &policies::set_of(policy));
            (serde_json::to_string(&decision).unwrap(), serde_json::to_string(&decision.patch).unwrap())
        };
        let once = bytes(&pod.to_string(), &policy);
        prop_assert_eq!(&bytes(&pod.to_string(), &policy), &once);
        let pretty = serde_json::to_string_pretty(&pod).unwrap();
        let shuffled = reversed_keys(&policy);
        prop_assert_eq!(&bytes(&pretty, &shuffled), &once);
    }

    #[test]
    fn a_denied_pod_has_no_patch_and_a_reason_to_read(Case { pod, policy, .. } in cases()) {
        let decision = decided(&pod, &policy);
        if decision.outcome == Outcome::Denied {
            prop_assert_eq!(&decision.patch, &vec![]);
            prop_assert!(decision.message.contains("policy") || decision.message.contains("annotation"), "{}", decision.message);
        } else {
            prop_assert!(decision.units.iter().all(|unit| (unit.state == UnitState::Skipped) == unit.reason.is_some()));
        }
        prop_assert!(decision.message.len() <= 4100);
    }

    #[test]
    fn a_patch_changes_only_what_the_decision_declares(Case { pod, policy, .. } in cases()) {
        let decision = decided(&pod, &policy);
        let after = patched(&pod, &decision.patch);
        let removed = model::replaceable_mounts(&pod);
        let remainder = |pod: &Value| model::remainder(pod, &decision, &policy, &removed);
        prop_assert_eq!(remainder(&after), remainder(&pod), "{:#?}", decision);
        for changes in [&decision.env, &decision.volumes, &decision.containers] {
            let names: BTreeSet<&str> = changes.iter().map(|change| change.name.as_str()).collect();
            prop_assert_eq!(names.len(), changes.len(), "declared twice: {:#?}", changes);
        }
    }

    #[test]
    fn every_unit_is_whole_or_absent(Case { pod, policy, .. } in cases()) {
        let decision = decided(&pod, &policy);
        if decision.outcome == Outcome::Injected {
            model::check_units(&pod, &patched(&pod, &decision.patch), &policy, &decision);
        }
    }

    #[test]
    fn a_patched_pod_is_one_that_kubernetes_accepts(Case { pod, policy, .. } in cases()) {
        let decision = decided(&pod, &policy);
        let after = patched(&pod, &decision.patch);
        let volumes: BTreeSet<&str> = list(&after["spec"], "volumes").iter().map(|volume| text(volume, "name")).collect();
        prop_assert_eq!(duplicates(list(&after["spec"], "volumes"), "name"), duplicates(list(&pod["spec"], "volumes"), "name"));
        let names: Vec<Value> = containers(&after).map(|(_, container)| container.clone()).collect();
        prop_assert_eq!(duplicates(&names, "name"), BTreeSet::new());
        for (_, container) in containers(&after) {
            let before = containers(&pod).find(|(_, c)| c["name"] == container["name"]).map(|(_, c)| c.clone());
            let before = before.unwrap_or_default();
            let allowed = duplicates(list(&before, "env"), "name");
            prop_assert!(duplicates(list(container, "env"), "name").is_subset(&allowed), "{:#}", container);
            prop_assert_eq!(duplicates(list(container, "volumeMounts"), "mountPath"), BTreeSet::new());
            for mount in list(container, "volumeMounts") {
                prop_assert!(volumes.contains(text(mount, "name")), "no volume for {} in {:#}", mount, after);
            }
            for entry in list(container, "env") {
                prop_assert!(entry.get("value").is_none() || entry.get("valueFrom").is_none(), "{}", entry);
            }
        }
    }

    #[test]
    fn what_other_plugins_add_to_our_pieces_stays(Case { pod, policy, more } in cases()) {
        let decision = decided(&pod, &policy);
        if decision.outcome == Outcome::Injected {
            let mut stored = patched(&pod, &decision.patch);
            others::round_trip(&mut stored, &decision);
            others::add(&mut stored, &mut Tape::new(&more), &model::chosen(&pod, &policy));
            let again = decided(&stored, &policy);
            prop_assert_eq!(&again.patch, &vec![], "{:#}", stored);
            prop_assert_eq!(again.outcome, Outcome::Injected);
        }
    }

    #[test]
    fn an_edited_policy_reaches_pods_that_were_injected_before(Edit { pod, before, after } in edits()) {
        let first = decided(&pod, &before);
        let fresh = decided(&pod, &after);
        // What a policy took from the pod cannot come back, and what it denies is not injected twice.
        let additive = first.env.iter().all(|change| change.op == "add")
            && first.volumes.iter().all(|change| change.op == "add" || change.name.starts_with(names::NAME_PREFIX))
            && model::replaceable_mounts(&pod).is_empty();
        if first.outcome == Outcome::Injected && additive && fresh.outcome != Outcome::Denied {
            let injected = patched(&pod, &first.patch);
            let again = decided(&injected, &after);
            prop_assert_ne!(again.outcome, Outcome::Denied, "{}", again.message);
            let converged = patched(&injected, &again.patch);
            let expected = patched(&pod, &fresh.patch);
            prop_assert_eq!(ours(&converged, &after), ours(&expected, &after), "{:#}", injected);
        }
    }

    #[test]
    fn a_secret_in_the_pod_appears_in_no_output(Case { mut pod, policy, .. } in cases()) {
        canary::plant(&mut pod);
        canary::check(&pod, &policy);
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        envelope::check_answer(&bytes, &envelope::policies());
    }

    #[test]
    fn any_text_of_json_tokens_is_answered(tokens in prop::collection::vec(envelope::token(), 0..60)) {
        envelope::check_answer(tokens.concat().as_bytes(), &envelope::policies());
    }

    #[test]
    fn a_review_with_flipped_bytes_is_answered(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = envelope::review();
        for (index, byte) in flips {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        envelope::check_answer(&bytes, &envelope::policies());
    }

    #[test]
    fn a_review_with_another_value_somewhere_is_answered(at in any::<prop::sample::Index>(), numbers in prop::collection::vec(any::<u16>(), 1..20)) {
        let mut review: Value = serde_json::from_slice(&envelope::review()).unwrap();
        let pointers = envelope::pointers(&review);
        let pointer = &pointers[at.index(pointers.len())];
        *review.pointer_mut(pointer).unwrap() = Tape::new(&numbers).json(2);
        envelope::check_answer(review.to_string().as_bytes(), &envelope::policies());
    }
}

#[test]
fn a_review_that_is_cut_off_anywhere_is_refused() {
    let (bytes, policies) = (envelope::review(), envelope::policies());
    for end in 0..bytes.len() {
        let error =
            vertex_injector_core::admission::review(&bytes[..end], &policies).expect_err("a body that is cut off");
        assert!(
            error.0.starts_with("body is not an AdmissionReview: not JSON (line "),
            "{error} at {end}"
        );
    }
}

#[test]
fn generated_reviews_are_answered_with_the_decision() {
    let mut runner = TestRunner::new(config(1));
    for _ in 0..200 {
        let Case { pod, policy, .. } = cases().new_tree(&mut runner).expect("a case").current();
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
                "namespace": policies::NAMESPACE, "object": pod},
        });
        let set = policies::set_of(&policy);
        let answer = envelope::check_answer(review.to_string().as_bytes(), &set).expect("an answer");
        assert_eq!(answer.decision, decided_by(&pod, &set));
    }
}

/// The same JSON with the keys of every object in the opposite order.
fn reversed_keys(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed_keys(value)))
            .collect(),
        Value::Array(items) => items.iter().map(reversed_keys).collect(),
        other => other.clone(),
    }
}

/// What is ours in a pod: pieces under our prefix, our annotations, and what the agents see in their environment.
fn ours(pod: &Value, policy: &Value) -> Value {
    let ours = |items: &[Value]| -> BTreeMap<String, Value> {
        let of = items
            .iter()
            .filter(|item| text(item, "name").starts_with(names::NAME_PREFIX));
        of.map(|item| {
            (
                format!("{} {}", text(item, "name"), text(item, "mountPath")),
                item.clone(),
            )
        })
        .collect()
    };
    let mut containers_found = BTreeMap::new();
    for (_, container) in containers(pod).filter(|(_, c)| !text(c, "name").starts_with(names::NAME_PREFIX)) {
        let found = json!({
            "mounts": ours(list(container, "volumeMounts")),
            "env": model::agent_environment(pod, policy, container),
        });
        containers_found.insert(text(container, "name").to_owned(), found);
    }
    let annotations: BTreeMap<&str, &Value> = [names::CREDENTIAL_CONFIGURATION, names::RENDERED_ENV, names::SKIPPED]
        .into_iter()
        .filter_map(|key| Some((key, pod["metadata"]["annotations"].get(key)?)))
        .collect();
    json!({
        "volumes": ours(list(&pod["spec"], "volumes")),
        "sidecars": ours(list(&pod["spec"], "initContainers")),
        "containers": containers_found,
        "annotations": annotations,
    })
}
