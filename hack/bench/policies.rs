//! The webhook, as the built program, with up to 100,000 policies: memory, time to ready, time of a review, and the same
//! with a real API server; and what it costs that: `cargo bench --bench policies`. Numbers after `--` are taken in place of 0 to
//! 100,000, and `apiserver` measures the last only.
//!
//! Compare the lines of one run with each other; absolute figures belong to the machine.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking, may wait, and prints what it found"
)]

#[path = "policies/apiserver.rs"]
mod apiserver;
#[path = "policies/cluster.rs"]
mod cluster;
#[path = "policies/webhook.rs"]
mod webhook;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use webhook::{Files, Webhook};

/// Policies in one file.
const PER_FILE: usize = 500;

/// What the pod's namespace receives.
const POLICY: &str = include_str!("policy.yaml");

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(apiserver::measure());
    if std::env::args().any(|argument| argument == "apiserver") {
        return;
    }
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() {
        vec![0, 1, 1_000, 10_000, 100_000]
    } else {
        numbers
    };
    for number in &numbers {
        directory(&format!("{number} equal policies"), *number, |policy, _| policy);
    }
    let differing = numbers
        .iter()
        .copied()
        .find(|number| *number >= 10_000)
        .unwrap_or(1_000);
    directory(
        &format!("{differing} policies that differ in project and region"),
        differing,
        |policy, i| {
            let region = ["us-east5", "europe-west1", "asia-southeast1"][i % 3];
            policy
                .replace("my-project", &format!("my-project-{i}"))
                .replace("us-east5", region)
        },
    );
    runtime.block_on(cluster::measure(10_000.min(differing)));
}

/// Policies from a directory, each in a namespace of its own.
fn directory(what: &str, number: usize, change: impl Fn(String, usize) -> String) {
    let files = Files::new();
    write(&files.policies(), number, change);
    let mut webhook = Webhook::start(&files, &["--policy-dir", files.policies().to_str().unwrap()]);
    let ready = webhook.until_ready();
    // Until what loading needed is given back.
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "{what}: ready after {}, resident {}",
        seconds(ready),
        webhook.resident()
    );
    if number > 0 {
        println!("  a review, over TLS: {} µs", webhook.review_time().as_micros());
    }
}

fn write(directory: &Path, number: usize, change: impl Fn(String, usize) -> String) {
    for first in (0..number).step_by(PER_FILE) {
        let mut text = String::new();
        for i in first..number.min(first + PER_FILE) {
            let namespace = cluster::namespace(i);
            let policy = change(POLICY.replace("team-0042", &namespace), i);
            let _ = write!(
                text,
                "---\n{policy}---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels: {{vertex-injector.dev/injection: enabled}}\n"
            );
        }
        std::fs::write(directory.join(format!("{first:06}.yaml")), text).expect("write policies");
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
