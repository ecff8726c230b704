//! Room for bodies: who gets it, when it is free again, and how long anybody waits. Time is paused, and jumps.

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use vertex_injector_sidecar::broker::proxy::body::{MAX_BODY, Room, drain};
use vertex_injector_sidecar::broker::proxy::refusal::{Reason, Refusal};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// What needs no room.
const SMALL: usize = 64 * KIB;

/// A connection on which a request has begun.
struct Sender {
    wire: DuplexStream,
    read: oneshot::Receiver<Result<Bytes, Refusal>>,
}

/// Begins a request to whoever reads bodies into `room`.
async fn begin(room: &Room, framing: &str) -> Sender {
    let (mut wire, server) = duplex(SMALL);
    let (tell, read) = oneshot::channel();
    let (room, tell) = (room.clone(), Arc::new(Mutex::new(Some(tell))));
    let service = service_fn(move |request: Request<Incoming>| {
        let (room, tell) = (room.clone(), tell.lock().unwrap().take().expect("one request"));
        async move {
            let (head, mut body) = request.into_parts();
            let _ = tell.send(room.read(&head.headers, &mut body).await);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
    write(
        &mut wire,
        format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n").as_bytes(),
    )
    .await;
    Sender { wire, read }
}

async fn write(wire: &mut DuplexStream, bytes: &[u8]) {
    // Who has refused may have gone.
    let _ = wire.write_all(bytes).await;
}

impl Sender {
    /// One whose body has so many bytes and says so.
    async fn sized(room: &Room, bytes: usize) -> Self {
        begin(room, &format!("content-length: {bytes}")).await
    }

    /// One whose body does not say how long it is.
    async fn chunked(room: &Room) -> Self {
        begin(room, "transfer-encoding: chunked").await
    }

    async fn bytes(&mut self, count: usize) {
        write(&mut self.wire, &vec![b' '; count]).await;
    }

    async fn chunk(&mut self, count: usize) {
        write(&mut self.wire, format!("{count:x}\r\n").as_bytes()).await;
        self.bytes(count).await;
        write(&mut self.wire, b"\r\n").await;
    }

    async fn end(&mut self) {
        write(&mut self.wire, b"0\r\n\r\n").await;
    }

    /// The body, which takes its room as long as it lives.
    async fn body(self) -> Bytes {
        let read = self.read.await.expect("it was read");
        read.map_err(|refusal| refusal.message).expect("a body")
    }

    async fn refusal(self) -> Refusal {
        self.read.await.expect("it was read").expect_err("a refusal")
    }
}

/// A whole body of a size that it says.
async fn whole(room: &Room, bytes: usize) -> Sender {
    let mut sender = Sender::sized(room, bytes).await;
    sender.bytes(bytes).await;
    sender
}

#[tokio::test(start_paused = true)]
async fn a_small_body_needs_no_room_and_none_is_larger_than_there_can_be_room_for() {
    let none = Room::new(1);
    assert_eq!(whole(&none, SMALL).await.body().await.len(), SMALL);
    assert_eq!(whole(&none, SMALL + 1).await.refusal().await.reason, Reason::TooLarge);
    let little = Room::new(3 * MIB);
    assert_eq!(whole(&little, 3 * MIB).await.body().await.len(), 3 * MIB);
    let refusal = whole(&little, 3 * MIB + 1).await.refusal().await;
    let message = "the body is longer than 3 MiB, for which the broker's memory has room: the policy's broker.resources sets its limit";
    assert_eq!((refusal.reason, &*refusal.message), (Reason::TooLarge, message));
    let plenty = Room::new(usize::MAX);
    assert_eq!(whole(&plenty, 32 * MIB).await.body().await.len(), MAX_BODY);
    let refusal = whole(&plenty, 32 * MIB + 1).await.refusal().await;
    assert_eq!(refusal.message, "the body is longer than 32 MiB");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_say_how_long_it_is_keeps_no_more_room_than_it_takes() {
    // While one is read, it takes all that one can.
    let room = Room::new(2 * MAX_BODY + MIB);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut sender = Sender::chunked(&room).await;
        sender.chunk(100 * KIB).await;
        sender.end().await;
        held.push(sender.body().await);
    }
    assert!(held.iter().all(|body| body.len() == 100 * KIB));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_a_minute_to_come() {
    let room = Room::new(MAX_BODY);
    for (seconds, comes) in [(59, true), (61, false)] {
        let mut sender = Sender::sized(&room, 10).await;
        sender.bytes(5).await;
        sleep(Duration::from_secs(seconds)).await;
        sender.bytes(5).await;
        if comes {
            assert_eq!(sender.body().await.len(), 10);
        } else {
            assert_eq!(sender.refusal().await.reason, Reason::Incomplete);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_has_the_minute_besides() {
    let room = Room::new(200 * KIB);
    let first = whole(&room, 150 * KIB).await.body().await;
    let mut second = Sender::chunked(&room).await;
    let waits = tokio::spawn(async move {
        second.chunk(100 * KIB).await;
        sleep(Duration::from_secs(55)).await;
        second.end().await;
        second.body().await.len()
    });
    sleep(Duration::from_secs(50)).await;
    drop(first);
    assert_eq!(waits.await.expect("it ends"), 100 * KIB);
}

#[tokio::test(start_paused = true)]
async fn after_five_minutes_without_room_a_body_is_refused_for_now() {
    let room = Room::new(200 * KIB);
    let held = whole(&room, 150 * KIB).await.body().await;
    let start = Instant::now();
    let refusal = whole(&room, 100 * KIB).await.refusal().await;
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::Busy, Some(5)));
    assert_eq!(start.elapsed().as_secs(), 300);
    drop(held);
    assert_eq!(whole(&room, 100 * KIB).await.body().await.len(), 100 * KIB);
}

/// How many bytes of a body are taken that nobody wants, of so many that are sent.
async fn drained(bytes: usize) -> usize {
    let (mut wire, server) = duplex(SMALL);
    let service = service_fn(|request: Request<Incoming>| async {
        drain(request.into_body()).await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
    write(
        &mut wire,
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n").as_bytes(),
    )
    .await;
    let piece = vec![b' '; SMALL];
    let mut sent = 0;
    while sent < bytes && wire.write_all(&piece).await.is_ok() {
        sent += piece.len();
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_refused_body_is_read_up_to_twice_the_longest() {
    assert_eq!(drained(MIB).await, MIB);
    assert_eq!(drained(2 * MAX_BODY).await, 2 * MAX_BODY);
    let taken = drained(3 * MAX_BODY).await;
    assert!((2 * MAX_BODY..2 * MAX_BODY + MIB).contains(&taken), "{taken} bytes");
}
