//! The order to end a grant: written once, by whoever is first. Nothing is shut by it yet.

use std::pin::pin;

use crds::AccessGrant;
use futures_util::{StreamExt, stream};
use kube::ResourceExt;

use super::{AT_ONCE, named};
use crate::cluster::{Cluster, Deadline};
use crate::requests::{self, SubmitError};
use crate::terminal;

/// The most times that one order is written, when others change the grant meanwhile.
const MOST_TRIES: u32 = 3;

/// Who orders, and why.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    /// The person's user name.
    pub by: &'a str,
    /// In their words.
    pub reason: &'a str,
}

/// A grant that ends.
pub struct Ordered {
    /// The grant.
    pub grant: AccessGrant,
    /// What was so before, if it was not this person's word that ended it.
    before: Option<SubmitError>,
}

/// Orders all of them to end, and tells of each. Those that end, and whether that is all.
pub async fn order_all(
    cluster: &Cluster,
    meant: &[AccessGrant],
    word: Word<'_>,
    deadline: &Deadline,
) -> (Vec<AccessGrant>, bool) {
    let orders =
        stream::iter(meant).map(|grant| async move { (grant, order(cluster, grant, word, deadline).await) });
    let mut orders = pin!(orders.buffer_unordered(AT_ONCE));
    let mut ends = Vec::new();
    let mut all = true;
    while let Some((meant, ordered)) = orders.next().await {
        let name = named(meant);
        match ordered {
            Ok(Ordered { grant, before }) => {
                terminal::tell(&match before {
                    None => format!("ordered to end: {name}"),
                    Some(before) => format!("nothing to order: {name}: {before}"),
                });
                ends.push(grant);
            }
            // The operator takes a probe away, and only once it is shut.
            Err(gone @ SubmitError::Gone { .. }) if meant.spec.terms.probe => {
                terminal::tell(&format!("nothing to order: {name}: {gone}"));
            }
            Err(error) => {
                all = false;
                terminal::tell(&format!("failed: {name}: {}", access::chain(&error)));
            }
        }
    }
    (ends, all)
}

/// Orders one to end, unless that is done.
pub async fn order(
    cluster: &Cluster,
    grant: &AccessGrant,
    word: Word<'_>,
    deadline: &Deadline,
) -> Result<Ordered, SubmitError> {
    let what = format!("order grant {} to end", grant.name_any());
    let done = deadline.hold(&what, written(cluster, grant, word)).await;
    done.map_err(SubmitError::Call)?
}

/// Writes the order. After a refusal, or when the answer is lost, it is looked up whether the grant ends all the same: somebody
/// was faster, or the order arrived.
async fn written(cluster: &Cluster, grant: &AccessGrant, word: Word<'_>) -> Result<Ordered, SubmitError> {
    let mut grant = grant.clone();
    let mut more_tries = 1..MOST_TRIES;
    loop {
        let revoked = match requests::revocation(&grant, word.by, word.reason) {
            Ok(revoked) => revoked,
            Err(before @ (SubmitError::Revoked { .. } | SubmitError::Ended { .. })) => {
                return Ok(Ordered { grant, before: Some(before) });
            }
            Err(error) => return Err(error),
        };
        let error = match requests::send_revocation(cluster, &revoked).await {
            Ok(grant) => return Ok(Ordered { grant, before: None }),
            Err(error) => error,
        };
        let api = cluster.api_in::<AccessGrant>(&grant.namespace().unwrap_or_default());
        let Ok(now) = api.get_opt(&grant.name_any()).await else { return Err(SubmitError::Call(error)) };
        let is_same = |now: &AccessGrant| now.metadata.uid == grant.metadata.uid;
        let gone = || SubmitError::Gone { grant: grant.name_any() };
        let now = now.filter(is_same).ok_or_else(gone)?;
        if now.spec.revocation == revoked.spec.revocation {
            return Ok(Ordered { grant: now, before: None });
        }
        let is_over = requests::revocation(&now, word.by, word.reason).is_err();
        let again = error.is_conflict() && more_tries.next().is_some();
        if !is_over && !again {
            return Err(SubmitError::Call(error));
        }
        grant = now;
    }
}
