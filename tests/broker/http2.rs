//! Vertex AI as it is reached in earnest: HTTP/2 over TLS, many calls on few connections.

use super::exchange::Directory;
use super::process::Broker;
use super::vertex::{MODELS, Vertex, connect, post, read_until};
use axum::body::Body;
use futures::stream;
use harness::tls;
use http::{Request, Response};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest events, each in a frame of its own.
const EVENT: &[u8] = b"data: {\"text\": 1}\n\n";

/// A Vertex AI that serves `localhost` and `vertex.example.com` until dropped.
pub(crate) struct Secure {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Events sent so far, of all answers.
    sent: Arc<AtomicUsize>,
    /// How many events each answer may have now.
    allowed: watch::Sender<usize>,
    ca: PathBuf,
    _directory: Directory,
    runtime: tokio::runtime::Runtime,
}

/// An answer to `claude-short` ends after so many events; the others go on for ever.
const SHORT: usize = 20;

impl Secure {
    /// Serves; each answer may have so many events at first.
    pub(crate) fn start(name: &str, allowed: usize) -> Self {
        let directory = Directory::new(name);
        let ca = directory.file("ca.crt", "");
        let acceptor = TlsAcceptor::from(tls::localhost(&ca, "h2"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let (allowed, allow) = watch::channel(allowed);
        let secure = Self {
            address: listener.local_addr().expect("its address"),
            connections: Arc::default(),
            sent: Arc::default(),
            allowed,
            ca,
            _directory: directory,
            runtime,
        };
        let (connections, sent) = (Arc::clone(&secure.connections), Arc::clone(&secure.sent));
        secure.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                connections.fetch_add(1, Ordering::Relaxed);
                let (sent, allow) = (Arc::clone(&sent), allow.clone());
                let service = service_fn(move |request| {
                    let answer = answer(&request, Arc::clone(&sent), allow.clone());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut http = http2::Builder::new(TokioExecutor::new());
                http.timer(TokioTimer::new()).max_concurrent_streams(100);
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        secure
    }

    fn broker(&self) -> Broker {
        self.broker_at("localhost", &[])
    }

    /// A broker that knows it by this name, with more variables.
    pub(crate) fn broker_at(&self, host: &str, more: &[(&str, &str)]) -> Broker {
        // The tokens come from another.
        let tokens = Vertex::always(500, "", "");
        let endpoint = format!("--vertex-endpoint=https://{host}:{}", self.address.port());
        let mut env = vec![("SSL_CERT_FILE", self.ca.to_str().expect("UTF-8"))];
        env.extend(more);
        tokens.broker_with(&[&endpoint, "--log=info"], &env)
    }

    /// Waits until no answer moves any more: what it sends is all in somebody's buffers.
    fn until_stuck(&self) {
        let mut before = usize::MAX;
        while before != self.sent.load(Ordering::Relaxed) {
            before = self.sent.load(Ordering::Relaxed);
            harness::process::pause(Duration::from_secs(1));
        }
    }
}

fn answer(request: &Request<Incoming>, sent: Arc<AtomicUsize>, allow: watch::Receiver<usize>) -> Response<Body> {
    let last = if request.uri().path().contains("short") {
        SHORT
    } else {
        usize::MAX
    };
    let events = stream::unfold((0, sent, allow), move |(number, sent, mut allow)| async move {
        allow.wait_for(|allowed| number < *allowed).await.ok()?;
        if number == last {
            return None;
        }
        sent.fetch_add(1, Ordering::Relaxed);
        Some((
            Ok::<_, Infallible>(Bytes::from_static(EVENT)),
            (number + 1, sent, allow),
        ))
    });
    let mut answer = Response::new(Body::from_stream(events));
    let kind = http::HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}

/// Calls a model.
pub(crate) fn ask(broker: &Broker, model: &str) -> TcpStream {
    let target = format!("{MODELS}/{model}:streamRawPredict");
    connect(broker, &post(&target, "", r#"{"messages":[],"stream":true}"#))
}

/// Reads so many events, each of which is whole.
fn read_events(stream: &mut TcpStream, events: usize) {
    let mut left = events;
    let (mut buffer, mut line) = (vec![0; 64 * 1024], Vec::new());
    while left > 0 {
        let read = stream.read(&mut buffer).expect("more to read");
        assert!(read > 0, "the answer ended {left} events early");
        for &byte in &buffer[..read] {
            line.push(byte);
            if line.ends_with(EVENT) {
                line.clear();
                left = left.saturating_sub(1);
            }
        }
    }
}

#[test]
fn a_hundred_calls_share_two_connections_and_each_event_arrives_before_the_next_is_sent() {
    let vertex = Secure::start("http2-shared", 0);
    let broker = vertex.broker();
    let mut calls: Vec<TcpStream> = (0..100).map(|_| ask(&broker, "claude-short")).collect();
    for number in 1..=SHORT {
        vertex.allowed.send_replace(number);
        for call in &mut calls {
            read_events(call, 1);
        }
        assert_eq!(vertex.sent.load(Ordering::Relaxed), 100 * number);
    }
    vertex.allowed.send_replace(usize::MAX);
    for call in &mut calls {
        read_until(call, "0\r\n\r\n");
    }
    assert_eq!(vertex.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn small_events_that_nobody_reads_cost_no_other_answer_on_the_connection() {
    let vertex = Secure::start("http2-unread", usize::MAX);
    let broker = vertex.broker();
    let mut unread: Vec<TcpStream> = (0..6).map(|_| ask(&broker, "claude-endless")).collect();
    vertex.until_stuck();

    read_until(&mut ask(&broker, "claude-short"), "0\r\n\r\n");
    assert_eq!(vertex.connections.load(Ordering::Relaxed), 1);
    // They go on when they are read, also beyond what was buffered.
    let buffered = vertex.sent.load(Ordering::Relaxed) / unread.len();
    let until = Instant::now() + PATIENCE;
    for stream in &mut unread {
        read_events(stream, buffered + 1000);
        assert!(Instant::now() < until, "they are slow");
    }
}
