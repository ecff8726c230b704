//! One admission review from bytes to bytes, with one policy loaded and with 10,000: `cargo bench --bench admission`.
//!
//! Compare the lines of one run with each other; absolute figures belong to the machine.
#![allow(clippy::expect_used, missing_docs)]

use divan::{Bencher, black_box};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vertex_injector_core::admission::{Operator, Outcome, Policy, PolicyObject, PolicySet, review};
use vertex_injector_core::api::InjectionPolicy;

/// A Deployment's pod as the API server sends it: two containers and an init container, 32 variables, probes and
/// managed fields; 10 KB.
const REVIEW: &[u8] = include_bytes!("review.json");

/// What the pod's namespace receives: 15 operations.
const POLICY: &str = include_str!("policy.yaml");

fn main() {
    divan::main();
}

/// One policy: the pod's.
#[divan::bench(sample_count = 20_000)]
fn one_policy(bencher: Bencher<'_, '_>) {
    measure(bencher, &set([named("team-0042", "agents")]));
}

/// 10,000 policies, each in a namespace of its own.
#[divan::bench(sample_count = 20_000)]
fn policies_of_10000_namespaces(bencher: Bencher<'_, '_>) {
    measure(
        bencher,
        &set((0..10_000).map(|i| named(&format!("team-{i:04}"), "agents"))),
    );
}

/// 10,000 policies in 100 namespaces, where the pod's own is the first of 100.
#[divan::bench(sample_count = 20_000)]
fn policies_of_100_namespaces(bencher: Bencher<'_, '_>) {
    let policies = (0..10_000).map(|i| named(&format!("team-{:04}", i % 100), &format!("agents-{:03}", i / 100)));
    measure(bencher, &set(policies));
}

/// Reading a policy, which happens when it changes.
#[divan::bench(sample_count = 20_000)]
fn compile_a_policy(bencher: Bencher<'_, '_>) {
    let (object, operator) = (named("team-0042", "agents"), Operator::default());
    bencher.bench(|| Policy::compile(black_box(&object), black_box(&operator)));
}

fn measure(bencher: Bencher<'_, '_>, policies: &PolicySet) {
    let answer = review(REVIEW, policies).expect("a review");
    assert_eq!(
        answer.decision.outcome,
        Outcome::Injected,
        "{}",
        answer.decision.message
    );
    bencher.bench(|| review(black_box(REVIEW), black_box(policies)));
}

fn set(policies: impl IntoIterator<Item = PolicyObject>) -> PolicySet {
    let operator = Operator::default();
    let compiled = policies
        .into_iter()
        .map(|policy| Arc::new(Policy::compile(&policy, &operator)));
    let namespaces = (0..10_000).map(|i| (format!("team-{i:04}"), BTreeMap::new()));
    PolicySet::new(compiled, &namespaces.collect::<HashMap<_, _>>())
}

fn named(namespace: &str, name: &str) -> PolicyObject {
    let mut policy: InjectionPolicy = serde_saphyr::from_str(POLICY).expect("a policy");
    policy.metadata.namespace = Some(namespace.to_owned());
    policy.metadata.name = Some(name.to_owned());
    PolicyObject::Namespaced(policy)
}
