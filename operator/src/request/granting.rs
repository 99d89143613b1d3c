//! Grants of one person and one database are made one after the other: how many there are is counted before each.

use std::hash::{BuildHasher, RandomState};

use crds::AccessRequest;
use kube::ResourceExt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The number of turns: as many grants of different people and databases may be made at once.
const TURNS: usize = 32;

/// The turns. Two that have to wait for each other always have the same one; others may have it by chance.
pub struct Granting {
    turns: [Semaphore; TURNS],
    hasher: RandomState,
}

impl Default for Granting {
    fn default() -> Self {
        Self { turns: std::array::from_fn(|_| Semaphore::new(1)), hasher: RandomState::new() }
    }
}

impl Granting {
    /// Waits until nobody else makes a grant of this person and database.
    pub async fn turn(&self, request: &AccessRequest) -> Option<SemaphorePermit<'_>> {
        let whose = (request.namespace(), &request.spec.user, &request.spec.database);
        let hash = self.hasher.hash_one(whose);
        let turns = u64::try_from(TURNS).ok()?;
        let index = usize::try_from(hash.checked_rem(turns)?).ok()?;
        // It is closed by nobody.
        self.turns.get(index)?.acquire().await.ok()
    }
}
