//! The places of those who have not proved who they are. When all are taken, a newcomer gets the place of the one who
//! has held theirs longest: whoever holds many connections open keeps nobody out.
//!
//! Nobody is judged here, and whoever has an identity needs no place any more.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The most connections on their way to an identity, on both ports together. Each holds a few KB.
const PLACES: usize = 64;

/// How long a place is sure: a whole handshake from far away. Newcomers wait for that, in the order in which they came, so
/// that however fast somebody opens connections, everybody else's come to their end.
const SURE: Duration = Duration::from_secs(1);

/// All places.
#[derive(Default)]
pub(super) struct Door {
    waiting: Mutex<Waiting>,
    given_back: Notify,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// The oldest first.
    by_age: BTreeMap<u64, Holder>,
}

struct Holder {
    peer: IpAddr,
    since: Instant,
    lose: Arc<Notify>,
}

/// One place. Dropping it gives it back.
pub(crate) struct Place {
    door: Arc<Door>,
    age: u64,
    lost: Arc<Notify>,
}

impl Door {
    /// A place for one more connection from `peer`, as soon as there is one. Safe to drop.
    pub(super) async fn enter(self: &Arc<Self>, peer: IpAddr) -> Place {
        loop {
            match self.try_enter(peer, Instant::now()) {
                Ok(place) => return place,
                Err(again) => tokio::select! {
                    () = sleep_until(again) => {}
                    () = self.given_back.notified() => {}
                },
            }
        }
    }

    /// A place, or when to try again.
    fn try_enter(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<Place, Instant> {
        let peer = peer.to_canonical();
        let mut waiting = self.waiting();
        if waiting.by_age.len() >= PLACES {
            waiting.make_room(peer, now)?;
        }
        let (age, lost) = (waiting.next, Arc::new(Notify::new()));
        waiting.next = age.saturating_add(1);
        waiting.by_age.insert(age, Holder { peer, since: now, lose: Arc::clone(&lost) });
        Ok(Place { door: Arc::clone(self), age, lost })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The address that holds most places loses its oldest: at once to an address that holds fewer even with one more, to
    /// any other when it is sure no longer. Else: when that will be.
    fn make_room(&mut self, newcomer: IpAddr, now: Instant) -> Result<(), Instant> {
        let mut places: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for holder in self.by_age.values() {
            let count = places.entry(holder.peer).or_default();
            *count = count.saturating_add(1);
        }
        let held = |peer: &IpAddr| places.get(peer).copied().unwrap_or_default();
        let oldest_of_most =
            self.by_age.iter().max_by_key(|(age, holder)| (held(&holder.peer), Reverse(**age)));
        let Some((&age, loser)) = oldest_of_most else { return Ok(()) };
        let has_too_many = held(&newcomer).saturating_add(1) < held(&loser.peer);
        match loser.since.checked_add(SURE) {
            Some(sure_until) if sure_until > now && !has_too_many => return Err(sure_until),
            Some(_) | None => loser.lose.notify_one(),
        }
        self.by_age.remove(&age);
        Ok(())
    }
}

impl Place {
    /// What a step of the handshake comes to; `None` if the place is lost before it is done.
    pub(crate) async fn unless_lost<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = step => Some(done),
            () = self.lost.notified() => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.door.waiting().by_age.remove(&self.age).is_some() {
            self.door.given_back.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, address])
    }

    /// Places for these, all at this moment.
    fn filled(door: &Arc<Door>, addresses: &[u8], now: Instant) -> Vec<Place> {
        addresses.iter().map(|address| door.try_enter(from(*address), now).ok().unwrap()).collect()
    }

    /// When this one may try again.
    fn must_wait(door: &Arc<Door>, address: u8, now: Instant) -> Instant {
        door.try_enter(from(address), now).err().unwrap()
    }

    async fn is_lost(place: &Place) -> bool {
        place.unless_lost(tokio::task::yield_now()).await.is_none()
    }

    async fn lost(places: &[Place]) -> Vec<usize> {
        let mut lost = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if is_lost(place).await {
                lost.push(index);
            }
        }
        lost
    }

    #[tokio::test]
    async fn with_all_places_taken_the_oldest_is_lost_and_only_that_one() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let places = filled(&door, &[1; PLACES], now);
        assert_eq!(lost(&places).await, Vec::<usize>::new());
        let _newcomer = filled(&door, &[1], now + SURE);
        assert_eq!(lost(&places).await, [0]);
        assert_eq!(door.waiting().by_age.len(), PLACES);
    }

    #[tokio::test]
    async fn nobody_loses_a_place_to_their_equals_in_the_first_second() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let mut places = filled(&door, &[1], now);
        let later = now + SURE / 2;
        places.extend(filled(&door, &[1; PLACES - 1], later));
        assert_eq!(must_wait(&door, 1, later), now + SURE);
        let _newcomer = filled(&door, &[1], now + SURE);
        assert_eq!(must_wait(&door, 1, now + SURE), later + SURE);
        assert_eq!(lost(&places).await, [0]);
    }

    #[tokio::test]
    async fn an_address_with_few_places_takes_them_from_the_one_with_most_until_they_are_equal() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let few = filled(&door, &[2], now);
        let many = filled(&door, &[1; PLACES - 1], now);
        let newcomers = filled(&door, &[2; PLACES / 2 - 1], now);
        must_wait(&door, 2, now);
        must_wait(&door, 1, now);
        let _other = filled(&door, &[3], now);
        assert_eq!(lost(&few).await, [0], "of two with the same number the oldest goes");
        assert_eq!(lost(&newcomers).await, Vec::<usize>::new());
        assert_eq!(lost(&many).await, (0..PLACES / 2 - 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn with_one_place_for_each_address_a_newcomer_waits_for_the_oldest() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let addresses: Vec<u8> = (1..=64).collect();
        let places = filled(&door, &addresses, now);
        assert_eq!(must_wait(&door, 100, now), now + SURE);
        let _newcomer = filled(&door, &[100], now + SURE);
        assert_eq!(lost(&places).await, [0]);
    }

    #[tokio::test]
    async fn an_address_written_in_another_way_is_the_same() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let others = filled(&door, &[2; 24], now);
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001]);
        let places: Vec<Place> = (0..20).map(|_| door.try_enter(mapped, now).ok().unwrap()).collect();
        let _more = filled(&door, &[1; 20], now);
        let _newcomer = filled(&door, &[3], now);
        assert_eq!(lost(&places).await, [0]);
        assert_eq!(lost(&others).await, Vec::<usize>::new());
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_taken_at_once_and_costs_nobody_theirs() {
        let door = Arc::new(Door::default());
        let mut places = filled(&door, &[1; PLACES], Instant::now());
        let enters = tokio::spawn({
            let door = Arc::clone(&door);
            async move { door.enter(from(1)).await }
        });
        tokio::task::yield_now().await;
        assert!(!enters.is_finished());
        places.pop();
        let began = Instant::now();
        let newcomer = enters.await.unwrap();
        assert!(began.elapsed() < SURE / 2, "{:?}", began.elapsed());
        assert!(lost(&places).await.is_empty() && !is_lost(&newcomer).await);
        drop((places, newcomer));
        assert!(door.waiting().by_age.is_empty());
    }
}
