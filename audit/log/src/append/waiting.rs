//! How many writers are connected, and how much of what they send may wait in memory for the disk.
//!
//! Three bounds, from the smallest: what a connection may have waiting of its own, so that short records of one writer wait for nobody else's
//! long ones; what all connections with one certificate may have beyond that; and what all of them together may. Whoever is over a bound is not
//! read on until something is on the disk. A connection too many is ended, and told why.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::frame::{Code, Refuse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::arriving::Peer;

/// How many connections there are at the most. The operator is let in beyond them: whoever fills them keeps no grant from its end.
const CONNECTIONS: usize = 16_384;

/// How many with one certificate: a proxy, the one that it replaces, and what is left of either after the network broke.
const EACH: usize = 4;

/// How many bytes of one connection wait whatever others do.
const OWN: u32 = 16 << 10;

/// How many bytes of longer frames wait of all connections with one certificate: one of the longest frames, and some more.
const OF_ONE: u32 = 6 << 20;

/// How many bytes of longer frames wait of all connections.
const OF_ALL: u32 = 32 << 20;

/// How many bytes a frame takes beside its own, about.
const AROUND: u32 = 512;

/// All connections. Clones are the same.
#[derive(Clone)]
pub struct Callers {
    shared: Arc<Shared>,
}

struct Shared {
    all: Arc<Semaphore>,
    by_peer: Mutex<ByPeer>,
}

#[derive(Default)]
struct ByPeer {
    peers: BTreeMap<Peer, Connections>,
    count: usize,
    next: u64,
}

/// The connections with one certificate, the oldest first.
struct Connections {
    room: Arc<Semaphore>,
    open: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Default for Callers {
    fn default() -> Self {
        let all = Arc::new(Semaphore::new(permits(OF_ALL)));
        Self { shared: Arc::new(Shared { all, by_peer: Mutex::default() }) }
    }
}

impl Callers {
    /// A place for one more connection. The newest takes the place of the oldest with its certificate, if that has too many: a writer whose
    /// connection broke unseen comes again, and nobody but itself is in its way.
    pub fn enter(&self, peer: &Peer) -> Result<Place, Refuse> {
        let mut by_peer = self.shared.by_peer();
        let ByPeer { peers, count, next } = &mut *by_peer;
        let has = peers.get(peer).map_or(0, |connections| connections.open.len());
        if has < EACH && *count >= CONNECTIONS && *peer != Peer::Operator {
            let sentence =
                format!("{CONNECTIONS} proxies are connected, and the log takes no more: try again");
            return Err(Refuse { code: Code::Busy, sentence });
        }
        let room = || Arc::new(Semaphore::new(permits(OF_ONE)));
        let connections =
            peers.entry(peer.clone()).or_insert_with(|| Connections { room: room(), open: VecDeque::new() });
        if has >= EACH
            && let Some((_, oldest)) = connections.open.pop_front()
        {
            *count = count.saturating_sub(1);
            // It may be gone already.
            let _ = oldest.send(());
        }
        let (displaced, hears) = oneshot::channel();
        *next = next.saturating_add(1);
        *count = count.saturating_add(1);
        connections.open.push_back((*next, displaced));
        let room = Room {
            own: Arc::new(Semaphore::new(permits(OWN))),
            of_one: Arc::clone(&connections.room),
            of_all: Arc::clone(&self.shared.all),
        };
        Ok(Place {
            shared: Arc::clone(&self.shared),
            peer: peer.clone(),
            number: *next,
            displaced: hears,
            room,
        })
    }
}

impl Shared {
    fn by_peer(&self) -> MutexGuard<'_, ByPeer> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, until it is dropped.
pub struct Place {
    shared: Arc<Shared>,
    peer: Peer,
    number: u64,
    displaced: oneshot::Receiver<()>,
    /// What may wait of it.
    pub room: Room,
}

impl Place {
    /// Waits until a newer connection has taken this place: what to tell this one.
    pub async fn is_displaced(&mut self) -> Refuse {
        // The sender lives until it sends, or this place is dropped.
        let _ = (&mut self.displaced).await;
        let sentence = format!("a newer connection has the place of this one: a certificate has {EACH}");
        Refuse { code: Code::Busy, sentence }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_peer = self.shared.by_peer();
        let ByPeer { peers, count, next: _ } = &mut *by_peer;
        let Some(connections) = peers.get_mut(&self.peer) else { return };
        let before = connections.open.len();
        connections.open.retain(|(number, _)| *number != self.number);
        *count = count.saturating_sub(before.saturating_sub(connections.open.len()));
        if connections.open.is_empty() {
            peers.remove(&self.peer);
        }
    }
}

/// What may wait of one connection. Clones are the same.
#[derive(Clone)]
pub struct Room {
    own: Arc<Semaphore>,
    of_one: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

/// Bytes that wait, until this is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "given back when it is dropped")] Vec<OwnedSemaphorePermit>);

impl Room {
    /// Waits until a frame with a body of so many bytes may wait. `None`: never, for the log ends.
    pub async fn hold(&self, length: usize) -> Option<Held> {
        let bytes = u32::try_from(length).unwrap_or(u32::MAX).saturating_add(AROUND);
        if let Ok(own) = Arc::clone(&self.own).try_acquire_many_owned(bytes) {
            return Some(Held(vec![own]));
        }
        let of_one = Arc::clone(&self.of_one).acquire_many_owned(bytes).await.ok()?;
        let of_all = Arc::clone(&self.of_all).acquire_many_owned(bytes).await.ok()?;
        Some(Held(vec![of_one, of_all]))
    }
}

fn permits(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use record::frame::LONGEST_BODY;
    use record::samples::uid;
    use tokio::runtime::Builder;
    use tokio::time::{Duration, timeout};

    use super::*;

    /// So long waits who would wait for ever.
    const MOMENT: Duration = Duration::from_millis(20);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    async fn holds(room: &Room, length: usize) -> Option<Held> {
        timeout(MOMENT, room.hold(length)).await.ok().flatten()
    }

    fn proxy(grant: u8) -> Peer {
        Peer::Proxy(uid(grant))
    }

    #[test]
    fn a_certificate_has_so_many_connections_and_the_newest_takes_the_place_of_the_oldest() {
        block_on(async {
            let callers = Callers::default();
            let mut places: Vec<Place> = (0..EACH).map(|_| callers.enter(&proxy(1)).unwrap()).collect();
            let mut other = callers.enter(&proxy(2)).unwrap();
            assert!(timeout(MOMENT, places[0].is_displaced()).await.is_err());
            let _newest = callers.enter(&proxy(1)).unwrap();
            assert_eq!(timeout(MOMENT, places[0].is_displaced()).await.unwrap().code, Code::Busy);
            assert!(timeout(MOMENT, places[1].is_displaced()).await.is_err());
            assert!(timeout(MOMENT, other.is_displaced()).await.is_err());
            // One that left makes room, and one that was displaced makes none twice.
            drop(places.remove(0));
            drop(places.remove(0));
            let _another = callers.enter(&proxy(1)).unwrap();
            assert!(timeout(MOMENT, places[0].is_displaced()).await.is_err());
            assert_eq!(callers.shared.by_peer().count, EACH + 1);
        });
    }

    #[test]
    fn of_all_there_are_so_many_and_nobody_loses_a_place_to_another_certificate() {
        let callers = Callers::default();
        let peer = |number: usize| Peer::Proxy(format!("uid-{number}").parse().unwrap());
        let mut places: Vec<Place> =
            (0..CONNECTIONS).map(|number| callers.enter(&peer(number / 2)).unwrap()).collect();
        let refused = callers.enter(&peer(CONNECTIONS)).err().unwrap();
        assert_eq!(refused.code, Code::Busy);
        assert!(callers.enter(&peer(0)).is_err(), "it has a place already, and gets no other");
        let operators: Vec<Place> = (0..EACH).map(|_| callers.enter(&Peer::Operator).unwrap()).collect();
        assert!(callers.enter(&peer(CONNECTIONS)).is_err());
        drop(operators);
        places.pop();
        assert!(callers.enter(&peer(CONNECTIONS)).is_ok());
        drop(places);
        let by_peer = callers.shared.by_peer();
        assert_eq!((by_peer.count, by_peer.peers.len()), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded_by_connection_certificate_and_log_and_short_records_wait_for_nobody() {
        block_on(async {
            let callers = Callers::default();
            let places: Vec<Place> = (1..=8).map(|grant| callers.enter(&proxy(grant)).unwrap()).collect();
            let again = callers.enter(&proxy(1)).unwrap();
            let first = holds(&places[0].room, LONGEST_BODY).await.unwrap();
            assert!(holds(&again.room, LONGEST_BODY).await.is_none(), "of one certificate");
            drop(first);
            let mut held = vec![holds(&again.room, LONGEST_BODY).await.unwrap()];
            for place in &places[1..] {
                held.extend(holds(&place.room, LONGEST_BODY).await);
            }
            assert_eq!(held.len(), 7, "of all");
            for place in &places {
                let short = holds(&place.room, 1024).await.expect("its own");
                let rest = usize::try_from(OWN - 2 * AROUND).unwrap() - 1024;
                held.extend([short, holds(&place.room, rest).await.expect("its own, to the last byte")]);
            }
            held.remove(0);
            assert!(
                holds(&places[7].room, LONGEST_BODY).await.is_some(),
                "what is on the disk waits no more"
            );
        });
    }
}
