//! Sees what a watch that fell silent would not: a revocation. One small list for all grants together, and the sign of life
//! that `/healthz` goes by.

use std::collections::HashMap;
use std::time::Duration;

use access::chain;
use crds::AccessGrant;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::context::Context;

/// How often it looks: the longest that a revocation can go unseen while the API server answers.
const EVERY: Duration = Duration::from_secs(15);

/// How long a revocation may be seen here before the loops have taken it up.
const TAKEN_UP: Duration = Duration::from_secs(60);

/// Grants that somebody has revoked and about which something is left to be done.
const REVOKED: &str = "spec.revocation.by!=,status.settled!=true";

/// Looks until dropped.
pub async fn run(context: &Context) {
    let mut every = tokio::time::interval(EVERY);
    let mut waiting = Waiting::default();
    loop {
        every.tick().await;
        match revoked(context).await {
            Ok(grants) => {
                let unheeded = grants.iter().filter(|(uid, _)| !context.is_heeded(uid));
                let overdue = waiting.look(unheeded.map(|(uid, _)| uid.as_str()), Instant::now());
                context.metrics.unheeded(overdue);
                context.progress.neglects(overdue > 0);
                grants.into_iter().for_each(|(_, grant)| context.wake(grant));
                context.progress.made();
            }
            Err(error) => {
                context.metrics.failed("Watchdog");
                tracing::warn!(error = %chain(&error), "cannot look for revoked grants");
            }
        }
    }
}

/// Revoked grants that the loops have not taken up, by uid: since when.
#[derive(Default)]
struct Waiting(HashMap<String, Instant>);

impl Waiting {
    /// These wait now. Answers how many of them do so for too long.
    fn look<'a>(&mut self, unheeded: impl Iterator<Item = &'a str>, now: Instant) -> usize {
        let before = std::mem::take(&mut self.0);
        let since = |uid: &str| before.get(uid).copied().unwrap_or(now);
        self.0 = unheeded.map(|uid| (uid.to_owned(), since(uid))).collect();
        self.0.values().filter(|since| now.duration_since(**since) >= TAKEN_UP).count()
    }
}

async fn revoked(context: &Context) -> Result<Vec<(String, ObjectRef<AccessGrant>)>, kube::Error> {
    let grants: Api<AccessGrant> = Api::all(context.client.clone());
    let found = grants.list_metadata(&ListParams::default().fields(REVOKED)).await?.items;
    let named = found.into_iter().filter_map(|grant| {
        let (name, namespace) = (grant.metadata.name?, grant.metadata.namespace?);
        Some((grant.metadata.uid?, ObjectRef::new(&name).within(&namespace)))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_that_nobody_takes_up_is_told_after_a_minute() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let mut look = |uids: &[&str], seconds: u64| {
            waiting.look(uids.iter().copied(), start.checked_add(Duration::from_secs(seconds)).unwrap())
        };
        assert_eq!(look(&["one"], 0), 0);
        assert_eq!(look(&["one", "other"], 45), 0);
        assert_eq!(look(&["one", "other"], 60), 1);
        assert_eq!(look(&["other"], 75), 0, "the first was taken up");
        assert_eq!(look(&["one", "other"], 105), 1, "and is another order now");
    }
}
