//! Watches how requests are framed, which hyper does not tell.
//!
//! A request with both a length and chunks means one thing to one server and another to the next. hyper takes it for chunked and
//! forgets the length, as RFC 9112 permits; we want to refuse it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most header fields that are looked at; hyper accepts no more.
const MAX_HEADERS: usize = 100;

/// Most bytes that are read at a time: less than fill hyper's first buffer, which it would double then, and keep for as long as the
/// connection lives.
const AT_ONCE: usize = 8 * 1024 - 1;

/// A connection whose requests' framing is watched.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    state: State,
    /// A head that has not come whole.
    head: Vec<u8>,
    max_head: usize,
    seen: Seen,
}

/// What has been seen of a connection.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<AtomicBool>);

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the head of a request.
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// No longer watching: the body is chunked, so this request is the connection's last, or it is no HTTP at all.
    Done,
}

impl Seen {
    /// Whether a request had a length and chunks.
    pub fn two_lengths(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Watched<S> {
    /// Watches a connection whose heads have at most `max_head` bytes.
    pub fn new(stream: S, max_head: usize) -> Self {
        Self {
            stream,
            state: State::Head,
            head: Vec::new(),
            max_head,
            seen: Seen::default(),
        }
    }

    /// Where it can be asked what has been seen.
    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }

    fn watch(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Done => return,
                State::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    self.state = match left - here as u64 {
                        0 => State::Head,
                        left => State::Body(left),
                    };
                }
                State::Head => {
                    let before = self.head.len();
                    if before > 0 {
                        self.head.reserve_exact(bytes.len());
                        self.head.extend_from_slice(bytes);
                    }
                    // Most heads come whole, and are not copied.
                    let head = if before > 0 { &self.head } else { bytes };
                    let Some((end, state)) = framing(head, &self.seen) else {
                        if head.len() > self.max_head {
                            self.state = State::Done;
                            self.head = Vec::new();
                        } else if before == 0 {
                            self.head = bytes.to_vec();
                        }
                        return;
                    };
                    bytes = bytes.get(end.saturating_sub(before)..).unwrap_or_default();
                    self.head = Vec::new();
                    self.state = state;
                }
            }
        }
    }
}

/// Where a head ends and what comes then; `None` when it is not whole.
fn framing(head: &[u8], seen: &Seen) -> Option<(usize, State)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let end = match request.parse(head) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return None,
        // hyper refuses it as well.
        Err(_) => return Some((head.len(), State::Done)),
    };
    let named = |name: &'static str| {
        let all = request.headers.iter();
        all.filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let chunked = named("transfer-encoding").next().is_some();
    let mut lengths = named("content-length");
    let length = lengths.next();
    if chunked && length.is_some() {
        seen.0.store(true, Ordering::Relaxed);
    }
    // Lengths that differ or are none are refused by hyper.
    let length = length.map_or(Some(0), |header| {
        std::str::from_utf8(header.value).ok()?.trim().parse().ok()
    });
    Some(match length {
        _ if chunked => (end, State::Done),
        None => (end, State::Done),
        Some(0) => (end, State::Head),
        Some(length) => (end, State::Body(length)),
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(into.initialize_unfilled_to(into.remaining().min(AT_ONCE)));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let read = room.filled();
        self.watch(read);
        let read = read.len();
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
