//! How long an answer is, and how it comes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;

/// What every model says, piece by piece, over and over.
const PIECES: [&str; 5] = ["Hello", " from", " Vertex", " AI", "."];

/// The length and the speed of answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The time between two events of a stream.
    pub pause: Duration,
    /// How many pieces of text an answer has.
    pub pieces: usize,
}

impl Pace {
    /// The pieces of an answer.
    pub(crate) fn text(self) -> impl Iterator<Item = &'static str> {
        PIECES.into_iter().cycle().take(self.pieces)
    }

    /// A body whose chunks come one after the other, a pause between each two.
    pub(crate) fn body(self, chunks: Vec<Bytes>) -> Body {
        let pause = self.pause;
        Body::from_stream(stream::unfold(
            (chunks.into_iter(), Duration::ZERO),
            move |(mut chunks, wait)| async move {
                let chunk = chunks.next()?;
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                Some((Ok::<_, Infallible>(chunk), (chunks, pause)))
            },
        ))
    }
}
