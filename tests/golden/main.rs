//! Golden cases: every folder of `tests/cases` through the command line, which answers as the webhook does and as before.
//!
//! A case is named after the acceptance checks that it shows (`k1-k2-…`); what a check demands is asserted word by
//! word in `tests/acceptance`. After a wanted change: `UPDATE_CASES=1 cargo test --test golden`, and read the
//! difference in git.
#![cfg(test)]

mod generated;

use harness::process::{self, Ran};
use serde_json::Value;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use support::golden::Case;
use vertex_injector_core::admission::Outcome;

/// Cases whose pod is another case's after its injection.
const INJECTED: [(&str, &str); 5] = [
    ("broker-after-file-mode", "k1-k2-kartograph-sticky"),
    ("broker-already-injected", "broker-kartograph-proxy"),
    ("broker-before-file-mode", "a4-a7-a8-ambient-novertex-metadata"),
    ("x2-already-injected", "x1-x5-everything"),
    ("x2-policy-edited", "x2-first-injection"),
];

const WRITTEN: [&str; 3] = ["pod.yaml", "policy.yaml", "config.yaml"];

#[test]
fn every_case_is_answered_alike_by_webhook_and_command_line_and_as_before() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    for (case, origin) in INJECTED {
        check_origin(&Case::named(case), &Case::named(origin), update);
    }
    let left = Mutex::new(Case::all());
    let failed = Mutex::new(Vec::new());
    // Most of the time goes into starting the command line.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { left.lock().unwrap().pop() } {
                    if catch_unwind(AssertUnwindSafe(|| check(&case, update))).is_err() {
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

/// A verb of the command line over a case.
fn run(case: &Case, verb: &str, output: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command
        .current_dir(&case.directory)
        .args([verb, "-f", "pod.yaml", "--policy", "policy.yaml"])
        .args(["-n", &case.namespace(), "-o", output]);
    if case.directory.join("config.yaml").exists() {
        command.args(["--config", "config.yaml"]);
    }
    process::run(&mut command, "", Duration::from_mins(1))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Compares `pod.yaml` with what another case's pod becomes, or writes it.
fn check_origin(case: &Case, origin: &Case, update: bool) {
    let injected = run(origin, "inject", "yaml").output();
    let text = format!("# What the pod of {} becomes.\n{injected}", origin.name);
    compare_with_file(case, "pod.yaml", Some(&text), update);
}

/// Runs both callers and compares them with each other and with the kept files.
fn check(case: &Case, update: bool) {
    let name = &case.name;
    let admission = case.admit();
    let denied = admission.decision.outcome == Outcome::Denied;
    let code = Some(i32::from(denied));

    let explain = run(case, "explain", "json");
    assert_eq!(explain.code, code, "{name}: {}", explain.stderr);
    case.compare_explanations(&admission, &json(&explain));

    let inject = run(case, "inject", "patch");
    assert_eq!(inject.code, code, "{name}: {}", inject.stderr);
    if denied {
        assert_eq!(inject.stdout, "", "{name}: something was written for a denied pod");
        let message = &admission.decision.message;
        assert!(
            inject.stderr.contains(message.as_str()),
            "{name}: {} lacks {message}",
            inject.stderr
        );
    } else {
        case.compare_patches(&admission, json(&inject));
    }
    compare_with_file(case, "explanation.json", Some(&explain.stdout), update);
    compare_with_file(case, "patch.json", (!denied).then_some(&inject.stdout), update);
    for entry in fs::read_dir(&case.directory).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let known = WRITTEN.contains(&file.as_str()) || ["patch.json", "explanation.json"].contains(&file.as_str());
        assert!(known, "{name}: {file} belongs to no case");
    }
}

fn compare_with_file(case: &Case, file: &str, actual: Option<&String>, update: bool) {
    let path = case.directory.join(file);
    if update {
        match actual {
            Some(text) => fs::write(&path, text).expect("the file can be written"),
            None => drop(fs::remove_file(&path)),
        }
        return;
    }
    let kept = fs::read_to_string(&path).ok();
    assert!(
        kept.as_ref() == actual,
        "{} differs; if that is right: UPDATE_CASES=1 cargo test --test golden, and read the difference\n\
         --- kept\n{}\n--- now\n{}",
        path.display(),
        kept.as_deref().unwrap_or("(no such file)"),
        actual.map_or("(none: the pod is denied)", String::as_str),
    );
}
