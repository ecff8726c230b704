//! Nobody who reaches the webhook takes it down: a bounded version of `hack/bench/attack.rs`, where the time is measured.

use fastrand::Rng;
use harness::attack::crossed::crossed;
use harness::attack::load::Load;
use harness::attack::memory::Limited;
use harness::attack::mixture::Mixture;
use harness::attack::reviews::{NAMESPACES, OPERATOR, POLICIES, SHAPES, honest, one_name, pairs};
use harness::attack::target::{Connection, Target};
use harness::process;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What the chart allows it, in bytes.
const LIMIT: u64 = 256 << 20;

/// What an API server takes of one object, in bytes.
const MOST: usize = 3 << 19;

/// Of the shapes, those that all of a review is read for.
const DEAR: [&str; 4] = [
    "variables",
    "volumes of the identity",
    "exceptions of the proxy",
    "named containers",
];

fn start() -> Target {
    Target::start(env!("CARGO_BIN_EXE_vertex-injector"), POLICIES, OPERATOR)
}

#[test]
fn the_dearest_reviews_that_anybody_can_write_are_answered_in_bounded_memory() {
    let mut target = start();
    let shapes = SHAPES.iter().enumerate().map(|(i, shape)| {
        let namespace = NAMESPACES[i % NAMESPACES.len()];
        (shape.name, shape.review(namespace, MOST))
    });
    let crossed = crossed("references", MOST);
    let _ = target.connect().unwrap().review(&honest("proxy")).unwrap();
    let base = target.kib("VmRSS");
    for (name, body) in shapes.chain(crossed) {
        target.forget_peak();
        // Who looks each of one list up in all of another does not answer before the connection is given up.
        let (status, answer) = target.connect().unwrap().review(&body).unwrap();
        assert!(matches!(status, 200 | 400), "{name}: {status} {answer:.200}");
        let taken = target.kib("VmHWM").saturating_sub(base) >> 10;
        assert!(taken <= 32, "{name} took {taken} MiB");
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
    let Some(limit) = process::or_explain(Limited::of(LIMIT)) else {
        return;
    };
    let mut target = Target::start_within(&limit, env!("CARGO_BIN_EXE_vertex-injector"), POLICIES, OPERATOR);
    let mut rng = Rng::with_seed(1);
    let shapes = SHAPES.iter().filter(|shape| DEAR.contains(&shape.name));
    let shapes = shapes.map(|shape| shape.review("proxy", MOST));
    let mixtures = (0..4).map(|_| Mixture::any(&mut rng).review(MOST));
    let dear: Vec<String> = shapes.chain(mixtures).collect();
    assert_eq!(dear.len(), 8);
    let load = Load {
        idle: 2048,
        unfinished: 200,
        dear: &dear,
        lasts: Duration::from_secs(5),
    };
    let outcome = harness::attack::load::run(&mut target, &load);
    assert!(
        outcome.honest > 0 && outcome.failed == 0 && outcome.dear > 0 && outcome.livez < Duration::MAX,
        "{outcome:?}"
    );
    assert!(target.lives() && limit.kills() == 0, "{outcome:?}");
}
