//! Places for connections: all of a process's together have so much room, and who only waits makes way for who asks.
//!
//! A connection waits while its client owes it something: a handshake, a head, or the next request. One that waits can be told to
//! go, one that is worked for cannot. So no number of connections that send nothing, or send slowly, keeps others out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How long a connection may wait whatever others want: the request of one that has just come is on its way.
const GRACE: Duration = Duration::from_millis(100);

/// What one permit stands for, in bytes.
const UNIT: usize = 1024;

/// The room for connections, on whatever ports.
#[derive(Debug)]
pub struct Places {
    room: Arc<Semaphore>,
    /// Most connections of a peer that wait.
    share: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Those that wait and were not told to go, by peer, the longest first.
    idle: HashMap<IpAddr, BTreeMap<u64, Idle>>,
    /// Numbers in the order in which connections began to wait.
    next: u64,
    /// How many bytes are wanted that nobody was told to free.
    wanted: usize,
}

#[derive(Debug)]
struct Idle {
    bytes: usize,
    since: Instant,
    leave: Arc<Notify>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    peer: IpAddr,
    bytes: usize,
    state: Mutex<State>,
    leave: Arc<Notify>,
    _room: Option<OwnedSemaphorePermit>,
}

/// What a connection does.
#[derive(Debug, Clone, Copy)]
enum State {
    /// A request is open.
    Served,
    /// It waits, since this number.
    Waits(u64),
}

/// An open request, until it is dropped with the last of its answer.
#[derive(Debug)]
pub struct Open(Arc<Place>);

impl Places {
    /// Room for connections that take so many bytes together; each peer may have `share` that wait.
    pub fn new(bytes: usize, share: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
            share,
            inner: Mutex::default(),
        })
    }

    /// A place for a connection that takes `bytes` at most. When there is none, of the peer with the most connections that wait
    /// the one has to go that has waited longest.
    pub async fn take(self: &Arc<Self>, peer: IpAddr, bytes: usize) -> Arc<Place> {
        let permits = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = match Arc::clone(&self.room).try_acquire_many_owned(permits) {
            Ok(room) => Some(room),
            Err(_) => {
                let missing = bytes.saturating_sub(self.room.available_permits() * UNIT);
                self.inner().want(missing);
                let mut acquired = pin!(Arc::clone(&self.room).acquire_many_owned(permits));
                loop {
                    match timeout(GRACE, acquired.as_mut()).await {
                        // Nobody closes the semaphore.
                        Ok(room) => break room.ok(),
                        Err(_) => self.inner().tell(),
                    }
                }
            }
        };
        let mut inner = self.inner();
        if inner.idle.get(&peer).is_some_and(|idle| idle.len() >= self.share) {
            inner.tell_oldest_of(peer);
        }
        let leave = Arc::default();
        let state = Mutex::new(State::Waits(inner.wait(peer, bytes, &leave)));
        drop(inner);
        Arc::new(Place {
            places: Arc::clone(self),
            peer,
            bytes,
            state,
            leave,
            _room: room,
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Has so many bytes more freed.
    fn want(&mut self, bytes: usize) {
        self.wanted += bytes;
        self.tell();
    }

    /// Tells those to go that have waited longest, until all that is wanted will be free; what is missing then, who ends next frees.
    fn tell(&mut self) {
        while self.wanted > 0 {
            let has_waited = |idle: &BTreeMap<u64, Idle>| {
                { idle.first_key_value() }.is_some_and(|(_, longest)| longest.since.elapsed() >= GRACE)
            };
            let waiting = self.idle.iter().filter(|(_, idle)| has_waited(idle));
            let crowd = waiting.max_by_key(|(_, idle)| idle.len()).map(|(peer, _)| *peer);
            let Some(freed) = crowd.and_then(|peer| self.tell_oldest_of(peer)) else {
                return;
            };
            self.wanted = self.wanted.saturating_sub(freed);
        }
    }

    /// How many bytes the connection has that is told to go.
    fn tell_oldest_of(&mut self, peer: IpAddr) -> Option<usize> {
        let since = *self.idle.get(&peer)?.first_key_value()?.0;
        self.tell_one(peer, since)
    }

    /// Tells a connection to go; how many bytes it has.
    fn tell_one(&mut self, peer: IpAddr, since: u64) -> Option<usize> {
        let Idle { bytes, leave, .. } = self.forget(peer, since)?;
        leave.notify_one();
        Some(bytes)
    }

    /// Notes that a connection waits.
    fn wait(&mut self, peer: IpAddr, bytes: usize, leave: &Arc<Notify>) -> u64 {
        let number = self.next;
        self.next += 1;
        let idle = Idle {
            bytes,
            since: Instant::now(),
            leave: Arc::clone(leave),
        };
        self.idle.entry(peer).or_default().insert(number, idle);
        number
    }

    /// Takes a connection out of those that wait; none when it was told to go.
    fn forget(&mut self, peer: IpAddr, since: u64) -> Option<Idle> {
        let of_peer = self.idle.get_mut(&peer)?;
        let idle = of_peer.remove(&since);
        if of_peer.is_empty() {
            self.idle.remove(&peer);
        }
        idle
    }
}

impl Place {
    /// A request has come, and with it the right to stay.
    pub fn open(self: &Arc<Self>) -> Open {
        let mut inner = self.places.inner();
        if let State::Waits(since) = std::mem::replace(&mut *self.state(), State::Served)
            && inner.forget(self.peer, since).is_none()
        {
            // It was told to go: another has to.
            inner.want(self.bytes);
        }
        Open(Arc::clone(self))
    }

    /// Ends when this connection has to go.
    pub async fn has_to_go(&self) {
        loop {
            self.leave.notified().await;
            // A request may have come since it was said.
            if self.is_told() {
                return;
            }
        }
    }

    fn is_told(&self) -> bool {
        let inner = self.places.inner();
        let state = *self.state();
        match state {
            State::Served => false,
            State::Waits(since) => { inner.idle.get(&self.peer) }.is_none_or(|idle| !idle.contains_key(&since)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.inner();
        let told = match *self.state() {
            State::Served => false,
            State::Waits(since) => inner.forget(self.peer, since).is_none(),
        };
        // The room of one that was told is promised already.
        if !told {
            inner.wanted = inner.wanted.saturating_sub(self.bytes);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self(place) = self;
        let mut inner = place.places.inner();
        let since = inner.wait(place.peer, place.bytes, &place.leave);
        // While the lock is held: whoever is told to go reads it.
        *place.state() = State::Waits(since);
        // It has had its answer: where others want its place, it goes at once.
        if inner.wanted > 0 {
            let freed = inner.tell_one(place.peer, since).unwrap_or_default();
            inner.wanted = inner.wanted.saturating_sub(freed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GRACE, Place, Places};
    use futures::FutureExt;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use tokio::time::{advance, timeout};

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn has_to_go(place: &Place) -> bool {
        place.has_to_go().now_or_never().is_some()
    }

    fn place(places: &Arc<Places>, peer: IpAddr) -> Arc<Place> {
        places.take(peer, 1024).now_or_never().expect("a place")
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_goes_first_and_who_is_served_stays() {
        let places = Places::new(3 * 1024, 9);
        let [first, second, third] = [(); 3].map(|()| place(&places, A));
        let served = first.open();
        advance(GRACE).await;
        let mut fourth = Box::pin(places.take(A, 1024));
        assert!(fourth.as_mut().now_or_never().is_none(), "there is no room");
        assert!(!has_to_go(&first), "it is being served");
        assert!(has_to_go(&second));
        assert!(!has_to_go(&third));
        drop(second);
        let fourth = fourth.now_or_never().expect("a place");
        drop((served, fourth));
        // Its request has ended, so it waits from now on, behind the third.
        advance(GRACE).await;
        let mut fifth = Box::pin(places.take(A, 2048));
        assert!(fifth.as_mut().now_or_never().is_none());
        assert!(has_to_go(&third));
        assert!(!has_to_go(&first), "one is enough");
        drop(third);
        assert!(fifth.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_ends_while_others_want_a_place_goes_at_once() {
        let places = Places::new(1024, 9);
        let only = place(&places, A);
        let served = only.open();
        advance(GRACE).await;
        let mut next = Box::pin(places.take(A, 1024));
        assert!(next.as_mut().now_or_never().is_none());
        drop(served);
        assert!(has_to_go(&only));
        drop(only);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_to_go_and_has_got_a_request_stays() {
        let places = Places::new(1024, 9);
        let only = place(&places, A);
        advance(GRACE).await;
        let mut next = Box::pin(places.take(A, 1024));
        assert!(next.as_mut().now_or_never().is_none());
        let served = only.open();
        assert!(!has_to_go(&only));
        drop(served);
        assert!(has_to_go(&only));
    }

    #[tokio::test(start_paused = true)]
    async fn when_one_stays_with_a_request_another_is_told_in_its_stead() {
        let places = Places::new(2 * 1024, 9);
        let [first, second] = [(); 2].map(|()| place(&places, A));
        advance(GRACE).await;
        let mut next = Box::pin(places.take(A, 1024));
        assert!(next.as_mut().now_or_never().is_none());
        let served = first.open();
        assert!(has_to_go(&second) && !has_to_go(&first));
        drop(second);
        assert!(next.now_or_never().is_some());
        drop(served);
        assert!(!has_to_go(&first), "nobody wants its place any more");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_by_itself_spares_who_would_have_to_go_next() {
        let places = Places::new(2 * 1024, 9);
        let [first, second] = [(); 2].map(|()| place(&places, A));
        let (one, other) = (first.open(), second.open());
        advance(GRACE).await;
        let mut next = Box::pin(places.take(B, 1024));
        assert!(next.as_mut().now_or_never().is_none());
        drop((one, first));
        assert!(next.now_or_never().is_some());
        drop(other);
        assert!(!has_to_go(&second));
    }

    #[tokio::test(start_paused = true)]
    async fn of_the_peer_with_the_most_the_longest_has_to_go() {
        let places = Places::new(3 * 1024, 9);
        let honest = place(&places, B);
        let [first, second] = [(); 2].map(|()| place(&places, A));
        advance(GRACE).await;
        let mut next = Box::pin(places.take(A, 1024));
        assert!(next.as_mut().now_or_never().is_none());
        assert!(has_to_go(&first) && !has_to_go(&honest) && !has_to_go(&second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_not_have_more_that_wait_than_its_share() {
        let places = Places::new(9 * 1024, 2);
        let [first, second] = [(); 2].map(|()| place(&places, A));
        let other = place(&places, B);
        let third = place(&places, A);
        assert!(has_to_go(&first) && !has_to_go(&second) && !has_to_go(&third) && !has_to_go(&other));
        drop((first, second, third, other));
        assert!(places.inner().idle.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_just_come_stays_until_its_request_can_be_there() {
        let places = Places::new(1024, 9);
        let only = place(&places, A);
        let mut next = Box::pin(places.take(A, 1024));
        assert!(next.as_mut().now_or_never().is_none() && !has_to_go(&only));
        let told = timeout(2 * GRACE, only.has_to_go());
        let (told, _) = tokio::join!(told, timeout(2 * GRACE, next.as_mut()));
        assert!(told.is_ok());
        drop(only);
        assert!(next.now_or_never().is_some());
    }
}
