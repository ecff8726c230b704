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

#[cfg(test)]
mod tests {
    use super::{Bounded, Counted, Direction, Guard, Movement};
    use axum::body::Body;
    use http_body_util::BodyExt;
    use hyper::body::Bytes;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    const LIMIT: Duration = Duration::from_mins(2);

    /// Remembers how a body ended.
    #[derive(Clone, Default)]
    struct Ending(Arc<Mutex<Vec<&'static str>>>);

    impl Guard for Ending {
        fn finished(&mut self) {
            self.0.lock().unwrap().push("finished");
        }

        fn cut(&mut self, why: &'static str) {
            self.0.lock().unwrap().push(why);
        }
    }

    /// A body of one byte after each pause.
    fn slow(pauses: &'static [u64]) -> Body {
        Body::from_stream(futures::stream::unfold(pauses, |pauses| async move {
            let (pause, rest) = pauses.split_first()?;
            sleep(Duration::from_secs(*pause)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), rest))
        }))
    }

    async fn read(body: Body, movement: &Movement) -> (Result<usize, String>, Vec<&'static str>) {
        let ending = Ending::default();
        let bounded = Bounded::new(body, movement, LIMIT, ending.clone());
        let read = bounded.collect().await.map(|body| body.to_bytes().len());
        let ended = ending.0.lock().unwrap().clone();
        (read.map_err(|error| error.to_string()), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_for_ever_as_long_as_it_moves() {
        let movement = Movement::start();
        let (read, ended) = read(slow(&[119, 119, 119, 119]), &movement).await;
        assert_eq!((read, ended), (Ok(4), vec!["finished"]));
        assert_eq!(
            (movement.bytes(Direction::Down), movement.elapsed().as_secs()),
            (4, 476)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_moving_is_cut() {
        let start = Instant::now();
        let (read, ended) = read(slow(&[1, 3600]), &Movement::start()).await;
        assert_eq!(
            (read, ended),
            (Err("nothing moved for too long".to_owned()), vec!["stalled"])
        );
        assert_eq!(start.elapsed().as_secs(), 121);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_be_silent_while_the_request_still_comes() {
        let movement = Movement::start();
        let request = Counted::new(slow(&[100, 100, 100]), movement.clone(), Direction::Up);
        let (sent, (read, _)) = tokio::join!(request.collect(), read(slow(&[350]), &movement));
        assert!(sent.is_ok());
        assert_eq!(read, Ok(1));
        assert_eq!(movement.bytes(Direction::Up), 3);
    }

    #[tokio::test]
    async fn a_body_of_known_length_keeps_it_and_is_finished_with_its_last_byte() {
        let ending = Ending::default();
        let mut bounded = Bounded::new(Body::from("four"), &Movement::start(), LIMIT, ending.clone());
        assert_eq!(hyper::body::Body::size_hint(&bounded).exact(), Some(4));
        bounded.frame().await.expect("a frame").expect("its bytes");
        assert_eq!(*ending.0.lock().unwrap(), ["finished"]);
        Bounded::new(Body::empty(), &Movement::start(), LIMIT, ending.clone());
        assert_eq!(
            *ending.0.lock().unwrap(),
            ["finished", "finished"],
            "nobody reads an empty body"
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_says_so() {
        let broken = futures::stream::iter([Ok(Bytes::from_static(b"x")), Err("broken")]);
        let (read, ended) = read(Body::from_stream(broken), &Movement::start()).await;
        assert_eq!(
            (read, ended),
            (Err("the body broke off".to_owned()), vec!["broken off"])
        );
    }
}
