//! The accept loop, bounded in connections, and the server of the sidecars' ports: plain HTTP/1.1, bounded in patience, too.

use super::framing::Watched;
use super::holding::Holding;
use super::places::Places;
use anyhow::Context;
use axum::body::Body;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;
use tracing::{debug, info, warn};

/// How long the head of a request may take. It is also how long an idle connection is kept, so it exceeds the 90 s of Go's
/// clients: who closes first must be the client, else its next request meets a closed connection.
const HEAD_TIMEOUT: Duration = Duration::from_mins(2);

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// What a connection takes at most, in bytes, beside what its answer buffers: a head, as hyper and [`Watched`] hold it and as it is
/// parsed, and what the kernel keeps of it.
pub const CONNECTION_BYTES: usize = 64 * 1024;

/// How long a client may leave what we write to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_mins(10);

/// For how long, and for how many bytes, a connection that ends is read.
const LINGER: (Duration, u64) = (Duration::from_secs(2), 64 * 1024 * 1024);

/// What the kernel keeps of an answer that its client does not read, in bytes; it takes twice as much for it. By itself it would
/// keep megabytes for each connection, out of the memory that the container may use.
const SEND_BUFFER: u32 = 64 * 1024;

/// What the kernel takes of a request before it is read. By itself it would take megabytes.
const RECEIVE_BUFFER: u32 = 64 * 1024;

/// How often is asked whether a port is free.
const TAKEN_PAUSE: Duration = Duration::from_millis(500);

/// How many connections wait in the kernel's queue.
const BACKLOG: u32 = 1024;

/// How long to pause when the system gives us no more connections, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// In a request's extensions: it came with a length and in chunks, which servers understand in different ways.
#[derive(Debug, Clone, Copy)]
pub struct TwoLengths;

/// Listens, with connections that buffer little.
///
/// # Errors
/// When the address cannot be had, with the flag that chooses it.
pub fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("cannot listen on {address} ({flag})"))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits until an address is free, which it may not be at once: after a crash another process of the pod can have taken it.
///
/// # Errors
/// As [`bind`], when waiting would not help.
pub async fn bind_when_free(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let mut told = false;
    loop {
        match listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !told {
                    told = true;
                    warn!(%address, flag, "another process listens on this port; waiting until it is free");
                }
                sleep(TAKEN_PAUSE).await;
            }
            listener => {
                if told && listener.is_ok() {
                    info!(%address, flag, "the port is free now");
                }
                return listener.with_context(|| format!("cannot listen on {address} ({flag})"));
            }
        }
    }
}

/// Serves until dropped. Each connection takes `bytes` of the room in `places` at most; while there is none, more wait in the
/// kernel's queue.
pub async fn serve<H, A>(listener: TcpListener, places: Arc<Places>, bytes: usize, handle: H)
where
    H: Fn(Request<Incoming>) -> A + Clone + Send + Unpin + 'static,
    A: Future<Output = Response<Body>> + Send,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD);
    loop {
        let (stream, peer) = next(&listener).await;
        let place = places.take(peer.ip(), bytes).await;
        let (http, handle) = (http.clone(), handle.clone());
        tokio::spawn(async move {
            let stream = Watched::new(stream, MAX_HEAD);
            let (seen, own) = (stream.seen(), Arc::clone(&place));
            let service = service_fn(move |mut request: Request<Incoming>| {
                let open = own.open();
                if seen.two_lengths() {
                    request.extensions_mut().insert(TwoLengths);
                }
                // What follows a chunked body is not watched, so nothing may follow.
                let last = request.headers().contains_key(TRANSFER_ENCODING);
                let answer = handle(request);
                Box::pin(async move {
                    let mut answer = answer.await;
                    if last {
                        answer
                            .headers_mut()
                            .insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(answer.map(|body| Holding::new(body, open)))
                })
            });
            let mut stream = TimeoutWriter::new(stream);
            stream.set_timeout(Some(WRITE_TIMEOUT));
            let mut connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
            let served = async {
                if let Err(error) = poll_fn(|context| connection.poll_without_shutdown(context)).await {
                    debug!(%error, %peer, "a connection ended early");
                }
                linger(connection.into_parts().io.into_inner()).await;
            };
            tokio::select! {
                () = served => {}
                () = place.has_to_go() => debug!(%peer, "a connection that waited made way for another"),
            }
        });
    }
}

/// Ends a connection so that its client comes to read the last answer: what it still sends is read and forgotten, because a
/// connection that is closed with unread bytes in it is reset, and then the client loses what it has not read.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let rest = async {
        stream.shutdown().await?;
        let mut rest = stream.take(LINGER.1);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // It ends, however this does.
    let _ = timeout(LINGER.0, rest).await;
}

/// The next connection.
pub async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are one write, or streams; waiting for more to fill a segment would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, %peer, "cannot set TCP_NODELAY");
                }
                return (stream, peer);
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
