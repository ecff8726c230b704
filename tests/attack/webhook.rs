//! Nobody who reaches the webhook takes it down: a bounded version of `hack/bench/attack.rs`.

use harness::attack::load::Load;
use harness::attack::reviews::{NAMESPACES, OPERATOR, POLICIES, SHAPES, honest, one_name, pairs};
use harness::attack::target::{Connection, Target};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What the chart allows it, in KiB.
const LIMIT: u64 = 256 << 10;

fn start() -> Target {
    Target::start(env!("CARGO_BIN_EXE_vertex-injector"), POLICIES, OPERATOR)
}

#[test]
fn the_dearest_reviews_that_anybody_can_write_are_answered_in_bounded_memory() {
    let mut target = start();
    for (i, shape) in SHAPES.iter().enumerate() {
        let namespace = NAMESPACES[i % NAMESPACES.len()];
        let body = shape.review(namespace, 3 << 20);
        target.forget_peak();
        let base = target.kib("VmRSS");
        let before = target.processor();
        let (status, answer) = target.connect().unwrap().review(&body).unwrap();
        assert!(matches!(status, 200 | 400), "{}: {status} {answer:.200}", shape.name);
        // A debug build; a release build takes a tenth.
        let processor = target.processor().saturating_sub(before);
        assert!(processor < Duration::from_secs(3), "{} took {processor:?}", shape.name);
        let taken = target.kib("VmHWM").saturating_sub(base) >> 10;
        assert!(taken < 64, "{} took {taken} MiB", shape.name);
    }
    assert!(target.lives());
}

#[test]
fn a_thousand_volumes_of_one_name_in_a_thousand_containers_are_refused_while_honest_reviews_are_answered() {
    let mut target = start();
    let hostile = one_name("proxy", 1000, 1000);
    let (status, answer) = target.connect().unwrap().review(&hostile).unwrap();
    assert!(
        status == 200 && answer.contains("is the name of another one, too"),
        "{answer:.300}"
    );
    let (_, answer) = target.connect().unwrap().review(&pairs("proxy", 100, 80)).unwrap();
    assert!(
        answer.contains("for 8000 reasons") && answer.len() < 6000,
        "{answer:.300}"
    );
    let (status, answer) = target.connect().unwrap().review(&honest("file")).unwrap();
    assert!(status == 200 && answer.contains("JSONPatch"), "{answer}");
    assert!(target.lives());
}

#[test]
fn unfinished_requests_on_the_admin_port_keep_no_probe_out() {
    let target = start();
    let mut held = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(target.admin).unwrap();
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ");
        held.push(stream);
    }
    for path in ["/livez", "/readyz"] {
        let began = Instant::now();
        assert!(target.get(path).unwrap().starts_with("HTTP/1.1 200"));
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{path} took {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn idle_connections_keep_no_review_out() {
    let target = start();
    let _idle: Vec<Connection> = (0..1100).filter_map(|_| target.connect().ok()).collect();
    for _ in 0..5 {
        let began = Instant::now();
        let (status, answer) = target.connect().unwrap().review(&honest("file")).unwrap();
        assert!(status == 200 && answer.contains("JSONPatch"), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
    }
}

#[test]
fn everything_at_once_neither_ends_it_nor_keeps_honest_reviews_out() {
    let mut target = start();
    let dear: Vec<String> = [
        "variables",
        "volumes of the identity",
        "exceptions of the proxy",
        "named containers",
    ]
    .iter()
    .filter_map(|name| SHAPES.iter().find(|shape| shape.name == *name))
    .map(|shape| shape.review("proxy", 1 << 20))
    .collect();
    let load = Load {
        idle: 600,
        unfinished: 100,
        dear: &dear,
        lasts: Duration::from_secs(5),
    };
    let outcome = harness::attack::load::run(&mut target, &load);
    assert!(
        outcome.honest > 20 && outcome.failed == 0 && outcome.dear > 0,
        "{outcome:?}"
    );
    // A debug build on a machine that does other things, too.
    assert!(
        outcome.p99 < Duration::from_secs(1) && outcome.livez < Duration::from_secs(1),
        "{outcome:?}"
    );
    assert!(outcome.peak < LIMIT && outcome.p50 <= outcome.p99, "{outcome:?}");
}
