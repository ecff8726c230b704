//! Everything at once: dear reviews, idle connections, unfinished requests on both ports, and honest reviews meanwhile.

use super::reviews::honest;
use super::target::{Connection, Target};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How much of each.
pub struct Load<'r> {
    /// TLS connections on which nothing is said.
    pub idle: usize,
    /// Requests on each port that never end.
    pub unfinished: usize,
    /// Sent again and again, one connection for each.
    pub dear: &'r [String],
    /// For how long.
    pub lasts: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The median of honest reviews.
    pub p50: Duration,
    /// What 99 of 100 of them took at most.
    pub p99: Duration,
    /// How many there were.
    pub honest: usize,
    /// How many of them got no answer.
    pub failed: usize,
    /// How many dear reviews were answered.
    pub dear: usize,
    /// The slowest answer of `/livez`.
    pub livez: Duration,
    /// The most resident memory, in KiB.
    pub peak: u64,
}

/// Loads a target, which has to live.
pub fn run(target: &mut Target, load: &Load<'_>) -> Outcome {
    target.forget_peak();
    let held = hold(target, load);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut times, mut failed, mut livez) = (Vec::new(), 0, Duration::ZERO);
    std::thread::scope(|scope| {
        let shared: &Target = target;
        for body in load.dear {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut connection) = shared.connect() else { continue };
                    while !stop.load(Ordering::Relaxed) && connection.review(body).is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let start = Instant::now();
        let mut kept: Option<Connection> = None;
        let body = honest("file");
        while start.elapsed() < load.lasts {
            let began = Instant::now();
            // As an API server: on the connection that it keeps, or on a new one.
            let mut ask = || match kept.take() {
                Some(mut connection) => connection.review(&body).map(|answer| (connection, answer)),
                None => shared
                    .connect()
                    .and_then(|mut it| it.review(&body).map(|answer| (it, answer))),
            };
            let answered = ask().or_else(|_| ask());
            match answered {
                Ok((connection, (200, answer))) if answer.contains("JSONPatch") => {
                    times.push(began.elapsed());
                    // Half of them begin anew.
                    kept = Some(connection).filter(|_| times.len() % 2 == 0);
                }
                _ => failed += 1,
            }
            if times.len() % 20 == 0 {
                let began = Instant::now();
                let alive = shared.get("/livez").is_some_and(|answer| answer.ends_with("ok\n"));
                livez = livez.max(if alive { began.elapsed() } else { Duration::MAX });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(held);
    assert!(target.lives(), "the webhook has ended");
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(Duration::MAX);
    Outcome {
        p50: at(50),
        p99: at(99),
        honest: times.len(),
        failed,
        dear: answered.into_inner(),
        livez,
        peak: target.kib("VmHWM"),
    }
}

/// Connections that say nothing, or not all.
fn hold(target: &Target, load: &Load<'_>) -> (Vec<Connection>, Vec<TcpStream>) {
    let mut idle: Vec<Connection> = (0..load.idle).filter_map(|_| target.connect().ok()).collect();
    let mut plain = Vec::new();
    for i in 0..load.unfinished {
        // A handshake of one byte, half a head, a head without its body, a large body that does not come, and a head for probes.
        if let Ok(mut stream) = TcpStream::connect(target.https) {
            let _ = stream.write_all(b"\x16");
            plain.push(stream);
        }
        if let Ok(mut connection) = target.connect() {
            let length = if i % 2 == 0 { 100 } else { 3 << 20 };
            let _ = connection.send(match i % 3 {
                0 => "POST /mutate HTTP/1.1\r\nhost: x\r\nx-filler: ".to_owned() + &"x".repeat(15_000),
                _ => format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{{"),
            }.as_bytes());
            idle.push(connection);
        }
        if let Ok(mut stream) = TcpStream::connect(target.admin) {
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ");
            plain.push(stream);
        }
    }
    (idle, plain)
}
