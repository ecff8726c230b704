//! Bodies that pass through as they come, of any size: counted, and given up when nothing moves.

use hyper::body::{Body, Buf, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What has moved in one exchange, in both directions.
#[derive(Debug, Clone)]
pub struct Movement(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    start: Instant,
    /// When something moved last, in milliseconds since the start.
    last: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the agent.
    Up,
    /// To the agent.
    Down,
}

impl Movement {
    /// An exchange that begins now.
    pub fn start() -> Self {
        Self(Arc::new(Moved {
            start: Instant::now(),
            last: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        }))
    }

    /// How many bytes of content went one way.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.counter(direction).load(Ordering::Relaxed)
    }

    /// How long ago it began.
    pub fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// Ends when nothing has moved, either way, for `limit`.
    pub async fn stalled(self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.0.last.load(Ordering::Relaxed));
            let still = self.elapsed().saturating_sub(last);
            match limit.checked_sub(still) {
                None | Some(Duration::ZERO) => return,
                // A little more, because the last movement is known in whole milliseconds.
                Some(left) => sleep(left + Duration::from_millis(1)).await,
            }
        }
    }

    fn add(&self, direction: Direction, bytes: usize) {
        self.counter(direction).fetch_add(bytes as u64, Ordering::Relaxed);
        let now = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::Relaxed);
    }

    fn counter(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.0.up,
            Direction::Down => &self.0.down,
        }
    }
}

/// A body whose movement is counted. Its length, if known, stays known.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    movement: Movement,
    direction: Direction,
}

impl<B> Counted<B> {
    /// Counts a body.
    pub fn new(body: B, movement: Movement, direction: Direction) -> Self {
        Self {
            body,
            movement,
            direction,
        }
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            self.movement.add(self.direction, bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut<E> {
    /// Its source failed.
    #[error("the body broke off")]
    Broken(E),
    /// Nothing moved for too long.
    #[error("nothing moved for too long")]
    Stalled,
}

/// A body that ends with an error when nothing moves in its exchange for too long. It keeps `guard` until it is dropped.
pub struct Bounded<B, G> {
    body: Counted<B>,
    stalled: Pin<Box<dyn Future<Output = ()> + Send>>,
    guard: G,
}

impl<B: Body, G: Guard> Bounded<B, G> {
    /// Bounds a body on its way down.
    pub fn new(body: B, movement: &Movement, limit: Duration, mut guard: G) -> Self {
        // Nobody reads a body that has ended already.
        if body.is_end_stream() {
            guard.finished();
        }
        Self {
            body: Counted::new(body, movement.clone(), Direction::Down),
            stalled: Box::pin(movement.clone().stalled(limit)),
            guard,
        }
    }
}

impl<B: Body + Unpin, G: Guard + Unpin> Body for Bounded<B, G> {
    type Data = B::Data;
    type Error = Cut<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Cut::Broken)),
            Poll::Pending => {
                ready!(self.stalled.as_mut().poll(context));
                Some(Err(Cut::Stalled))
            }
        };
        match &polled {
            // Whoever knows the length reads no further than the last frame.
            None => self.guard.finished(),
            Some(Ok(_)) if self.body.is_end_stream() => self.guard.finished(),
            Some(Ok(_)) => {}
            Some(Err(Cut::Broken(_))) => self.guard.cut("broken off"),
            Some(Err(Cut::Stalled)) => self.guard.cut("stalled"),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Who is told how a body ends. Dropped without either, its reader went away.
pub trait Guard {
    /// All of it has been read.
    fn finished(&mut self);

    /// It ended early, and why.
    fn cut(&mut self, why: &'static str);
}
