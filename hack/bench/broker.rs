//! The Vertex proxy, as the built program, against talking to the same fake Vertex AI directly:
//! `cargo bench --bench broker`. Words after `--` choose parts of it: start, latency, nginx, throughput, streams.
//!
//! Everything is measured in one run, turn by turn, so ratios and differences mean something on any machine; absolute figures
//! belong to the machine, on which client, broker and fake share the processors; each works on one thread, so that how a system
//! spreads threads over few processors is not measured with them. Vertex AI is the fake of `hack/fakes` over TLS and HTTP/2, so the
//! direct client does what the broker else does for it.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking, may wait, and prints what it found"
)]

#[path = "broker/measure.rs"]
mod measure;
#[path = "broker/nginx.rs"]
mod nginx;
#[path = "broker/processes.rs"]
mod processes;

use measure::{Side, first_bytes, median, percentile, storm, throughput};
use nginx::Nginx;
use processes::{Broker, Fake, Relay, TokenServer};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::time::Duration;

/// Calls for latency, on each side.
const CALLS: usize = 2000;

/// Clients that call at once for throughput, and how long each turn takes.
const CLIENTS: usize = 16;
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 4;

/// Streams at once.
const STREAMS: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [Relay::ARGUMENT, to] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return Relay::run(to);
    }
    let parts: Vec<String> = arguments.into_iter().filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|other| other == part);
    let tokens = TokenServer::start();
    if wanted("start") {
        start(&tokens);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        if wanted("latency") {
            latency(&tokens).await;
        }
        if wanted("nginx") {
            beside_nginx(&tokens).await;
        }
        if wanted("throughput") {
            streams_per_second(&tokens).await;
            bytes_per_second(&tokens).await;
        }
        if wanted("streams") {
            concurrent_streams(&tokens).await;
        }
    });
}

/// From the start of the process until it accepts calls, and its memory then.
fn start(tokens: &TokenServer) {
    let mut times: Vec<Duration> = (0..20).map(|_| Broker::start(tokens, None).ready).collect();
    times.sort_unstable();
    let broker = Broker::start(tokens, None);
    std::thread::sleep(Duration::from_millis(500));
    println!(
        "start to ready      median {:?}, worst {:?}",
        median(&times),
        times[times.len() - 1]
    );
    println!(
        "memory idle         {:.1} MiB resident, {:.1} MiB of it no file's",
        broker.resident(),
        broker.own()
    );
}

/// Streamed calls one after the other, in turn: direct, through a relay, and through the proxy.
///
/// First with all processes on one processor, where whatever the proxy does is waited for and nothing else is: what waking another
/// processor takes belongs to the machine, and is many times more where that is a virtual one. Then on all there are.
async fn latency(tokens: &TokenServer) {
    let all = sched_getaffinity(None).expect("the processors of this process");
    let one = first_of(&all);
    for (place, processors) in [("one processor", &one), ("all processors", &all)] {
        // Processes that are started have what this one has.
        sched_setaffinity(None, processors).expect("a choice of processors");
        let fake = Fake::start(0, 5);
        let (broker, relay) = (Broker::start(tokens, Some(&fake)), Relay::start(fake.address));
        let sides = [
            &Side::direct(&fake),
            &Side::relayed(&fake, &relay),
            &Side::proxied(&broker),
        ];
        first_bytes(sides, CALLS / 10).await;
        let [direct, relayed, proxied] = first_bytes(sides, CALLS).await;
        let added = |times: &[Duration]| median(times).saturating_sub(median(&direct));
        println!(
            "first byte          {place}: direct {:?}; a relay of bytes adds {:?}, the proxy {:?} at the median",
            median(&direct),
            added(&relayed),
            added(&proxied)
        );
        println!(
            "                    99 %: direct {:?}, relayed {:?}, proxied {:?}",
            percentile(&direct, 99),
            percentile(&relayed, 99),
            percentile(&proxied, 99)
        );
    }
}

/// The same calls through nginx, which only forwards, and through the proxy, which looks into them, in turn and with all processes
/// on one processor.
async fn beside_nginx(tokens: &TokenServer) {
    let all = sched_getaffinity(None).expect("the processors of this process");
    sched_setaffinity(None, &first_of(&all)).expect("a choice of processors");
    let fake = Fake::start(0, 5);
    let broker = Broker::start(tokens, Some(&fake));
    match Nginx::start(&fake) {
        None => println!("beside nginx        not measured: there is no nginx (apt-get install nginx-light)"),
        Some(nginx) => {
            let sides = [
                &Side::direct(&fake),
                &Side::forwarded(nginx.address),
                &Side::proxied(&broker),
            ];
            first_bytes(sides, CALLS / 10).await;
            let before = [nginx.processor_time(), broker.processor_time()];
            let [direct, forwarded, proxied] = first_bytes(sides, CALLS).await;
            let per_call = |now: Duration, before| now.saturating_sub(before).div_f64(CALLS as f64);
            let of_nginx = per_call(nginx.processor_time(), before[0]);
            let of_broker = per_call(broker.processor_time(), before[1]);
            let added = |times: &[Duration]| median(times).saturating_sub(median(&direct));
            let (nginx, proxy) = (added(&forwarded), added(&proxied));
            println!(
                "beside nginx        first byte: nginx adds {nginx:?}, the proxy {proxy:?}: {:.2} times; processor time of a call: \
                 {of_nginx:?} and {of_broker:?}: {:.2} times",
                proxy.as_secs_f64() / nginx.as_secs_f64(),
                of_broker.as_secs_f64() / of_nginx.as_secs_f64()
            );
        }
    }
    sched_setaffinity(None, &all).expect("a choice of processors");
}

/// The first of some processors.
fn first_of(all: &CpuSet) -> CpuSet {
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu)).expect("a processor"));
    one
}

/// Streams as models make them, as many as the clients can start.
async fn streams_per_second(tokens: &TokenServer) {
    let fake = Fake::start(5, 20);
    let broker = Broker::start(tokens, Some(&fake));
    compare("streams, 20 events  ", &Side::direct(&fake), &Side::proxied(&broker)).await;
}

/// Answers without a pause, as fast as three processes get the processors: the proxy's own cost shows in full.
async fn bytes_per_second(tokens: &TokenServer) {
    let fake = Fake::start(0, 2000);
    let broker = Broker::start(tokens, Some(&fake));
    compare("without a pause     ", &Side::direct(&fake), &Side::proxied(&broker)).await;
}

async fn compare(what: &str, direct: &Side, proxied: &Side) {
    throughput(direct, CLIENTS, TURN / 4).await;
    throughput(proxied, CLIENTS, TURN / 4).await;
    let (mut directly, mut through) = (0.0, 0.0);
    for _ in 0..TURNS {
        directly += throughput(direct, CLIENTS, TURN).await;
        through += throughput(proxied, CLIENTS, TURN).await;
    }
    let turns = TURNS as f64;
    println!(
        "{what}direct {:.2} MB/s, proxied {:.2} MB/s: ratio {:.2}",
        directly / turns / 1e6,
        through / turns / 1e6,
        through / directly
    );
}

/// Many streams at once, each of which takes five seconds by itself.
async fn concurrent_streams(tokens: &TokenServer) {
    let fake = Fake::start(100, 50);
    let broker = Broker::start(tokens, Some(&fake));
    let (direct, proxied) = (Side::direct(&fake), Side::proxied(&broker));
    let idle = broker.resident();
    let directly = storm(&direct, STREAMS).await;
    let watch = broker.watch();
    let through = storm(&proxied, STREAMS).await;
    println!(
        "{STREAMS} streams at once direct {directly:.1?}, proxied {through:.1?}; {:.1} MiB resident at most, {:.0} KiB for each over idle; {:.1} MiB after",
        watch.most(),
        (watch.most() - idle) * 1024.0 / STREAMS as f64,
        broker.resident()
    );
}
