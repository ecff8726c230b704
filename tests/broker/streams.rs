//! Answers that stream: nothing is held back, nobody is waited for who has gone, and nothing piles up.

use super::vertex::{CANARY, EVENTS, GEMINI, MODELS, Vertex, chunk, connect, post, read_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn pair<T>() -> (Mutex<Sender<T>>, Mutex<Receiver<T>>) {
    let (send, receive) = channel();
    (Mutex::new(send), Mutex::new(receive))
}

fn streaming() -> Vec<u8> {
    post(
        &format!("{MODELS}/claude-x:streamRawPredict"),
        "",
        r#"{"messages":[],"stream":true}"#,
    )
}

/// Whether the other side closes the connection before long.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn every_event_arrives_before_the_next_one_is_sent() {
    let (seen, wait) = pair::<()>();
    let vertex = Vertex::new(move |stream, _| {
        stream.write_all(EVENTS).unwrap();
        for i in 0..20 {
            stream
                .write_all(&chunk(&format!("event: {i}\ndata: {{}}\n\n")))
                .unwrap();
            // The next one is only sent when the agent has this one.
            wait.lock()
                .unwrap()
                .recv_timeout(PATIENCE)
                .expect("the agent has seen it");
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let broker = vertex.broker(&[]);
    let mut stream = connect(&broker, &streaming());
    for i in 0..20 {
        read_until(&mut stream, &format!("event: {i}\n"));
        seen.lock().unwrap().send(()).unwrap();
    }
    read_until(&mut stream, "0\r\n\r\n");
}

#[test]
fn the_tokens_of_a_stream_are_counted_whatever_its_pieces() {
    let claude = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":4,\"output_tokens\":1}}}\n\n\
                  event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\\"usage\\\":{\\\"output_tokens\\\":999}\"}}\n\n\
                  event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{\"usageMetadata\":{\"promptTokenCount\":999}}}}]}}],\"usageMetadata\":{\"promptTokenCount\":9}}\n\n\
                  data: {\"usageMetadata\":{\"promptTokenCount\":9,\"cachedContentTokenCount\":2,\"candidatesTokenCount\":3,\"thoughtsTokenCount\":4}}\n\n";
    let vertex = Vertex::new(move |stream, seen| {
        let text = if seen.target.contains("claude") { claude } else { gemini };
        stream.write_all(EVENTS).unwrap();
        for piece in text.as_bytes().chunks(7) {
            stream.write_all(&chunk(std::str::from_utf8(piece).unwrap())).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let broker = vertex.broker(&[]);
    let gemini = format!("{GEMINI}/gemini-x:streamGenerateContent?alt=sse");
    for request in [streaming(), post(&gemini, "", r#"{"contents":[]}"#)] {
        read_until(&mut connect(&broker, &request), "0\r\n\r\n");
    }
    let metrics = broker.ask("metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    for line in [
        r#"{publisher="anthropic",model="claude-*",kind="Input"} 25"#,
        r#"{publisher="anthropic",model="claude-*",kind="Output"} 15"#,
        r#"{publisher="anthropic",model="claude-*",kind="CacheWrite"} 4"#,
        r#"{publisher="google",model="gemini-*",kind="Input"} 7"#,
        r#"{publisher="google",model="gemini-*",kind="CacheRead"} 2"#,
        r#"{publisher="google",model="gemini-*",kind="Output"} 7"#,
    ] {
        assert!(
            metrics.contains(&format!("proxy_tokens_total{line}")),
            "{line}: {metrics}"
        );
    }
}

#[test]
fn a_call_ends_when_its_agent_goes_away() {
    let (tell, cancelled) = pair::<bool>();
    let vertex = Vertex::new(move |stream, _| {
        stream.write_all(EVENTS).unwrap();
        stream.write_all(&chunk("event: 0\n\n")).unwrap();
        tell.lock().unwrap().send(is_closed(stream)).unwrap();
    });
    let mut broker = vertex.broker(&[]);
    let mut stream = connect(&broker, &streaming());
    read_until(&mut stream, "event: 0\n");
    drop(stream);
    assert!(cancelled.lock().unwrap().recv_timeout(PATIENCE).unwrap());
    assert_eq!(broker.wait_for("model call")["outcome"], "Abandoned");
}

#[test]
fn a_call_ends_when_its_agent_goes_away_before_the_model_has_said_anything() {
    let (tell, arrived) = pair::<()>();
    let (end, cancelled) = pair::<bool>();
    let vertex = Vertex::new(move |stream, _| {
        tell.lock().unwrap().send(()).unwrap();
        end.lock().unwrap().send(is_closed(stream)).unwrap();
    });
    let mut broker = vertex.broker(&[]);
    let stream = connect(&broker, &streaming());
    arrived
        .lock()
        .unwrap()
        .recv_timeout(PATIENCE)
        .expect("the call arrived");
    drop(stream);
    assert!(cancelled.lock().unwrap().recv_timeout(PATIENCE).unwrap());
    assert_eq!(broker.wait_for("model call")["outcome"], "Abandoned");
}

#[test]
fn a_call_that_is_cut_by_the_brokers_end_leaves_its_line_all_the_same() {
    let vertex = Vertex::new(|stream, _| {
        stream.write_all(EVENTS).unwrap();
        stream.write_all(&chunk("event: 0\n\n")).unwrap();
        is_closed(stream);
    });
    let broker = vertex.broker(&[]);
    let mut stream = connect(&broker, &streaming());
    read_until(&mut stream, "event: 0\n");
    let terminated = Command::new("kill").arg(broker.id().to_string()).status();
    assert!(terminated.expect("kill").success());
    let end = Instant::now() + PATIENCE;
    while !broker.log().contains(r#""message":"model call""#) {
        assert!(Instant::now() < end, "no line: {}", broker.log());
        harness::process::pause(Duration::from_millis(5));
    }
    assert!(broker.log().contains(r#""outcome":"Abandoned""#), "{}", broker.log());
}

#[test]
fn an_agent_that_does_not_read_slows_the_model_down() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 1500;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let vertex = Vertex::new(move |stream, _| {
        stream.write_all(EVENTS).unwrap();
        let piece = chunk(&"x".repeat(PIECE));
        for _ in 0..PIECES {
            if stream.write_all(&piece).is_err() {
                return;
            }
            counted.fetch_add(PIECE, Ordering::Relaxed);
        }
    });
    let broker = vertex.broker(&[]);
    let mut stream = connect(&broker, &streaming());
    read_until(&mut stream, "x");
    // Until nothing moves any more.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        harness::process::pause(Duration::from_secs(1));
    }
    // The kernel's buffers hold some megabytes; 98 MB would not fit.
    assert!(before < 48 * 1024 * 1024, "{before} bytes were taken");
    // It goes on when the agent does.
    let mut buffer = vec![0; PIECE];
    let end = Instant::now() + PATIENCE;
    while sent.load(Ordering::Relaxed) <= before + PIECE {
        assert!(Instant::now() < end, "it does not go on");
        assert!(stream.read(&mut buffer).expect("more") > 0);
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let vertex = Vertex::new(|stream, seen| {
        if seen.target.contains("stream") {
            stream.write_all(EVENTS).unwrap();
            stream.write_all(&chunk("event: 0\n\n")).unwrap();
        } else {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\"")
                .unwrap();
        }
    });
    let mut broker = vertex.broker(&[]);
    for request in [streaming(), post(&format!("{MODELS}/claude-x:rawPredict"), "", "{}")] {
        let mut stream = connect(&broker, &request);
        let mut text = String::new();
        // Cut, or reset.
        let _ = stream.read_to_string(&mut text);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    }
    assert_eq!(broker.wait_for("model call")["outcome"], "BrokenOff");
    assert!(!broker.log().contains(CANARY));
}
