//! Request bodies: read whole, within a limit for each and one for all together.

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::ops::Deref;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most bytes of a body. A pod that etcd can store is far smaller, even twice (object and old object).
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// How much of an oversized body is read and thrown away. Closing in the middle of it would reset the connection, and
/// the client would see that instead of the answer.
const MAX_DISCARDED: usize = 64 << 20;

/// Most bytes of all bodies together. Without it, a thousand connections could hold eight gigabytes.
const MAX_TOTAL: usize = 64 << 20;

/// What room is counted in.
const UNIT: usize = 1 << 10;

/// The memory for bodies.
pub(crate) struct Bodies {
    room: Semaphore,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// More than [`MAX_BYTES`].
    #[error("the body is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// The client stopped sending, or sent what is no HTTP.
    #[error("the body broke off before its end")]
    Incomplete,
}

/// A body, and the room that it takes for as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct Content<'a> {
    bytes: Vec<u8>,
    room: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self {
            room: Semaphore::new(MAX_TOTAL / UNIT),
        }
    }

    /// Reads a body. Room is taken as bytes arrive, so that a slow client holds little; when there is none, the body
    /// waits for others to end, at most until the deadline of its request.
    ///
    /// # Errors
    /// When it is too large or breaks off.
    pub(crate) async fn read(&self, mut body: Body) -> Result<Content<'_>, BodyError> {
        if body.size_hint().lower() > MAX_DISCARDED as u64 {
            return Err(BodyError::TooLarge);
        }
        let mut content = Content::default();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else {
                continue;
            };
            total += data.len();
            if total > MAX_DISCARDED {
                break;
            }
            if total > MAX_BYTES {
                content = Content::default();
                continue;
            }
            self.make_room(&mut content, total).await?;
            content.bytes.extend_from_slice(&data);
        }
        if total > MAX_BYTES {
            Err(BodyError::TooLarge)
        } else {
            Ok(content)
        }
    }

    async fn make_room<'a>(&'a self, content: &mut Content<'a>, bytes: usize) -> Result<(), BodyError> {
        let held = content.room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(held)).map_err(|_| BodyError::TooLarge)?;
        // The semaphore is never closed.
        let more = self
            .room
            .acquire_many(missing)
            .await
            .map_err(|_| BodyError::Incomplete)?;
        match &mut content.room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_and_gives_its_room_back() {
        let bodies = Bodies::new();
        let error = bodies.read(Body::from(vec![b'x'; MAX_BYTES + 1])).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge);
        assert_eq!(bodies.room.available_permits(), MAX_TOTAL / UNIT);
    }

    #[tokio::test]
    async fn bodies_take_room_together_and_give_it_back() {
        let bodies = Bodies::new();
        let first = bodies.read(Body::from(vec![b'x'; MAX_BYTES])).await.unwrap();
        let second = bodies.read(Body::from(vec![b'x'; 1])).await.unwrap();
        assert_eq!(first.len(), MAX_BYTES);
        assert_eq!(bodies.room.available_permits(), (MAX_TOTAL - MAX_BYTES) / UNIT - 1);
        drop((first, second));
        assert_eq!(bodies.room.available_permits(), MAX_TOTAL / UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_while_others_fill_the_room() {
        let bodies = Bodies::new();
        let mut full = Vec::new();
        for _ in 0..MAX_TOTAL / MAX_BYTES {
            full.push(bodies.read(Body::from(vec![b'x'; MAX_BYTES])).await.unwrap());
        }
        let waiting = bodies.read(Body::from("{}"));
        let mut waiting = std::pin::pin!(waiting);
        let early = tokio::time::timeout(std::time::Duration::from_secs(1), waiting.as_mut()).await;
        assert!(early.is_err(), "read although there was no room");
        full.pop();
        assert_eq!(&*waiting.await.unwrap(), b"{}");
    }
}
