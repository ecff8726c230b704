//! The folders of `tests/cases`: each is answered as its files say, and no acceptance check and no example pod lacks one.

use std::collections::BTreeSet;
use std::fs;
use support::golden::Case;
use support::{read, root};
use vertex_injector_core::admission::Outcome;

/// The checks that a pod and a policy alone can show.
const CHECKS: &str = "K1 K2 K3 K4 K5 O1 O2 O3 O5 O7 F1 F2 F3 F4 F5 F7 F8 F9 A1 A2 A3 A4 A5 A6 A7 A8 A9 A11 A12 \
                      E2 E3 E4 X1 X2 X3 X4 X5 X6 X7 X8 X10 X11 X12";

#[test]
fn every_case_is_answered_as_its_files_say() {
    for case in Case::all() {
        let admission = case.admit();
        let explanation = case.kept("explanation.json").expect("every case is explained");
        case.compare_explanations(&admission, &explanation);
        let patch = case.kept("patch.json");
        let denied = admission.decision.outcome == Outcome::Denied;
        assert_eq!(patch.is_none(), denied, "{}: only a denied pod has no patch", case.name);
        if let Some(patch) = patch {
            case.compare_patches(&admission, patch);
        }
    }
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
