//! How many bytes are looked at at a time. What is small is answered where it came in; what is large takes room while it comes,
//! waits for its turn, and keeps nobody who is small from a processor.

use super::refusal::Refusal;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Bodies and answers up to this size need no room: there are only so many connections. The pods of all systems that we know are
/// smaller.
pub(crate) const SMALL: usize = 64 << 10;

/// Most bytes of all large bodies and answers together.
const ROOM: usize = 16 << 20;

/// What room is counted in.
const UNIT: usize = 1 << 10;

/// What is left.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    room: Arc<Semaphore>,
    /// Whose turn it is among the large ones.
    turn: Arc<Semaphore>,
}

/// Room that something takes for as long as it lives; none when it is small.
#[derive(Debug, Default)]
pub(crate) struct Room(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Work {
    /// All of it.
    pub(crate) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM / UNIT)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for room for so many bytes. All at once: of two that each hold a part, neither would ever end.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        if bytes <= SMALL {
            return Room::default();
        }
        let units = u32::try_from(bytes.min(ROOM).div_ceil(UNIT)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Room(Arc::clone(&self.room).acquire_many_owned(units).await.ok())
    }

    /// Looks at so many bytes.
    ///
    /// # Errors
    /// When the program is ending.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= SMALL {
            return Ok(look());
        }
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let looked = spawn_blocking(move || {
            let looked = look();
            // Also when nobody waits for it any more.
            drop(turn);
            looked
        });
        looked.await.map_err(|_| Refusal::ours())
    }
}

#[cfg(test)]
impl Work {
    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.room.available_permits() * UNIT
    }

    /// How many there are.
    pub(crate) const ALL: usize = ROOM;
}
