//! Connections that send what is written in one go: HTTP/2 flushes the head of a request and each frame of its body by itself, and
//! each by itself would be a record, a system call and a segment.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower::Service;

/// Most bytes that wait to be sent together.
const MOST: usize = 64 * 1024;

/// Room that is kept when all has been sent.
const KEPT: usize = 32 * 1024;

/// A transport whose connections gather what is written until nothing more comes.
#[derive(Debug, Clone)]
pub struct Gathering<T>(pub T);

/// A connection of a [`Gathering`] transport.
#[derive(Debug)]
pub struct Gathered<S> {
    stream: S,
    waiting: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// Whether something was written since the last time somebody wanted all to be sent.
    grew: bool,
}

impl<T, R> Service<R> for Gathering<T>
where
    T: Service<R>,
    T::Future: Send + 'static,
{
    type Response = Gathered<T::Response>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, T::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            Ok(Gathered {
                stream: connecting.await?,
                waiting: Vec::new(),
                sent: 0,
                grew: false,
            })
        })
    }
}

impl<S: Write + Unpin> Gathered<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > MOST {
            ready!(self.poll_send(context))?;
        }
        let taken = bytes.get(..MOST).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        self.grew = true;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut taken = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            match Pin::new(&mut *this).poll_write(context, part) {
                Poll::Ready(Ok(more)) => {
                    taken += more;
                    if more < part.len() {
                        break;
                    }
                }
                Poll::Ready(Err(error)) if taken == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if taken == 0 => return Poll::Pending,
                // The next call tells.
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Whoever is to write more has its turn first.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.grew) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Read + Unpin> Read for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: Connection> Connection for Gathered<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}
