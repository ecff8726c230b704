//! Who is connected to a listener, and who has to leave when it is full.
//!
//! A connection waits while its client owes it something: a handshake, a head, a body, or the next request. One that waits can be
//! dropped, one that is worked for cannot. So no number of connections that send nothing, or send slowly, keeps others out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_waiting_of_a_peer: usize,
    inner: Mutex<Inner>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    open: usize,
    /// Numbers in the order in which connections began to wait.
    next: u64,
    /// Those that wait, by peer, the longest first.
    waiting: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    peer: IpAddr,
    dropped: CancellationToken,
    /// Since when it waits; none while it is worked for.
    since: Mutex<Option<u64>>,
}

/// A connection that is worked for; it waits again when this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Place>);

impl Connections {
    /// Places for `most` connections, of which a peer may have this many that wait.
    pub(crate) fn new(most: usize, most_waiting_of_a_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_waiting_of_a_peer,
            inner: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place for a new connection of a peer. When there is none, of the peer with the most connections that wait the one is
    /// dropped that has waited longest; only while nobody waits, the new one does. `drops` is told of each that is dropped.
    pub(crate) async fn admit(self: &Arc<Self>, peer: IpAddr, drops: impl Fn()) -> Arc<Place> {
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_admit(peer, &drops) {
                return place;
            }
            freed.await;
        }
    }

    fn try_admit(self: &Arc<Self>, peer: IpAddr, drops: &impl Fn()) -> Option<Arc<Place>> {
        let mut inner = self.lock();
        if inner.waiting_of(peer) >= self.most_waiting_of_a_peer && inner.drop_oldest_of(peer) {
            drops();
        }
        if inner.open >= self.most {
            let (crowd, _) = inner.waiting.iter().max_by_key(|(_, waiting)| waiting.len())?;
            let crowd = *crowd;
            if !inner.drop_oldest_of(crowd) {
                return None;
            }
            drops();
        }
        let dropped = CancellationToken::new();
        inner.open += 1;
        let since = inner.wait(peer, dropped.clone());
        Some(Arc::new(Place {
            connections: Arc::clone(self),
            peer,
            dropped,
            since: Mutex::new(Some(since)),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn waiting_of(&self, peer: IpAddr) -> usize {
        self.waiting.get(&peer).map_or(0, BTreeMap::len)
    }

    fn wait(&mut self, peer: IpAddr, dropped: CancellationToken) -> u64 {
        let since = self.next;
        self.next += 1;
        self.waiting.entry(peer).or_default().insert(since, dropped);
        since
    }

    /// Whether it was still among those that wait.
    fn leave(&mut self, peer: IpAddr, since: u64) -> bool {
        let Some(waiting) = self.waiting.get_mut(&peer) else {
            return false;
        };
        let there = waiting.remove(&since).is_some();
        if waiting.is_empty() {
            self.waiting.remove(&peer);
        }
        there
    }

    /// Drops the connection of a peer that has waited longest, and gives its place away. Whether there was one.
    fn drop_oldest_of(&mut self, peer: IpAddr) -> bool {
        let oldest = self.waiting.get(&peer).and_then(BTreeMap::first_key_value);
        let Some((since, dropped)) = oldest.map(|(since, dropped)| (*since, dropped.clone())) else {
            return false;
        };
        dropped.cancel();
        self.open -= 1;
        self.leave(peer, since)
    }
}

impl Place {
    /// Ends when the connection has to leave.
    pub(crate) async fn dropped(&self) {
        self.dropped.cancelled().await;
    }

    /// The client has sent what is needed: it is worked for from here on. None when it had to leave.
    pub(crate) fn work(self: &Arc<Self>) -> Option<Busy> {
        let since = self.since().take()?;
        let there = self.connections.lock().leave(self.peer, since);
        there.then(|| Busy(Arc::clone(self)))
    }

    fn since(&self) -> MutexGuard<'_, Option<u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(place) = self;
        let since = place.connections.lock().wait(place.peer, place.dropped.clone());
        *place.since() = Some(since);
        // Whoever waits for a place can have this one now.
        place.connections.freed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever dropped it has its place.
        if self.dropped.is_cancelled() {
            return;
        }
        let since = self.since().take();
        let mut inner = self.connections.lock();
        if let Some(since) = since {
            inner.leave(self.peer, since);
        }
        inner.open -= 1;
        drop(inner);
        self.connections.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    async fn admit(connections: &Arc<Connections>, peer: IpAddr) -> Arc<Place> {
        let admitted = timeout(Duration::from_secs(1), connections.admit(peer, || ())).await;
        admitted.expect("a place")
    }

    fn left(place: &Place) -> bool {
        place.dropped.is_cancelled()
    }

    #[tokio::test]
    async fn the_peer_with_the_most_loses_the_one_that_waited_longest() {
        let connections = Connections::new(3, 9);
        let (first, honest, second) = (
            admit(&connections, A).await,
            admit(&connections, B).await,
            admit(&connections, A).await,
        );
        let third = admit(&connections, A).await;
        assert_eq!(
            [&first, &honest, &second, &third].map(|it| left(it)),
            [true, false, false, false]
        );
        admit(&connections, B).await;
        assert!(left(&second) && !left(&honest));
        assert!(first.work().is_none(), "it has to leave");
    }

    #[tokio::test]
    async fn who_is_worked_for_stays_and_waits_anew_afterwards() {
        let connections = Connections::new(2, 9);
        let (one, other) = (admit(&connections, A).await, admit(&connections, A).await);
        let (busy, also) = (one.work().expect("work"), other.work().expect("work"));
        let full = timeout(Duration::from_millis(50), connections.admit(B, || ())).await;
        assert!(full.is_err(), "both are worked for");
        drop(busy);
        admit(&connections, B).await;
        assert!(left(&one) && !left(&other));
        drop(also);
    }

    #[tokio::test]
    async fn a_peer_may_not_have_more_that_wait_than_its_share() {
        let connections = Connections::new(9, 2);
        let places = [
            admit(&connections, A).await,
            admit(&connections, A).await,
            admit(&connections, B).await,
            admit(&connections, A).await,
        ];
        assert_eq!(places.each_ref().map(|it| left(it)), [true, false, false, false]);
        drop(places);
        let inner = connections.lock();
        assert_eq!((inner.open, inner.waiting.len()), (0, 0));
    }
}
