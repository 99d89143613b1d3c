//! Shuts leases in Vault, each by the accessor of the token that owns it, beside everything else: nobody waits for it, and a
//! database that is down delays no other database's leases.
//!
//! A lease is asked about again and again until it is gone, less and less often. What is in hand here is lost with the process; the
//! grants' statuses say what may still stand, and their plans hand it over again.

mod breaker;
mod strays;
mod vault;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::vault::Index;
use access::VaultLease;
use crds::{AccessGrant, LeaseStatus};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::breaker::Breaker;
pub use self::strays::Records;
use self::strays::{Strays, may_be_in_flight};
pub use self::vault::VaultDesk;
use crate::backoff::Backoff;

/// The most calls for leases at once.
const AT_ONCE: usize = 32;

/// The most calls at once for leases of one database.
const AT_ONCE_OF_A_DATABASE: usize = 2;

/// How long to wait before a lease is asked about again: the first time, and the longest. A grant is not proved shut before
/// Vault is asked again, so this is also how late the proof may be once Vault is back.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// What is known of one lease that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Accessor of the token that owns it.
    pub token_accessor: String,
    /// What was known of it when it was handed over.
    pub known: Known,
    /// Whether it is shut.
    pub shut: Shut,
}

impl Finding {
    /// Whether it is about all that is on record of this lease.
    pub fn is_of(&self, lease: &LeaseStatus) -> bool {
        let known = Known::of(lease);
        self.token_accessor == lease.token_accessor
            && self.known.lease_id == known.lease_id
            && known.is_in(&self.known)
    }
}

/// Whether a lease is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shut {
    /// Vault was not asked yet, or has not answered.
    Asked,
    /// Vault says that it is gone, and shows none that its token could own besides.
    Gone,
    /// It is gone, and its token revoked; why nobody sees whether that token owned others.
    Unseen(String),
    /// It may stand; how to fix it.
    Open(String),
}

/// Why a lease could not be shut.
#[derive(Debug)]
pub struct NotShut {
    /// How to fix it: a sentence for the receipt.
    pub how_to_fix: String,
    /// Whether it is its database's fault, or Vault's: others of that database will hardly fare better.
    pub is_general: bool,
}

/// The leases of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Their full ids.
    Ids(BTreeSet<String>),
    /// We may not see them; what would allow it.
    Refused(String),
}

/// Whoever can shut a lease.
pub trait ShutsLeases: Send + Sync + 'static {
    /// Revokes it, and the token that owns it, and looks whether it is gone. What else that token owns Vault ends in its own time.
    /// Gives how far Vault had come then.
    fn shut(&self, lease: &LeaseStatus) -> impl Future<Output = Result<Index, NotShut>> + Send;

    /// The leases of a role, as Vault sees them when it has come as far as `after`.
    fn list(&self, role: &VaultLease, after: &Index)
    -> impl Future<Output = Result<Listing, NotShut>> + Send;
}

/// The leases that are being shut.
pub struct LeaseDesk<V = VaultDesk> {
    vault: Arc<V>,
    records: Records,
    calls: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
    woken: mpsc::UnboundedSender<ObjectRef<AccessGrant>>,
}

#[derive(Default)]
struct State {
    /// By the accessor of the owning token.
    leases: HashMap<String, InHand>,
    /// By the name of the database.
    databases: HashMap<String, Arc<Breaker>>,
}

struct InHand {
    known: Known,
    shut: Shut,
    work: AbortHandle,
    /// Nobody asks about it any more: when it is gone, so is this.
    is_forgotten: bool,
}

/// What was known of a lease when its work began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub lease_id: Option<String>,
    /// Whether an answer with a credential may still be on its way. The last words of a proxy, which come late, may say that none is.
    pub in_flight: bool,
}

impl Known {
    /// What a grant's status says of it.
    pub fn of(lease: &LeaseStatus) -> Self {
        Self { lease_id: lease.lease_id.clone(), in_flight: may_be_in_flight(lease) }
    }

    /// Whether this is nothing new to who knew the other.
    fn is_in(&self, other: &Self) -> bool {
        let has_id = self.lease_id.is_none() || self.lease_id == other.lease_id;
        has_id && (self.in_flight || !other.in_flight)
    }
}

/// One lease to shut, and whose it is.
#[derive(Clone, Debug)]
pub struct ToShut {
    /// The lease.
    pub lease: LeaseStatus,
    /// The role it is of.
    pub role: VaultLease,
    /// `<namespace>/<name>` of its database.
    pub database: String,
    /// Its grant, which is looked at again when something new is known.
    pub grant: ObjectRef<AccessGrant>,
}

impl<V: ShutsLeases> LeaseDesk<V> {
    /// A desk with nothing in hand. `woken` hears of the grants about whose leases something new is known.
    pub fn new(vault: V, records: Records, woken: mpsc::UnboundedSender<ObjectRef<AccessGrant>>) -> Self {
        let calls = Arc::new(Semaphore::new(AT_ONCE));
        Self { vault: Arc::new(vault), records, calls, state: Arc::default(), woken }
    }

    /// Takes a lease in hand, unless it is already. One of which more is known now is taken in hand anew.
    pub fn shut(&self, to_shut: ToShut) {
        let (accessor, known) = (to_shut.lease.token_accessor.clone(), Known::of(&to_shut.lease));
        let mut state = locked(&self.state);
        match state.leases.get(&accessor) {
            Some(in_hand) if known.is_in(&in_hand.known) => return,
            Some(in_hand) => in_hand.work.abort(),
            None => {}
        }
        let new = || Arc::new(Breaker::new(AT_ONCE_OF_A_DATABASE));
        let breaker = Arc::clone(state.databases.entry(to_shut.database.clone()).or_insert_with(new));
        let work = Work {
            vault: Arc::clone(&self.vault),
            records: self.records.clone(),
            strays: Strays::of(&to_shut.lease),
            calls: Arc::clone(&self.calls),
            breaker,
            state: Arc::clone(&self.state),
            woken: self.woken.clone(),
            to_shut,
        };
        let work = tokio::spawn(work.until_it_is_gone()).abort_handle();
        state.leases.insert(accessor, InHand { known, shut: Shut::Asked, work, is_forgotten: false });
    }

    /// What is known of these, as far as they are in hand.
    pub fn findings(&self, leases: &[LeaseStatus]) -> Vec<Finding> {
        let state = locked(&self.state);
        let finding = |lease: &LeaseStatus| {
            let in_hand = state.leases.get(&lease.token_accessor)?;
            Some(Finding {
                token_accessor: lease.token_accessor.clone(),
                known: in_hand.known.clone(),
                shut: in_hand.shut.clone(),
            })
        };
        leases.iter().filter_map(finding).collect()
    }

    /// How many are being shut.
    pub fn in_hand(&self) -> usize {
        locked(&self.state).leases.values().filter(|in_hand| in_hand.shut != Shut::Gone).count()
    }

    /// Nobody will ask about these again. Those that may stand stay in hand until they are gone.
    pub fn forget(&self, leases: &[LeaseStatus]) {
        let mut state = locked(&self.state);
        for lease in leases {
            if let Some(in_hand) = state.leases.get_mut(&lease.token_accessor) {
                in_hand.is_forgotten = true;
            }
        }
        state.leases.retain(|_, in_hand| {
            let done = in_hand.is_forgotten && is_over(&in_hand.shut);
            if done {
                in_hand.work.abort();
            }
            !done
        });
        state.databases.retain(|_, breaker| Arc::strong_count(breaker) > 1);
    }
}

/// The work on one lease.
struct Work<V> {
    vault: Arc<V>,
    records: Records,
    strays: Strays,
    calls: Arc<Semaphore>,
    breaker: Arc<Breaker>,
    state: Arc<Mutex<State>>,
    woken: mpsc::UnboundedSender<ObjectRef<AccessGrant>>,
    to_shut: ToShut,
}

impl<V: ShutsLeases> Work<V> {
    async fn until_it_is_gone(mut self) {
        for tries in 1.. {
            let shut = match self.once().await {
                Ok(shut) => shut,
                Err(NotShut { how_to_fix, is_general: _ }) => Shut::Open(how_to_fix),
            };
            let is_gone = shut == Shut::Gone;
            self.note(shut);
            if is_gone {
                return;
            }
            self.breaker.back_or_after(AGAIN.wait(tries, &self.to_shut.lease.token_accessor)).await;
        }
    }

    async fn once(&mut self) -> Result<Shut, NotShut> {
        // The database's turn first: who waits for it holds nobody else's place.
        let _turn = self.breaker.turn().await;
        let _call = self.calls.acquire().await;
        let ToShut { lease, role, .. } = &self.to_shut;
        let shut = match self.vault.shut(lease).await {
            Ok(revoked) => self.vault.list(role, &revoked).await,
            Err(not_shut) => Err(not_shut),
        };
        let shut = shut.map(|listing| match listing {
            Listing::Refused(how_to_fix) => Shut::Unseen(how_to_fix),
            Listing::Ids(ids) => self.strays.look(&ids, &self.records.of(role), Instant::now()),
        });
        match &shut {
            Ok(_) => self.breaker.went_well(),
            Err(NotShut { is_general: true, .. }) => self.breaker.failed(),
            Err(NotShut { is_general: false, .. }) => {}
        }
        shut
    }

    fn note(&self, shut: Shut) {
        let mut state = locked(&self.state);
        let accessor = &self.to_shut.lease.token_accessor;
        // Another work may have taken its place.
        let known = Known::of(&self.to_shut.lease);
        let own = |in_hand: &&mut InHand| in_hand.known == known;
        let Some(in_hand) = state.leases.get_mut(accessor).filter(own) else { return };
        if in_hand.is_forgotten && is_over(&shut) {
            state.leases.remove(accessor);
            return;
        }
        if in_hand.shut != shut {
            in_hand.shut = shut;
            // Nobody listens any more when the loops have ended.
            let _ = self.woken.send(self.to_shut.grant.clone());
        }
    }
}

/// Whether there is nothing left to do about it for who does not need the proof.
fn is_over(shut: &Shut) -> bool {
    match shut {
        Shut::Gone | Shut::Unseen(_) => true,
        Shut::Asked | Shut::Open(_) => false,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
