//! Vertex AI's answer on its way to the agent: streamed as it comes when it is a model's, read whole and cleaned when it is an error.

use super::head;
use super::record::Record;
use super::refusal::{Reason, Refusal};
use super::usage::Scanner;
use super::vertex::Place;
use crate::broker::metrics::calls::Outcome;
use axum::body::Body;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use vertex_injector_core::contract::proxy::Publisher;
use vertex_injector_net::secret::Secret;

/// How long an answer may be silent between two pieces.
const IDLE: Duration = Duration::from_mins(10);

/// Most bytes of an answer. The largest, with images, have some tens of millions.
const MAX_ANSWER: u64 = 512 * 1024 * 1024;

/// Pieces that have come together go on as one, of about so many bytes at most: events are small, and many may wait.
const PIECE: usize = 16 * 1024;

/// Most bytes of an error's body, and how long it may take.
const MAX_ERROR: usize = 64 * 1024;
const ERROR_DEADLINE: Duration = Duration::from_secs(15);

/// Checks the head of an answer. 401 is not the agent's to mend, and a redirect leads where no rule has been checked.
///
/// # Errors
/// What the agent gets instead.
pub fn check(status: StatusCode) -> Result<(), Refusal> {
    match status {
        StatusCode::UNAUTHORIZED => Err(Refusal::later(
            Reason::TokenRejected,
            "Vertex AI rejected the broker's access token (401); the broker fetches another",
            5,
        )),
        status if status.is_success() => Ok(()),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(unexpected(status)),
        status if status.is_client_error() || status.is_server_error() => Ok(()),
        status => Err(unexpected(status)),
    }
}

/// Passes on what a model says while it says it. The record ends with the answer, `place` is held until then.
pub fn stream(answer: Response<Incoming>, record: Record, publisher: Publisher, place: Place) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let readable = !parts.headers.contains_key(CONTENT_ENCODING);
    let passing = Passing {
        body,
        record,
        scanner: readable.then(|| Scanner::new(publisher)),
        silence: Box::pin(sleep_until(Instant::now() + IDLE)),
        last: Instant::now(),
        end: None,
        _place: place,
    };
    let mut response = Response::new(Body::new(passing));
    *response.status_mut() = parts.status;
    *response.headers_mut() = head::answer(&parts.headers);
    response
}

/// Passes on an error, which may repeat what was sent: without the token, and bounded.
pub async fn error(answer: Response<Incoming>, mut record: Record, token: &Secret) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let body = timeout(ERROR_DEADLINE, Limited::new(body, MAX_ERROR).collect()).await;
    let mut headers = head::answer(&parts.headers);
    let readable = !headers.contains_key(CONTENT_ENCODING);
    let text = body.ok().and_then(Result::ok).filter(|_| readable);
    let text = text.and_then(|text| String::from_utf8(text.to_bytes().into()).ok());
    let text = text.map(|text| text.replace(token.expose(), "[redacted]"));
    record.counts.response_bytes = text.as_ref().map_or(0, String::len) as u64;
    record.ended(Outcome::Answered);
    let Some(text) = text else {
        let message = format!(
            "Vertex AI answered {} without a readable message",
            parts.status.as_u16()
        );
        let mut response = Refusal::new(Reason::Unexpected, parts.status, message).response();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_ENCODING);
        response.headers_mut().extend(without(headers, token));
        return response;
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = parts.status;
    *response.headers_mut() = without(headers, token);
    response
}

/// Headers that do not repeat the token.
fn without(headers: HeaderMap, token: &Secret) -> HeaderMap {
    let innocent = |value: &HeaderValue| memchr::memmem::find(value.as_bytes(), token.expose().as_bytes()).is_none();
    let mut last = None;
    let named = headers.into_iter().filter_map(|(name, value)| {
        last = name.or(last.take());
        Some((last.clone()?, value))
    });
    named.filter(|(_, value)| innocent(value)).collect()
}

fn unexpected(status: StatusCode) -> Refusal {
    Refusal::new(
        Reason::Unexpected,
        StatusCode::BAD_GATEWAY,
        format!("Vertex AI answered {}, which is not passed on", status.as_u16()),
    )
}

/// A body that passes.
struct Passing {
    body: Incoming,
    record: Record,
    scanner: Option<Scanner>,
    silence: Pin<Box<Sleep>>,
    last: Instant,
    /// How it ended, when that came with the last piece.
    end: Option<End>,
    _place: Place,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    BrokenOff,
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let Poll::Ready(came) = this.poll_body(context) else {
            return this.poll_silence(context);
        };
        this.last = Instant::now();
        match came {
            Ok(piece) => {
                let piece = this.gather(piece, context);
                Poll::Ready(Some(this.pass(piece)))
            }
            Err(End::Whole) => {
                this.record.ended(Outcome::Answered);
                Poll::Ready(None)
            }
            Err(End::BrokenOff) => {
                this.record.ended(Outcome::BrokenOff);
                Poll::Ready(Some(Err(io::Error::other("the answer of Vertex AI broke off"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end != Some(End::BrokenOff) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Passing {
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        if let Some(end) = self.end {
            return Poll::Ready(Err(end));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            // Trailers are nobody's here.
            Some(Ok(frame)) => frame.into_data().map_err(|_| End::Whole),
            Some(Err(_)) => Err(End::BrokenOff),
            None => Err(End::Whole),
        })
    }

    /// What has come besides; nothing is waited for.
    fn gather(&mut self, first: Bytes, context: &mut Context<'_>) -> Bytes {
        let mut together = Vec::new();
        while first.len().max(together.len()) < PIECE {
            match self.poll_body(context) {
                Poll::Ready(Ok(more)) => {
                    if together.is_empty() {
                        together.extend_from_slice(&first);
                    }
                    together.extend_from_slice(&more);
                }
                Poll::Ready(Err(end)) => {
                    self.end = Some(end);
                    break;
                }
                Poll::Pending => break,
            }
        }
        if together.is_empty() { first } else { together.into() }
    }

    fn pass(&mut self, data: Bytes) -> io::Result<Frame<Bytes>> {
        self.record.counts.response_bytes += data.len() as u64;
        if self.record.counts.response_bytes > MAX_ANSWER {
            self.record.ended(Outcome::BrokenOff);
            return Err(io::Error::other("the answer of Vertex AI is longer than any"));
        }
        if let Some(scanner) = &mut self.scanner {
            scanner.read(&data);
            self.record.counts.tokens = scanner.tokens();
        }
        if self.body.is_end_stream() {
            self.record.ended(Outcome::Answered);
        }
        Ok(Frame::data(data))
    }

    /// The clock is not set anew for every piece, only asked when it rings.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while self.silence.as_mut().poll(context).is_ready() {
            let until = self.last + IDLE;
            if until <= Instant::now() {
                self.record.ended(Outcome::BrokenOff);
                return Poll::Ready(Some(Err(io::Error::other("Vertex AI fell silent"))));
            }
            self.silence.as_mut().reset(until);
        }
        Poll::Pending
    }
}
