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
use tokio::time::{Instant, timeout, timeout_at};

/// Most bytes of a body: tens of images.
pub const MAX_BODY: usize = 32 * 1024 * 1024;

/// Bodies up to this many bytes need no room of their own: their connection has it.
const SMALL: usize = 64 * 1024;

/// How many small bodies have their turn at a time, from when they are read until they have been sent on. It keeps a crowd from
/// holding all its bodies at once where that gains nothing. It bounds nothing: who has waited for so long goes ahead without, and who
/// does not send in so long loses it.
const TURNS: usize = 16;
const WAIT: Duration = Duration::from_secs(5);
const TURN: Duration = Duration::from_secs(1);

/// How long a body may take to come, from when there is room for it. Its sender is in the same pod.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long a body waits for room.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long the rest of a refused body is read, so that its sender comes to read the answer.
const DRAIN: Duration = Duration::from_secs(5);

/// The room for bodies. Who finds none waits, and is served in order.
#[derive(Debug, Clone)]
pub struct Room {
    free: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// Most bytes of one body.
    most: usize,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
            turns: Arc::new(Semaphore::new(TURNS)),
            most: MAX_BODY.min(bytes.max(SMALL)),
        }
    }

    /// Reads a body. Its room is free again when the last clone of the bytes is dropped.
    ///
    /// # Errors
    /// When it is too long or too slow, or there is no room for minutes.
    pub async fn read(&self, headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Refusal> {
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut held = Held {
            bytes: Vec::new(),
            room: None,
            turn: if declared > SMALL { None } else { self.turn().await },
        };
        held.reserve(declared, declared, self).await?;
        // One deadline for what comes while there is room; who waits for it does not read.
        let turn_ends = Instant::now() + TURN;
        let mut end = Instant::now() + DEADLINE;
        loop {
            let until = if held.turn.is_some() { turn_ends } else { end };
            let frame = match timeout_at(until, body.frame()).await {
                Ok(frame) => frame,
                Err(_) if held.turn.take().is_some() => continue,
                Err(_) => return Err(incomplete("the body did not come within a minute")),
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| incomplete("the body broke off"))?;
            let Some(data) = frame.data_ref() else { continue };
            let before = Instant::now();
            // Of unknown length: all that one can take, at once, so that nobody holds some and waits for more.
            held.reserve(data.len(), self.most, self).await?;
            end += before.elapsed();
            held.bytes.extend_from_slice(data);
        }
        held.give_back();
        Ok(Bytes::from_owner(held))
    }

    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.turns);
        if let Ok(turn) = Arc::clone(&turns).try_acquire_owned() {
            return Some(turn);
        }
        timeout(WAIT, turns.acquire_owned()).await.ok()?.ok()
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
    turn: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Makes room for `more` bytes: for all that it has if that is small, else for `all` at once.
    async fn reserve(&mut self, more: usize, all: usize, room: &Room) -> Result<(), Refusal> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > room.most {
            return Err(too_large(room.most));
        }
        if wanted > SMALL && self.room.is_none() {
            drop(self.turn.take());
            let permits = u32::try_from(all).unwrap_or(u32::MAX);
            let waiting = Arc::clone(&room.free).acquire_many_owned(permits);
            let busy = || Refusal::later(Reason::Busy, "other large requests have all the room; try again", 5);
            let permit = timeout(PATIENCE, waiting).await.map_err(|_| busy())?;
            self.room = Some(permit.map_err(|_| busy())?);
        }
        if wanted > self.bytes.capacity() {
            // Twice as much as before, so that the number of steps stays small, but never more than there is room for.
            let most = if self.room.is_some() { all } else { SMALL };
            let capacity = wanted.max(2 * self.bytes.capacity()).min(most.max(wanted));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        Ok(())
    }

    /// Keeps no more than it needs.
    fn give_back(&mut self) {
        self.bytes.shrink_to_fit();
        if let Some(room) = &mut self.room {
            drop(room.split(room.num_permits().saturating_sub(self.bytes.len())));
        }
    }
}

fn too_large(most: usize) -> Refusal {
    let mib = most / 1024 / 1024;
    let message = if most < MAX_BODY {
        format!(
            "the body is longer than {mib} MiB, for which the broker's memory has room: the policy's broker.resources sets its limit"
        )
    } else {
        format!("the body is longer than {mib} MiB")
    };
    Refusal::new(Reason::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, message)
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn incomplete(message: &str) -> Refusal {
    Refusal::new(Reason::Incomplete, StatusCode::REQUEST_TIMEOUT, message)
}
