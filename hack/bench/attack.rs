//! The webhook, as the built program, under attack: the dearest reviews of every size, then everything at once:
//! `cargo bench --bench attack`. Numbers after `--` are sizes in KiB.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark fails by panicking, may wait, and prints what it found"
)]

use harness::attack::load::Load;
use harness::attack::reviews::{NAMESPACES, OPERATOR, POLICIES, SHAPES, one_name, pairs};
use harness::attack::target::Target;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vertex-injector");

/// Sizes of reviews, in bytes.
const SIZES: [usize; 4] = [64 << 10, 512 << 10, 1536 << 10, 3 << 20];

/// What one review took.
struct Cost {
    what: String,
    processor: Duration,
    kib: u64,
    body: String,
}

fn main() {
    let given: Vec<usize> = std::env::args().filter_map(|kib| kib.parse().ok()).collect();
    let given: Vec<usize> = given.into_iter().map(|kib| kib << 10).collect();
    let sizes = if given.is_empty() { &SIZES[..] } else { &given[..] };
    let mut costs: Vec<Cost> = sizes.iter().flat_map(|bytes| search(*bytes)).collect();
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.processor));
    println!("dearest in processor time:");
    costs.iter().take(12).for_each(show);
    let dear: Vec<String> = costs.iter().take(8).map(|cost| cost.body.clone()).collect();
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.kib));
    println!("dearest in memory over base:");
    costs.iter().take(12).for_each(show);
    let mut target = Target::start(PROGRAM, POLICIES, OPERATOR);
    println!("resident before the load: {:.1} MiB", mib(target.kib("VmRSS")));
    let load = Load {
        idle: 2048,
        unfinished: 200,
        dear: &dear,
        lasts: Duration::from_secs(20),
    };
    let outcome = harness::attack::load::run(&mut target, &load);
    println!("8 of the dearest at a time, 2,048 idle TLS connections, 600 unfinished requests:");
    println!(
        "  honest reviews: {}, {} failed, median {:?}, p99 {:?}",
        outcome.honest, outcome.failed, outcome.p50, outcome.p99
    );
    println!(
        "  dear reviews answered: {}; slowest /livez: {:?}; most resident memory: {:.1} MiB",
        outcome.dear,
        outcome.livez,
        mib(outcome.peak)
    );
}

/// The cost of each shape of a size.
fn search(bytes: usize) -> Vec<Cost> {
    let shapes = SHAPES.iter().flat_map(|shape| {
        NAMESPACES.map(|namespace| {
            (
                format!("{} in {namespace}, {} KiB", shape.name, bytes >> 10),
                shape.review(namespace, bytes),
            )
        })
    });
    let more = NAMESPACES.into_iter().flat_map(|namespace| {
        [
            (
                format!("100 volumes in 80 containers in {namespace}"),
                pairs(namespace, 100, 80),
            ),
            (
                format!("1,000 volumes of one name, 1,000 containers in {namespace}"),
                one_name(namespace, 1000, 1000),
            ),
        ]
    });
    let mut target = Target::start(PROGRAM, POLICIES, OPERATOR);
    // Until what a process takes once is taken.
    let mut connection = target.connect().expect("a connection");
    for namespace in NAMESPACES {
        let _ = connection.review(&pairs(namespace, 10, 10));
    }
    let mut costs = Vec::new();
    for (what, body) in shapes.chain(more) {
        target.forget_peak();
        let (base, before) = (target.kib("VmRSS"), target.processor());
        let mut connection = target.connect().expect("a connection");
        connection.review(&body).expect("an answer");
        costs.push(Cost {
            what,
            processor: target.processor().saturating_sub(before),
            kib: target.kib("VmHWM").saturating_sub(base),
            body,
        });
    }
    assert!(target.lives(), "the webhook has ended");
    costs
}

fn show(cost: &Cost) {
    println!(
        "  {:>6.1} ms {:>6.1} MiB  {}",
        cost.processor.as_secs_f64() * 1e3,
        mib(cost.kib),
        cost.what
    );
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
