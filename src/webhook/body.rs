//! Request bodies: read whole, within a limit for each and one for all together.

use super::work::{Room, SMALL, Work};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::timeout;

/// Most bytes of a body. The API server takes objects of 3 MiB, and in a review of a policy there are two.
const MAX_BYTES: usize = 8 << 20;

/// How much of an oversized body is read and thrown away. Closing in the middle of it would reset the connection, and
/// the client would see that instead of the answer.
const MAX_DISCARDED: usize = 64 << 20;

/// How long a large body may take once it has room, which others wait for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// More than [`MAX_BYTES`].
    #[error("the body is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// The client stopped sending, or sent what is no HTTP.
    #[error("the body broke off before its end")]
    Incomplete,
    /// It took longer than [`TIMEOUT`].
    #[error("the body took longer than {} s", TIMEOUT.as_secs())]
    TooSlow,
}

/// A body, and the room that it takes for as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    _room: Room,
}

/// Reads a body. A large one waits for room first, at most until the deadline of its request.
///
/// # Errors
/// When it is too large, too slow or breaks off.
pub(crate) async fn read(mut body: Body, work: &Work) -> Result<Content, BodyError> {
    let size = body.size_hint();
    let announced = usize::try_from(size.lower()).unwrap_or(usize::MAX);
    if announced > MAX_DISCARDED {
        return Err(BodyError::TooLarge);
    }
    if announced > MAX_BYTES {
        discard(&mut body, announced).await?;
        return Err(BodyError::TooLarge);
    }
    // Without a length it may be of any.
    let most = size.exact().map_or(MAX_BYTES, |_| announced);
    if most <= SMALL {
        return collect(&mut body, most, Room::default()).await;
    }
    let room = work.room(most).await;
    timeout(TIMEOUT, collect(&mut body, most, room))
        .await
        .map_err(|_| BodyError::TooSlow)?
}

async fn collect(body: &mut Body, most: usize, room: Room) -> Result<Content, BodyError> {
    let mut content = Content {
        bytes: Vec::new(),
        _room: room,
    };
    while let Some(data) = next(body).await? {
        if content.bytes.len() + data.len() > most {
            let total = content.bytes.len() + data.len();
            drop(content);
            discard(body, total).await?;
            return Err(BodyError::TooLarge);
        }
        if content.bytes.is_empty() {
            // Only what is written to takes memory.
            content.bytes.reserve_exact(most);
        }
        content.bytes.extend_from_slice(&data);
    }
    Ok(content)
}

async fn discard(body: &mut Body, mut total: usize) -> Result<(), BodyError> {
    while total <= MAX_DISCARDED
        && let Some(data) = next(body).await?
    {
        total = total.saturating_add(data.len());
    }
    Ok(())
}

async fn next(body: &mut Body) -> Result<Option<hyper::body::Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Bytes;
    use std::convert::Infallible;

    fn chunked(bytes: usize) -> Body {
        Body::from_stream(futures::stream::iter([Ok::<_, Infallible>(Bytes::from(vec![
            b'x';
            bytes
        ]))]))
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_and_gives_its_room_back() {
        let work = Work::new();
        for body in [Body::from(vec![b'x'; MAX_BYTES + 1]), chunked(MAX_BYTES + 1)] {
            assert_eq!(read(body, &work).await.unwrap_err(), BodyError::TooLarge);
            assert_eq!(work.left(), Work::ALL);
        }
    }

    #[tokio::test]
    async fn large_bodies_take_room_together_and_give_it_back() {
        let work = Work::new();
        let first = read(Body::from(vec![b'x'; MAX_BYTES]), &work).await.unwrap();
        let small = read(Body::from(vec![b'x'; SMALL]), &work).await.unwrap();
        assert_eq!((first.len(), small.len()), (MAX_BYTES, SMALL));
        assert_eq!(work.left(), Work::ALL - MAX_BYTES);
        drop((first, small));
        assert_eq!(work.left(), Work::ALL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_that_does_not_come_gives_its_room_to_others() {
        let work = Work::new();
        let never = || Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        let others = read(Body::from(vec![b'x'; MAX_BYTES]), &work);
        let (one, other, whole) = tokio::join!(read(never(), &work), read(never(), &work), others);
        assert_eq!(one.unwrap_err(), BodyError::TooSlow);
        assert_eq!(other.unwrap_err(), BodyError::TooSlow);
        assert_eq!(whole.unwrap().len(), MAX_BYTES);
    }
}
