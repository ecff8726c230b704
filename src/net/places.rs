//! Places for connections: all of a process's together have so much room, and who only waits makes way for who asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What one permit stands for, in bytes.
const UNIT: usize = 1024;

/// The room for connections, on whatever ports.
#[derive(Debug)]
pub struct Places {
    room: Arc<Semaphore>,
    /// Those that wait for a request, the longest first.
    idle: Mutex<BTreeMap<u64, Idle>>,
    /// What is said of the next that begins to wait.
    next: AtomicU64,
    /// How many want a place and find none.
    wanting: AtomicUsize,
}

#[derive(Debug)]
struct Idle {
    bytes: usize,
    leave: Arc<Notify>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    bytes: usize,
    /// Since when it waits, as a number of [`Places::next`]; 0 while a request is open.
    since: AtomicU64,
    leave: Arc<Notify>,
    _room: Option<OwnedSemaphorePermit>,
}

/// An open request, until it is dropped with the last of its answer.
#[derive(Debug)]
pub struct Open(Arc<Place>);

impl Places {
    /// Room for connections that take so many bytes together.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            next: AtomicU64::new(1),
            wanting: AtomicUsize::new(0),
        })
    }

    /// A place for a connection that takes `bytes` at most. When there is none, who has waited longest without a request open has
    /// to go.
    pub async fn take(self: &Arc<Self>, bytes: usize) -> Arc<Place> {
        let permits = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = match Arc::clone(&self.room).try_acquire_many_owned(permits) {
            Ok(room) => Some(room),
            Err(_) => {
                self.wanting.fetch_add(1, Ordering::Relaxed);
                self.make_room(bytes);
                // Nobody closes the semaphore.
                let room = Arc::clone(&self.room).acquire_many_owned(permits).await.ok();
                self.wanting.fetch_sub(1, Ordering::Relaxed);
                room
            }
        };
        let place = Arc::new(Place {
            places: Arc::clone(self),
            bytes,
            since: AtomicU64::new(0),
            leave: Arc::default(),
            _room: room,
        });
        place.waits();
        place
    }

    fn make_room(&self, bytes: usize) {
        let mut idle = self.idle();
        let mut freed = self.room.available_permits() * UNIT;
        while freed < bytes {
            let Some((_, longest)) = idle.pop_first() else { return };
            freed += longest.bytes;
            longest.leave.notify_one();
        }
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<u64, Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has come.
    pub fn open(self: &Arc<Self>) -> Open {
        let since = self.since.swap(0, Ordering::Relaxed);
        self.places.idle().remove(&since);
        Open(Arc::clone(self))
    }

    /// Ends when this connection has to go.
    pub async fn has_to_go(&self) {
        loop {
            self.leave.notified().await;
            // A request may have come since it was said.
            if self.since.load(Ordering::Relaxed) != 0 {
                return;
            }
        }
    }

    fn waits(&self) {
        let since = self.places.next.fetch_add(1, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
        if self.places.wanting.load(Ordering::Relaxed) > 0 {
            self.leave.notify_one();
            return;
        }
        let (bytes, leave) = (self.bytes, Arc::clone(&self.leave));
        self.places.idle().insert(since, Idle { bytes, leave });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let since = self.since.load(Ordering::Relaxed);
        self.places.idle().remove(&since);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.waits();
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use futures::FutureExt;

    #[tokio::test]
    async fn who_has_waited_longest_goes_first_and_who_is_served_stays() {
        let places = Places::new(3 * 1024);
        let (first, second, third) = (
            places.take(1024).await,
            places.take(1024).await,
            places.take(1024).await,
        );
        let served = first.open();
        let mut fourth = Box::pin(places.take(1024));
        assert!(fourth.as_mut().now_or_never().is_none(), "there is no room");
        assert!(first.has_to_go().now_or_never().is_none(), "it is being served");
        assert!(second.has_to_go().now_or_never().is_some());
        assert!(third.has_to_go().now_or_never().is_none());
        drop(second);
        let fourth = fourth.now_or_never().expect("a place");
        drop((served, fourth));
        // Its request has ended, so it waits from now on, behind the third.
        let mut fifth = Box::pin(places.take(2048));
        assert!(fifth.as_mut().now_or_never().is_none());
        assert!(third.has_to_go().now_or_never().is_some());
        assert!(first.has_to_go().now_or_never().is_none(), "one is enough");
        drop(third);
        assert!(fifth.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_ends_while_others_want_a_place_goes_at_once() {
        let places = Places::new(1024);
        let only = places.take(1024).await;
        let served = only.open();
        let mut next = Box::pin(places.take(1024));
        assert!(next.as_mut().now_or_never().is_none());
        drop(served);
        assert!(only.has_to_go().now_or_never().is_some());
        drop(only);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_is_told_to_go_and_has_got_a_request_stays() {
        let places = Places::new(1024);
        let only = places.take(1024).await;
        let mut next = Box::pin(places.take(1024));
        assert!(next.as_mut().now_or_never().is_none());
        let served = only.open();
        assert!(only.has_to_go().now_or_never().is_none());
        drop(served);
        assert!(only.has_to_go().now_or_never().is_some());
    }
}
