//! The webhook, as the built program, under attack: the dearest reviews of every size, those of one kind and those that a search
//! finds among mixtures of them, then everything at once: `cargo bench --bench attack`. Numbers after `--` are sizes in KiB.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark fails by panicking, may wait, and prints what it found"
)]

use fastrand::Rng;
use harness::attack::crossed::crossed;
use harness::attack::load::Load;
use harness::attack::memory::Limited;
use harness::attack::mixture::Mixture;
use harness::attack::reviews::{NAMESPACES, OPERATOR, POLICIES, SHAPES, one_name, pairs};
use harness::attack::target::Target;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vertex-injector");

/// Sizes of reviews, in bytes.
const SIZES: [usize; 4] = [64 << 10, 512 << 10, 1536 << 10, 3 << 20];

/// How many mixtures of a size are tried, and how many of the dearest are varied.
const TRIES: usize = 400;
const KEPT: usize = 8;

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
    let mut costs = Vec::new();
    for bytes in sizes {
        for found in [shapes, search] {
            costs.extend(found(&mut warm(), *bytes));
            keep_the_dearest(&mut costs);
        }
    }
    // What one review leaves behind makes the next look cheap.
    let mut costs: Vec<Cost> = costs
        .into_iter()
        .map(|Cost { what, body, .. }| cost(&mut warm(), what, body))
        .collect();
    println!("dearest in processor time, each alone (target: 100 ms):");
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.processor));
    costs.iter().take(KEPT).for_each(show);
    let dear: Vec<String> = costs.iter().take(8).map(|cost| cost.body.clone()).collect();
    println!("dearest in memory over base, each alone (target: 32 MiB):");
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.kib));
    costs.iter().take(KEPT).for_each(show);
    let limit = Limited::of(256 << 20)
        .map_err(|missing| println!("without a limit of memory: {missing}"))
        .ok();
    let mut target = match &limit {
        Some(limit) => Target::start_within(limit, PROGRAM, POLICIES, OPERATOR),
        None => Target::start(PROGRAM, POLICIES, OPERATOR),
    };
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
    if let Some(limit) = limit {
        println!(
            "  killed for its memory, of which it may have 256 MiB: {} times",
            limit.kills()
        );
    }
}

/// A webhook that has taken what a process takes once.
fn warm() -> Target {
    let mut target = Target::start(PROGRAM, POLICIES, OPERATOR);
    for namespace in NAMESPACES {
        cost(&mut target, namespace.to_owned(), pairs(namespace, 10, 10));
    }
    target
}

/// Forgets all but those that took the most of either.
fn keep_the_dearest(costs: &mut Vec<Cost>) {
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.processor));
    let mut others = costs.split_off(costs.len().min(2 * KEPT));
    others.sort_by_key(|cost| std::cmp::Reverse(cost.kib));
    costs.extend(others.into_iter().take(2 * KEPT));
}

/// The cost of each shape of a size.
fn shapes(target: &mut Target, bytes: usize) -> Vec<Cost> {
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
    let crossed = NAMESPACES.into_iter().flat_map(|namespace| {
        let all = crossed(namespace, bytes).into_iter();
        all.map(move |(name, body)| (format!("{name} in {namespace}, {} KiB", bytes >> 10), body))
    });
    shapes
        .chain(more)
        .chain(crossed)
        .map(|(what, body)| cost(target, what, body))
        .collect()
}

/// The cost of mixtures of a size, of which the dearest are varied.
fn search(target: &mut Target, bytes: usize) -> Vec<Cost> {
    let mut rng = Rng::with_seed(bytes as u64);
    let mut found: Vec<(Mixture, Cost)> = Vec::new();
    for i in 0..TRIES {
        let mixture = match found.get(rng.usize(..KEPT)) {
            Some((dear, _)) if i >= TRIES / 4 => dear.neighbour(&mut rng),
            Some(_) | None => Mixture::any(&mut rng),
        };
        let what = format!("{}, {} KiB", mixture.name(), bytes >> 10);
        let cost = cost(target, what, mixture.review(bytes));
        found.push((mixture, cost));
        found.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.processor));
        found.truncate(2 * KEPT);
    }
    found.into_iter().map(|(_, cost)| cost).collect()
}

fn cost(target: &mut Target, what: String, body: String) -> Cost {
    target.forget_peak();
    let (base, before) = (target.kib("VmRSS"), target.processor());
    let mut connection = target.connect().expect("a connection");
    let (status, answer) = connection.review(&body).expect("an answer");
    assert!(
        matches!(status, 200 | 400) && target.lives(),
        "{what}: {status} {answer:.200}"
    );
    Cost {
        what,
        processor: target.processor().saturating_sub(before),
        kib: target.kib("VmHWM").saturating_sub(base),
        body,
    }
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
