//! What a broker holds at a time is bounded as a whole, whoever pushes; calls that find no room wait for it, and honest ones come
//! through.

use super::exchange::Directory;
use super::process::{Broker, program};
use super::vertex::{EVENTS, MODELS, Vertex, call, chunk, connect, post, read_until};
use harness::request::ask;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

const MIB: usize = 1024 * 1024;

fn target() -> String {
    format!("{MODELS}/claude-x:rawPredict")
}

fn head(length: usize) -> Vec<u8> {
    format!(
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        target()
    )
    .into_bytes()
}

/// A body of about so many bytes.
fn body(bytes: usize) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(bytes)
    )
}

/// The most memory that a process has had, in MiB.
fn peak(broker: &Broker) -> usize {
    peak_kib(broker) / 1024
}

/// The same in KiB.
fn peak_kib(broker: &Broker) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.id())).expect("it lives");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:") || line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .expect("a line")
        .parse()
        .expect("a number")
}

fn metadata_broker() -> Broker {
    let arguments = [
        "--mode=metadata",
        "--project=p",
        "--metadata-port=0",
        "--node-metadata-server=127.0.0.1:1",
    ];
    Broker::start(&arguments, &[])
}

fn ask_metadata(address: SocketAddr) -> u16 {
    let request =
        "GET /computeMetadata/v1/project/project-id HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\r\n";
    ask(address, request.as_bytes()).status
}

/// Connections on which a head of so many bytes has begun and does not end.
fn unfinished(address: SocketAddr, connections: usize, bytes: usize) -> Vec<TcpStream> {
    let start = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ";
    let line = [start.as_slice(), &vec![b'a'; bytes - start.len()]].concat();
    let open = |_| {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        // It may have had to go by now.
        let _ = stream.write_all(&line);
        stream
    };
    (0..connections).map(open).collect()
}

#[test]
fn a_body_that_is_longer_than_any_is_refused_and_its_sender_reads_why() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let limit = 32 * MIB;
    let answer = call(&broker, &target(), "", " ".repeat(limit + 1));
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.body.contains("longer than 32 MiB"), "{}", answer.body);
    // Where there is less room than for that, the message says of what.
    let small = vertex.broker(&["--memory-limit=100000000"]);
    let answer = call(&small, &target(), "", body(31 * MIB));
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.body.contains("the policy's broker.resources"), "{}", answer.body);
    assert_eq!(call(&small, &target(), "", body(8 * MIB)).status, 200);
}

#[test]
fn large_calls_wait_for_room_in_order_and_small_ones_do_not_wait() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let hold: Vec<TcpStream> = (0..2).map(|_| connect(&broker, &head(32 * MIB))).collect();
    harness::process::pause(Duration::from_millis(200));
    // What is left is not enough for the first of these; what would fit comes after it.
    let calls: Vec<_> = [30 * MIB, 20 * MIB, MIB]
        .into_iter()
        .map(|bytes| {
            let address = broker.address("proxy");
            let request = post(&target(), "", body(bytes));
            let waits = std::thread::spawn(move || ask(address, &request).status);
            harness::process::pause(Duration::from_millis(200));
            waits
        })
        .collect();
    assert!(calls.iter().all(|call| !call.is_finished()), "they wait");
    assert_eq!(
        call(&broker, &target(), "", body(60_000)).status,
        200,
        "a small one has room of its own"
    );
    assert_eq!(vertex.calls().len(), 1);
    drop(hold);
    for call in calls {
        assert_eq!(call.join().expect("an answer"), 200);
    }
    let lengths: Vec<usize> = vertex
        .calls()
        .iter()
        .skip(1)
        .map(|seen| seen.body.len() / MIB)
        .collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.contains(&30) && lengths.contains(&20), "{lengths:?}");
}

#[test]
fn many_large_calls_at_once_all_come_through_within_the_memory_of_the_container() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--log=info"]);
    let address = broker.address("proxy");
    let calls: Vec<_> = (0..12)
        .map(|i| {
            // Half of them do not say how long they are.
            let request = if i % 2 == 0 {
                post(&target(), "", body(15 * MIB))
            } else {
                let body = body(15 * MIB);
                let head = format!(
                    "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                    target()
                );
                format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
            };
            std::thread::spawn(move || ask(address, &request).status)
        })
        .collect();
    for call in calls {
        assert_eq!(call.join().expect("an answer"), 200);
    }
    assert!(peak(&broker) < 200, "{} MiB", peak(&broker));
}

#[test]
fn a_crowd_of_streams_holds_neither_its_bodies_nor_more_buffers_than_it_needs() {
    const CROWD: usize = 200;
    let bytes = 60_000;
    let vertex = Vertex::new(|stream, _| {
        let _ = stream.write_all(EVENTS);
        let _ = stream.write_all(&chunk("event: 0\n\n"));
        let _ = stream.read(&mut [0]);
    });
    let broker = vertex.broker(&["--log=info"]);
    assert_eq!(ask_metadata(broker.address("metadata")), 200);
    let idle = peak_kib(&broker);
    let request = post(&format!("{MODELS}/claude-x:streamRawPredict"), "", body(bytes));
    let mut open: Vec<TcpStream> = (0..CROWD).map(|_| connect(&broker, &request)).collect();
    for stream in &mut open {
        read_until(stream, "event: 0\n");
    }
    let each = (peak_kib(&broker) - idle) / CROWD;
    // Of its connection to the agent, its own one to this Vertex AI, and its part of those bodies that have their turn.
    assert!(each < 140, "{each} KiB for each");
}

#[test]
fn strings_of_many_megabytes_with_escapes_take_no_more_than_they_are() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--log=info"]);
    let address = broker.address("proxy");
    let escaped = format!(
        r#"{{"messages":[{{"role":"user","content":"\n{}"}}]}}"#,
        "x".repeat(32 * MIB - 100)
    );
    // All of it names, or values, of the shortest kind.
    let names = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}}],"metadata":{{"user_id":"{}"}}}}"#,
        "\\u0061".repeat(5 * MIB)
    );
    let many = format!(r#"{{"messages":[{}"x"]}}"#, r#""\n","#.repeat(400_000));
    for body in [escaped, names, many] {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let request = post(&target(), "", &body);
                std::thread::spawn(move || ask(address, &request).status)
            })
            .collect();
        for call in calls {
            assert_eq!(call.join().expect("an answer"), 200);
        }
    }
    assert!(peak(&broker) < 180, "{} MiB", peak(&broker));
    let keys = (0..250_000).fold(String::new(), |mut keys, i| {
        let _ = write!(keys, "\"\\u0061{i:0>60}\":1,");
        keys
    });
    let answer = call(
        &broker,
        &target(),
        "",
        format!(r#"{{"messages":[],"x":{{{keys}"a":1}}}}"#),
    );
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.body.contains("written with escapes"), "{}", answer.body);
}

#[test]
fn unfinished_heads_neither_kill_a_broker_nor_keep_others_out() {
    let vertex = Vertex::always(200, "", "{}");
    for bytes in [60 * 1024, 15 * 1024] {
        let broker = metadata_broker();
        let address = broker.address("metadata");
        let held = unfinished(address, 900, bytes);
        let start = Instant::now();
        assert_eq!(ask_metadata(address), 200, "while they push");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert!(peak(&broker) < 64, "{bytes}: {} MiB", peak(&broker));
        drop(held);
        assert_eq!(ask_metadata(address), 200, "when they are gone");

        let broker = vertex.broker(&["--log=info"]);
        let held = [broker.address("metadata"), broker.address("proxy")].map(|port| unfinished(port, 900, bytes));
        let start = Instant::now();
        assert_eq!(call(&broker, &target(), "", "{}").status, 200, "while they push");
        assert_eq!(ask_metadata(broker.address("metadata")), 200, "while they push");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert!(peak(&broker) < 200, "{bytes}: {} MiB", peak(&broker));
        drop(held);
    }
}

#[test]
fn connections_that_do_nothing_make_way_for_those_that_ask() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--log=info"]);
    let proxy = broker.address("proxy");
    let idle: Vec<TcpStream> = (0..1100).map(|_| TcpStream::connect(proxy).expect("connect")).collect();
    let start = Instant::now();
    assert_eq!(call(&broker, &target(), "", "{}").status, 200);
    assert_eq!(ask_metadata(broker.address("metadata")), 200);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(idle);
}

#[test]
fn a_head_has_at_most_sixteen_kilobytes() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let header = |bytes: usize| format!("anthropic-beta: {}\r\n", "a".repeat(bytes));
    assert_eq!(call(&broker, &target(), &header(14_000), "{}").status, 200);
    for bytes in [17_000, 60_000, 1_000_000] {
        assert_eq!(call(&broker, &target(), &header(bytes), "{}").status, 431, "{bytes}");
    }
    assert_eq!(vertex.calls().len(), 1);
}

#[test]
fn a_port_that_another_process_has_taken_is_waited_for_and_the_log_says_so() {
    let directory = Directory::new("taken");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let credentials = directory.file("credentials.json", &super::credentials::authorized_user().to_string());
    let mut broker = program()
        .args([
            "broker",
            "--log-format=json",
            "--mode=metadata",
            "--project=p",
            "--credentials",
        ])
        .arg(credentials)
        .args(["--metadata-port", &address.port().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the broker");
    let mut lines = BufReader::new(broker.stderr.take().expect("a pipe")).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let told = next();
    assert_eq!(
        told["message"],
        "another process listens on this port; waiting until it is free"
    );
    assert_eq!(
        (&told["level"], &told["flag"]),
        (&"WARN".into(), &"--metadata-port".into())
    );
    assert_eq!(told["address"], address.to_string());
    harness::process::pause(Duration::from_secs(1));
    assert_eq!(broker.try_wait().expect("its state"), None, "it waits");
    drop(taken);
    assert_eq!(next()["message"], "the port is free now");
    assert_eq!(next()["message"], "serving");
    assert_eq!(ask_metadata(address), 200);
    broker.kill().expect("kill");
    let _ = broker.wait();
}
