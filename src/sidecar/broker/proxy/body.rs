//! Reading a request's body whole, because it has to be inspected before any of it is sent on.
//!
//! One body is bounded in size and in time; all bodies that are held at a moment are bounded together.

use super::refusal::{Reason, Refusal};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Most bytes of a body: tens of images.
pub const MAX_BODY: usize = 32 * 1024 * 1024;

/// Most bytes of all bodies that are held at a time.
pub const MAX_HELD: usize = 64 * 1024 * 1024;

/// How long a body may take to come. Its sender is in the same pod.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long the rest of a refused body is read, so that its sender comes to read the answer.
const DRAIN: Duration = Duration::from_secs(5);

/// By how much the room for a body of unknown length grows at least.
const STEP: usize = 64 * 1024;

/// The room for bodies.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    /// Room for [`MAX_HELD`] bytes.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_HELD)))
    }
}

impl Room {
    /// Reads a body. Its room is free again when the last clone of the bytes is dropped.
    ///
    /// # Errors
    /// When it is too long, too slow, or there is no room.
    pub async fn read(&self, headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Refusal> {
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut held = Held {
            bytes: Vec::new(),
            room: None,
        };
        held.reserve(declared, self)?;
        let filled = timeout(DEADLINE, async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| incomplete("the body broke off"))?;
                if let Some(data) = frame.data_ref() {
                    held.reserve(data.len(), self)?;
                    held.bytes.extend_from_slice(data);
                }
            }
            Ok(())
        });
        filled
            .await
            .map_err(|_| incomplete("the body did not come within a minute"))??;
        Ok(Bytes::from_owner(held))
    }
}

/// Reads and forgets what is left of a body.
pub async fn drain(mut body: Incoming) {
    let mut left = 2 * MAX_BODY;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = timeout(DRAIN, rest).await;
}

/// A body with the room that it takes.
struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn reserve(&mut self, more: usize, room: &Room) -> Result<(), Refusal> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > MAX_BODY {
            return Err(Refusal::new(
                Reason::TooLarge,
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {} MiB", MAX_BODY / 1024 / 1024),
            ));
        }
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted <= has {
            return Ok(());
        }
        // Twice as much as before, like the vector itself, so that the number of steps stays small.
        let take = if has == 0 {
            wanted
        } else {
            (wanted - has).max(has).max(STEP).min(MAX_BODY - has)
        };
        let permit = u32::try_from(take)
            .ok()
            .and_then(|take| Arc::clone(&room.0).try_acquire_many_owned(take).ok())
            .ok_or_else(|| Refusal::later(Reason::Busy, "too many large requests at a time; try again", 1))?;
        match &mut self.room {
            Some(room) => room.merge(permit),
            none => *none = Some(permit),
        }
        self.bytes.reserve_exact(has + take - self.bytes.len());
        Ok(())
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn incomplete(message: &str) -> Refusal {
    Refusal::new(Reason::Incomplete, StatusCode::REQUEST_TIMEOUT, message)
}
