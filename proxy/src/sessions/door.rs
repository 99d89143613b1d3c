//! The places of those who have not proved who they are, and the line of those who wait for one. When all places are taken, the
//! one who has held theirs longest loses it: whoever holds many connections open keeps nobody out, and whoever comes from where
//! others are few waits for nobody.
//!
//! Nobody is judged here, and whoever has an identity needs no place any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// The most connections on their way to an identity, on both ports together. Each holds a few KB.
const PLACES: usize = 64;

/// The most connections that wait for a place, on both ports together. Each holds a file descriptor, less than 2 KB, and what the
/// kernel received for it (see [`MEMORY`]).
const WAITING: usize = 256;

/// What the kernel may hold of a connection that has not proved who it is, in bytes: a handshake fits. It reckons with twice that.
pub(super) const RECEIVED: u32 = 8 * 1024;

/// What all of them may take together, in bytes: the kernel's part counts for the process's cgroup.
pub(crate) const MEMORY: usize = (PLACES + WAITING) * (2 * RECEIVED as usize + 2 * 1024);

/// How long a place is sure: a whole handshake from far away. Newcomers wait for that, in the order in which they came, so
/// that however fast somebody opens connections, everybody else's come to their end.
const SURE: Duration = Duration::from_secs(1);

/// How often at the most it is told how many were sent away.
const TELLING: Duration = Duration::from_secs(1);

/// All places, and those who wait.
#[derive(Default)]
pub(super) struct Door {
    crowd: Mutex<Crowd>,
    changed: Notify,
}

#[derive(Default)]
struct Crowd {
    next: u64,
    /// The oldest first.
    holders: BTreeMap<u64, Holder>,
    line: Line,
    /// How many were sent away since that was last told, and when it was.
    sent_away: u64,
    told_at: Option<Instant>,
}

struct Holder {
    peer: IpAddr,
    since: Instant,
    lose: Arc<Notify>,
}

/// Those who wait, by address, each in the order in which they came.
#[derive(Default)]
struct Line {
    next: u64,
    count: usize,
    by_peer: BTreeMap<IpAddr, VecDeque<Waiter>>,
}

struct Waiter {
    number: u64,
    give: oneshot::Sender<Place>,
}

/// One place. Dropping it gives it back.
pub(crate) struct Place {
    door: Arc<Door>,
    age: u64,
    lost: Arc<Notify>,
}

impl Door {
    /// A place for one more connection from `peer`, as soon as there is one and [`Door::keep`] is polled; `None` where so many
    /// wait that it is sent away. Safe to drop.
    pub(super) async fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let given = self.join(neighbourhood(peer))?;
        self.changed.notify_one();
        given.await.ok()
    }

    /// One more was sent away: how many were since that was last told, if it is time to tell.
    pub(super) fn sent_away(&self, now: Instant) -> Option<u64> {
        let mut crowd = self.crowd();
        crowd.sent_away = crowd.sent_away.saturating_add(1);
        if crowd.told_at.is_some_and(|told_at| now.saturating_duration_since(told_at) < TELLING) {
            return None;
        }
        crowd.told_at = Some(now);
        Some(std::mem::take(&mut crowd.sent_away))
    }

    /// Lets those in who wait, each in turn. Safe to drop.
    pub(super) async fn keep(self: &Arc<Self>) -> Infallible {
        loop {
            match self.let_in(Instant::now()) {
                None => self.changed.notified().await,
                Some(again) => tokio::select! {
                    () = sleep_until(again) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    fn join(&self, peer: IpAddr) -> Option<oneshot::Receiver<Place>> {
        let (give, given) = oneshot::channel();
        self.crowd().line.join(peer, give).then_some(given)
    }

    /// Gives places to all who can have one now; when there may be one for the next.
    fn let_in(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        loop {
            let (give, place) = {
                let mut crowd = self.crowd();
                crowd.line.forget_the_gone();
                let peer = crowd.next_in_line()?;
                if let Err(again) = crowd.make_room(peer, now) {
                    return Some(again);
                }
                let give = crowd.line.leave(peer)?;
                let (age, lost) = crowd.hold(peer, now);
                (give, Place { door: Arc::clone(self), age, lost })
            };
            // Whoever does not wait any more gives it back.
            let _ = give.send(place);
        }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom an address is one with: of IPv6 each has a /64 to itself (RFC 6177).
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

impl Line {
    /// The end of the line. `false`: it is full, and no address has more in it than this one. Else the newest goes of the address
    /// that has most.
    fn join(&mut self, peer: IpAddr, give: oneshot::Sender<Place>) -> bool {
        if self.count >= WAITING {
            // Of several that have as many, the one whose last came last: whoever waits longer loses to nobody.
            let length = |(_, waiters): &(&IpAddr, &VecDeque<Waiter>)| {
                (waiters.len(), waiters.back().map(|last| last.number))
            };
            let longest = self.by_peer.iter().max_by_key(length);
            let Some((&crowded, length)) = longest.map(|(peer, waiters)| (peer, waiters.len())) else {
                return false;
            };
            if length <= self.by_peer.get(&peer).map_or(0, VecDeque::len) {
                return false;
            }
            self.take(crowded, VecDeque::pop_back);
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.count = self.count.saturating_add(1);
        self.by_peer.entry(peer).or_default().push_back(Waiter { number, give });
        true
    }

    /// The first of this address leaves the line.
    fn leave(&mut self, peer: IpAddr) -> Option<oneshot::Sender<Place>> {
        self.take(peer, VecDeque::pop_front).map(|waiter| waiter.give)
    }

    fn forget_the_gone(&mut self) {
        self.by_peer.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.give.is_closed());
            !waiters.is_empty()
        });
        self.count = self.by_peer.values().map(VecDeque::len).fold(0, usize::saturating_add);
    }

    fn take(&mut self, peer: IpAddr, which: fn(&mut VecDeque<Waiter>) -> Option<Waiter>) -> Option<Waiter> {
        let waiters = self.by_peer.get_mut(&peer)?;
        let taken = which(waiters);
        if waiters.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.count = self.count.saturating_sub(usize::from(taken.is_some()));
        taken
    }
}

impl Crowd {
    /// Whose turn it is: of the address that holds fewest places, and of several such of who came first.
    fn next_in_line(&self) -> Option<IpAddr> {
        let held = self.held();
        let turn = |(peer, waiters): &(&IpAddr, &VecDeque<Waiter>)| {
            (held.get(peer).copied().unwrap_or_default(), waiters.front().map(|first| first.number))
        };
        self.line.by_peer.iter().min_by_key(turn).map(|(peer, _)| *peer)
    }

    /// How many places each address holds.
    fn held(&self) -> BTreeMap<IpAddr, usize> {
        let mut held: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for holder in self.holders.values() {
            let count = held.entry(holder.peer).or_default();
            *count = count.saturating_add(1);
        }
        held
    }

    /// With all places taken, the address that holds most loses its oldest: at once to an address that holds fewer even with
    /// one more, to any other when it is sure no longer. Else: when that will be.
    fn make_room(&mut self, newcomer: IpAddr, now: Instant) -> Result<(), Instant> {
        if self.holders.len() < PLACES {
            return Ok(());
        }
        let places = self.held();
        let held = |peer: &IpAddr| places.get(peer).copied().unwrap_or_default();
        let oldest_of_most =
            self.holders.iter().max_by_key(|(age, holder)| (held(&holder.peer), Reverse(**age)));
        let Some((&age, loser)) = oldest_of_most else { return Ok(()) };
        let has_too_many = held(&newcomer).saturating_add(1) < held(&loser.peer);
        match loser.since.checked_add(SURE) {
            Some(sure_until) if sure_until > now && !has_too_many => return Err(sure_until),
            Some(_) | None => loser.lose.notify_one(),
        }
        self.holders.remove(&age);
        Ok(())
    }

    fn hold(&mut self, peer: IpAddr, since: Instant) -> (u64, Arc<Notify>) {
        let (age, lose) = (self.next, Arc::new(Notify::new()));
        self.next = age.saturating_add(1);
        self.holders.insert(age, Holder { peer, since, lose: Arc::clone(&lose) });
        (age, lose)
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
        if self.door.crowd().holders.remove(&self.age).is_some() {
            self.door.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    fn from(address: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, address])
    }

    /// Places for these, all at this moment.
    fn filled(door: &Arc<Door>, addresses: &[u8], now: Instant) -> Vec<Place> {
        let waiting: Vec<_> = addresses.iter().map(|address| door.join(from(*address)).unwrap()).collect();
        door.let_in(now);
        waiting.into_iter().map(|mut given| given.try_recv().unwrap()).collect()
    }

    /// Joins the line, and how long nobody in it gets a place.
    fn waits(door: &Arc<Door>, address: u8, now: Instant) -> (oneshot::Receiver<Place>, Instant) {
        let mut given = door.join(from(address)).unwrap();
        let again = door.let_in(now).unwrap();
        assert!(given.try_recv().is_err());
        (given, again)
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
        assert_eq!(door.crowd().holders.len(), PLACES);
    }

    #[tokio::test]
    async fn nobody_loses_a_place_to_their_equals_in_the_first_second() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let mut places = filled(&door, &[1], now);
        let later = now + SURE / 2;
        places.extend(filled(&door, &[1; PLACES - 1], later));
        let (mut first, again) = waits(&door, 1, later);
        assert_eq!(again, now + SURE);
        let (mut second, again) = waits(&door, 1, later);
        assert_eq!(again, now + SURE);
        assert_eq!(door.let_in(now + SURE), Some(later + SURE));
        let _first = first.try_recv().unwrap();
        assert!(second.try_recv().is_err(), "each in turn");
        assert_eq!(lost(&places).await, [0]);
    }

    #[tokio::test]
    async fn an_address_with_few_places_takes_them_from_the_one_with_most_until_they_are_equal() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let few = filled(&door, &[2], now);
        let many = filled(&door, &[1; PLACES - 1], now);
        let newcomers = filled(&door, &[2; PLACES / 2 - 1], now);
        let (_second, _) = waits(&door, 2, now);
        let (_first, _) = waits(&door, 1, now);
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
        let (mut newcomer, again) = waits(&door, 100, now);
        assert_eq!(again, now + SURE);
        assert_eq!(door.let_in(again), None);
        let _newcomer = newcomer.try_recv().unwrap();
        assert_eq!(lost(&places).await, [0]);
    }

    #[tokio::test]
    async fn whoever_comes_from_elsewhere_waits_behind_nobodys_crowd() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let places = filled(&door, &[1; PLACES], now);
        let crowd: Vec<_> = (0..WAITING).map(|_| door.join(from(1)).unwrap()).collect();
        assert_eq!(door.let_in(now), Some(now + SURE));
        let _other = filled(&door, &[2], now);
        assert_eq!(lost(&places).await, [0]);
        drop(crowd);
    }

    #[tokio::test]
    async fn in_a_full_line_the_address_with_most_in_it_loses_its_newest_and_takes_nobodys_place() {
        let door = Arc::new(Door::default());
        let mut crowd: Vec<_> = (0..WAITING).map(|_| door.join(from(1)).unwrap()).collect();
        assert!(door.join(from(1)).is_none(), "no more of these");
        let mut other = door.join(from(2)).unwrap();
        assert!(crowd.pop().unwrap().await.is_err(), "the newest is sent away");
        let waits =
            |given: &mut oneshot::Receiver<Place>| matches!(given.try_recv(), Err(TryRecvError::Empty));
        assert!(waits(&mut other) && crowd.iter_mut().all(waits));
        assert_eq!(door.crowd().line.count, WAITING);
    }

    #[tokio::test]
    async fn in_a_line_of_many_addresses_whoever_waits_longer_loses_to_nobody() {
        let door = Door::default();
        let address = |number: usize| {
            IpAddr::from(u32::try_from(usize::MAX.wrapping_sub(number) & 0xff_ffff).unwrap().to_be_bytes())
        };
        let mut waiting: Vec<_> = (0..WAITING).map(|number| door.join(address(number)).unwrap()).collect();
        let mut newcomers: Vec<_> =
            (0..9).map(|number| door.join(address(WAITING + number)).unwrap()).collect();
        assert!(waiting.pop().unwrap().await.is_err(), "the last one made room for the first newcomer");
        let waits =
            |given: &mut oneshot::Receiver<Place>| matches!(given.try_recv(), Err(TryRecvError::Empty));
        assert!(waiting.iter_mut().all(waits), "and each newcomer for the next");
        assert!(waits(newcomers.last_mut().unwrap()) && !newcomers[..8].iter_mut().any(waits));
    }

    #[test]
    fn neighbours_in_a_network_of_one_are_one() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }

    #[test]
    fn of_those_who_are_sent_away_the_log_hears_once_a_second() {
        let (door, now) = (Door::default(), Instant::now());
        assert_eq!(door.sent_away(now), Some(1));
        assert_eq!((door.sent_away(now), door.sent_away(now + TELLING / 2)), (None, None));
        assert_eq!(door.sent_away(now + TELLING), Some(3));
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_keeps_nobody_waiting() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let places = filled(&door, &[1; PLACES], now);
        let gone: Vec<_> = (0..10).map(|_| door.join(from(1)).unwrap()).collect();
        drop(gone);
        assert_eq!(door.let_in(now + SURE), None);
        assert!(
            lost(&places).await.is_empty() && door.crowd().line.count == 0,
            "nobody lost a place to them"
        );
    }

    #[tokio::test]
    async fn an_address_written_in_another_way_is_the_same() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let others = filled(&door, &[2; 24], now);
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001]);
        let enters = |door: Arc<Door>| async move { door.enter(mapped).await };
        let entering: Vec<_> = (0..20).map(|_| tokio::spawn(enters(Arc::clone(&door)))).collect();
        tokio::task::yield_now().await;
        door.let_in(now);
        let mut places = Vec::new();
        for entered in entering {
            places.push(entered.await.unwrap().unwrap());
        }
        let _more = filled(&door, &[1; 20], now);
        let _newcomer = filled(&door, &[3], now);
        assert_eq!(lost(&places).await, [0]);
        assert_eq!(lost(&others).await, Vec::<usize>::new());
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_taken_at_once_and_costs_nobody_theirs() {
        let door = Arc::new(Door::default());
        let mut places = filled(&door, &[1; PLACES], Instant::now());
        let entering = Arc::clone(&door);
        let (began, enters) = (Instant::now(), async move { entering.enter(from(1)).await });
        let gives_back = async {
            tokio::task::yield_now().await;
            places.pop();
            std::future::pending::<()>().await;
        };
        let newcomer = tokio::select! {
            never = door.keep() => match never {},
            () = gives_back => None,
            newcomer = enters => newcomer,
        };
        let newcomer = newcomer.unwrap();
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert!(lost(&places).await.is_empty() && !is_lost(&newcomer).await);
        drop((places, newcomer));
        assert!(door.crowd().holders.is_empty());
    }
}
