//! Golden cases: every folder of `tests/cases` through both callers of the decision, the webhook and the command line.
//!
//! A case is named after the acceptance checks that it shows (`k1-k2-…`); what a check demands is asserted word by
//! word in `tests/acceptance`. After a wanted change: `UPDATE_CASES=1 cargo test --test golden`, and read the
//! difference in git.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, helpers included, fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use support::cases::golden::Case;
use support::cases::{read, root};

/// The checks that a pod and a policy alone can show.
const CHECKS: &str = "K1 K2 K3 K4 K5 O1 O2 O3 O5 O7 F1 F2 F3 F4 F5 F7 F8 F9 A1 A2 A3 A4 A5 A6 A7 A8 A9 A11 A12 \
                      E2 E3 E4 X1 X2 X3 X4 X5 X6 X7 X8 X10 X11 X12";

/// Cases whose pod is another case's after its injection.
const INJECTED: [(&str, &str); 5] = [
    ("broker-after-file-mode", "k1-k2-kartograph-sticky"),
    ("broker-already-injected", "broker-kartograph-proxy"),
    ("broker-before-file-mode", "a4-a7-a8-ambient-novertex-metadata"),
    ("x2-already-injected", "x1-x5-everything"),
    ("x2-policy-edited", "x2-first-injection"),
];

#[test]
fn every_case_is_answered_alike_by_webhook_and_command_line_and_as_before() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    for (case, origin) in INJECTED {
        Case::named(case).check_origin(&Case::named(origin), update);
    }
    let left = Mutex::new(Case::all());
    let failed = Mutex::new(Vec::new());
    // Most of the time goes into starting the command line.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { left.lock().unwrap().pop() } {
                    if catch_unwind(AssertUnwindSafe(|| case.check(update))).is_err() {
                        failed.lock().unwrap().push(case.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} cases failed: {}",
        failed.len(),
        failed.join(", ")
    );
}

#[test]
fn every_acceptance_check_has_a_case_named_after_it() {
    let shown: BTreeSet<String> = Case::all().iter().flat_map(Case::checks).collect();
    let missing: Vec<&str> = CHECKS
        .split_whitespace()
        .filter(|check| !shown.contains(*check))
        .collect();
    assert!(missing.is_empty(), "no case in tests/cases begins with {missing:?}");
}

#[test]
fn every_example_pod_has_a_case() {
    let cases: Vec<_> = Case::all().iter().map(Case::object).collect();
    for entry in fs::read_dir(root().join("tests/pods")).expect("tests/pods") {
        let path = entry.expect("an entry").path();
        for (i, pod) in read(&path).iter().enumerate() {
            assert!(cases.contains(pod), "no case has document {i} of {}", path.display());
        }
    }
}
