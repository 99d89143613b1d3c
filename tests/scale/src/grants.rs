//! What the API server tells of all grants, and when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use crds::{AccessGrant, GrantPhase};
use futures_util::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::Notify;

/// One grant, as it was last told of.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// How far it is.
    pub phase: GrantPhase,
    /// Since when.
    pub since: Instant,
    /// Whether nothing will ever change about it.
    pub is_settled: bool,
    /// When the receipt first said that the lease is over.
    pub lease_shut: Option<Instant>,
    /// Whether what the receipt says of the lease is `Proved`.
    pub lease_proved: bool,
}

/// All of them, by uid.
#[derive(Default)]
pub struct Grants {
    known: Mutex<BTreeMap<String, Seen>>,
    changed: Notify,
}

impl Grants {
    /// Follows them until dropped.
    pub async fn follow(self: Arc<Self>, client: Client) -> anyhow::Result<()> {
        let all = watcher(Api::<AccessGrant>::all(client), watcher::Config::default());
        let mut changes = std::pin::pin!(all.default_backoff().applied_objects());
        while let Some(grant) = changes.try_next().await? {
            self.sees(&grant);
        }
        bail!("the watch of grants ended")
    }

    fn sees(&self, grant: &AccessGrant) {
        let (uid, now) = (grant.uid().unwrap_or_default(), Instant::now());
        let status = grant.status.clone().unwrap_or_default();
        let lease = status.receipt.iter().find(|line| line.item == "lease" && line.outcome != "Open");
        let mut known = self.known();
        let seen = known.entry(uid.clone()).or_insert_with(|| Seen {
            namespace: grant.namespace().unwrap_or_default(),
            name: grant.name_any(),
            uid,
            phase: status.phase,
            since: now,
            is_settled: false,
            lease_shut: None,
            lease_proved: false,
        });
        if seen.phase != status.phase {
            (seen.phase, seen.since) = (status.phase, now);
        }
        seen.is_settled = status.settled;
        if let Some(line) = lease {
            seen.lease_shut.get_or_insert(now);
            seen.lease_proved = line.outcome == "Proved";
        }
        self.changed.notify_waiters();
    }

    /// Those of this phase.
    pub fn of(&self, phase: GrantPhase) -> Vec<Seen> {
        self.known().values().filter(|seen| seen.phase == phase).cloned().collect()
    }

    /// Waits until `look` finds what it looks for.
    pub async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl Fn(&BTreeMap<String, Seen>) -> Option<T>,
    ) -> anyhow::Result<T> {
        let found = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(&self.known()) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(within, found).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("waited {within:?} for {what}: {}", self.summary()),
        }
    }

    /// Tells now and then how many there are, until dropped.
    pub async fn tell(&self) {
        let mut every = tokio::time::interval(Duration::from_secs(30));
        loop {
            every.tick().await;
            eprintln!("  {}", self.summary());
        }
    }

    /// How many there are of each phase.
    pub fn summary(&self) -> String {
        let mut count = BTreeMap::<String, usize>::new();
        for seen in self.known().values() {
            *count.entry(format!("{:?}", seen.phase)).or_default() += 1;
        }
        format!("{count:?}")
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
