//! Credentials that are on record and whose grants are gone, or were given up: an etcd that was restored from a backup forgets grants, and Vault
//! forgets no lease. Each token that was let on to a credential, and of which neither a receipt nor a sweep is on record, is shut as those of grants
//! are, by the same desk; how that went is on record, too.
//!
//! Whether the grant is there is asked after the log is: one that is made meanwhile is no orphan.

use std::collections::BTreeSet;
use std::time::Duration;

use access::{VaultLease, chain};
use crds::{AccessGrant, LeaseStatus};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use record::kinds::State;
use record::kinds::operator::{Pod, Sweep};
use record::{Record, StreamName, Uid, What};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::Records;
use super::facts::Fact;
use super::streams::{CannotAsk, Found, Log as _, Reader, Told};
use crate::context::Context;
use crate::controllers::LIVE_GRANTS;
use crate::leases::{LeaseDesk, Shut, ShutsLeases, ToShut};
use crate::sweep::names;

/// How long to wait between two rounds.
const EVERY: Duration = Duration::from_secs(60);

/// How long to wait while something is being shut, or the log is behind with its index.
const SOON: Duration = Duration::from_secs(5);

/// How long the log's index may be behind until that is a failure.
const BEHIND: Duration = Duration::from_secs(300);

/// The most pages of what has no end that one round reads, the newest first.
const PAGES: usize = 200;

/// The most tokens of one grant that are told apart.
const OWNERS: usize = 256;

/// What a sweep says that Vault proved.
const GONE: &str = "its grant is over or gone; its lease is gone and its token revoked, and Vault shows no other lease of it";

/// Why nobody knows what is left.
#[derive(Debug, thiserror::Error)]
pub enum NotSwept {
    /// The API server.
    #[error("cannot list the grants")]
    Grants(#[source] kube::Error),
    /// The log.
    #[error("cannot ask the audit log what has no end")]
    Log(#[from] CannotAsk),
    /// Its index.
    #[error("the audit log has not looked up all its records for minutes: its own log says why")]
    Behind,
}

/// What the log says of tokens of which neither a receipt nor a sweep is on record.
#[derive(Deserialize)]
struct Unended {
    entries: Vec<Entry>,
    next: Option<u64>,
    indexed: u64,
    size: u64,
}

#[derive(Deserialize)]
struct Entry {
    /// What the operator put on record before the proxy was let on.
    pod: Told,
    /// What proxies of the grant put on record of credentials that they read.
    credentials: Vec<Told>,
}

/// A token that was let on to a credential, and the leases that proxies of its grant reported.
struct LetOn {
    grant: Uid,
    pod: Pod,
    credentials: Vec<(StreamName, String)>,
}

/// What was known at the round before.
#[derive(Default)]
struct Before {
    /// Tokens, by their accessors, whose grants were gone then. A receipt may have been on record already, and not in the log's tree.
    suspects: BTreeSet<String>,
    /// Since when the log has not looked up all that it has.
    behind: Option<Instant>,
}

/// Sweeps until dropped.
pub async fn run(context: &Context) {
    let mut before = Before::default();
    loop {
        let again = match sweep(context, &mut before).await {
            Ok(again) => again,
            Err(error) => {
                context.metrics.failed("Orphans");
                tracing::warn!(error = %chain(&error), "nobody knows whether credentials are left of grants that are gone");
                EVERY
            }
        };
        sleep(again).await;
    }
}

/// One round: how long to wait until the next.
async fn sweep(context: &Context, before: &mut Before) -> Result<Duration, NotSwept> {
    // What a log says that shows another past, or none, is nothing to end a credential by.
    if context.records.are_away() || !context.records.is_witnessed() {
        return Ok(EVERY);
    }
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    let Some(let_on) = let_on(&reader).await? else {
        let since = *before.behind.get_or_insert_with(Instant::now);
        return if since.elapsed() < BEHIND { Ok(SOON) } else { Err(NotSwept::Behind) };
    };
    before.behind = None;
    let all = Api::<AccessGrant>::all(context.client.clone());
    let live = ListParams::default().fields(LIVE_GRANTS);
    let there = names(&all, live, ResourceExt::uid).await.map_err(NotSwept::Grants)?;
    let there: BTreeSet<String> = there.into_iter().collect();
    let gone = |one: &&LetOn| !there.contains(one.grant.as_str());
    let orphans: Vec<&LetOn> = let_on.iter().filter(gone).collect();
    let suspects = orphans.iter().map(|one| one.pod.accessor.clone()).collect();
    let suspected = std::mem::replace(&mut before.suspects, suspects);
    let mut is_in_hand = orphans.iter().any(|one| !suspected.contains(&one.pod.accessor));
    for one in orphans.into_iter().filter(|one| suspected.contains(&one.pod.accessor)) {
        // Without them its token is shut all the same, and what that token owned with it.
        let owners = owners(&reader, &one.grant).await.unwrap_or_default();
        let lease = one.lease(&owners);
        is_in_hand |= !is_shut(&context.leases, &context.records, (one, lease)).await;
    }
    Ok(if is_in_hand { SOON } else { EVERY })
}

/// The records of a grant's proxies that name their tokens.
async fn owners(reader: &Reader<'_>, grant: &Uid) -> Result<Vec<Told>, CannotAsk> {
    let found: Found = reader.asks(&format!("v1/search?grant={grant}&kind=owner&limit={OWNERS}")).await?;
    Ok(found.records)
}

/// All that has no end, the newest first; `None` while the log has not looked up all that it has, so that an end may be missing.
async fn let_on(reader: &Reader<'_>) -> Result<Option<Vec<LetOn>>, CannotAsk> {
    let mut all = Vec::new();
    let mut before = None;
    for _ in 0..PAGES {
        let path =
            before.map_or_else(|| "v1/unended".to_owned(), |index: u64| format!("v1/unended?before={index}"));
        let page: Unended = reader.asks(&path).await?;
        if page.indexed < page.size {
            return Ok(None);
        }
        all.extend(page.entries.iter().filter_map(LetOn::of));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(Some(all))
}

impl LetOn {
    /// Only what this operator let on, by its own record.
    fn of(entry: &Entry) -> Option<Self> {
        let Record { what: What::Pod(pod), grant: Some(grant), .. } = entry.pod.record()? else {
            return None;
        };
        let credential = |told: &Told| match told.record()? {
            Record { what: What::Credential(credential), stream, .. } => Some((stream, credential.lease)),
            _ => None,
        };
        let credentials = entry.credentials.iter().filter_map(credential).collect();
        Some(Self { grant, pod, credentials })
    }

    /// The lease that this token owns, as its proxy reported: only where it is of the role that the proxy was let on to, for its word is
    /// not taken for more. `owners`: the records of the grant's proxies that name their tokens.
    fn lease(&self, owners: &[Told]) -> Option<String> {
        let own = |told: &Told| match told.record()? {
            Record { what: What::Owner(owner), stream, .. } => {
                (owner.accessor == self.pod.accessor).then_some(stream)
            }
            _ => None,
        };
        let streams: Vec<StreamName> = owners.iter().filter_map(own).collect();
        let role = self.role();
        let mut leases =
            self.credentials.iter().filter(|(stream, lease)| streams.contains(stream) && role.owns(lease));
        leases.next().map(|(_, lease)| lease.clone())
    }

    fn role(&self) -> VaultLease {
        VaultLease { mount: self.pod.mount.clone(), role: self.pod.role.clone() }
    }
}

/// Has it shut, and puts on record how it went once that is known. Whether nothing is left to be done.
async fn is_shut<V: ShutsLeases>(
    desk: &LeaseDesk<V>,
    records: &Records,
    (one, lease): (&LetOn, Option<String>),
) -> bool {
    let LetOn { grant, pod, credentials: _ } = one;
    let role = one.role();
    let lease = LeaseStatus {
        pod_uid: pod.uid.to_string(),
        token_accessor: pod.accessor.clone(),
        lease_id: lease,
        confirmed: Some(true),
        ..LeaseStatus::default()
    };
    let known = std::slice::from_ref(&lease);
    let found = desk.findings(known).into_iter().find(|finding| finding.is_of(&lease));
    let Some((how, state)) = found.and_then(|finding| outcome(grant, finding.shut)) else {
        let (database, grant) = (role.credentials_path(), ObjectRef::new(&pod.grant).within(&pod.namespace));
        desk.shut(ToShut { lease, role, database, grant });
        return false;
    };
    let sweep = Sweep { accessor: Some(pod.accessor.clone()), how, lease: lease.lease_id.clone(), state };
    let fact = Fact::of_orphan(grant, &pod.accessor, What::Sweep(sweep));
    let is_on_record = match records.put(grant.as_str(), vec![fact]).await {
        Ok(()) => {
            tracing::warn!(%grant, ?state, "swept: a credential whose grant is over or gone was ended");
            desk.forget(known);
            true
        }
        Err(error) => {
            tracing::warn!(%grant, error = %chain(&error), "a sweep is not on record");
            false
        }
    };
    records.forget(grant.as_str());
    is_on_record
}

/// What a sweep says of it; `None` while it may stand.
fn outcome(grant: &Uid, shut: Shut) -> Option<(String, State)> {
    match shut {
        Shut::Gone => Some((GONE.to_owned(), State::Proved)),
        Shut::Unseen(why) => Some((format!("its grant is over or gone; {why}"), State::Unprovable)),
        Shut::Open(how_to_fix) => {
            tracing::warn!(%grant, how_to_fix, "a credential whose grant is over or gone is not ended yet");
            None
        }
        Shut::Asked => None,
    }
}

#[cfg(test)]
mod tests {
    use record::Count;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;
    use vault::Index;

    use super::*;
    use crate::leader::Lead;
    use crate::leases::{Listing, NotShut};

    /// It ends whatever it is asked to end.
    struct Obedient;

    impl ShutsLeases for Obedient {
        async fn shut(&self, _: &LeaseStatus) -> Result<Index, NotShut> {
            Ok(Index::default())
        }

        async fn list(&self, _: &VaultLease, _: &Index) -> Result<Listing, NotShut> {
            Ok(Listing::Ids(BTreeSet::new()))
        }
    }

    fn record(stream: &str, kind: &str, by: &str, what: Value) -> Value {
        let grant = "0b9a2f0e-0000-4000-8000-000000000001";
        let at = "2026-01-01T12:00:00.000000Z";
        json!({"index": 1, "record": {
            "at": at, "by": by, "grant": grant, "kind": kind, "n": 0, "stream": stream, "v": 1, "what": what,
        }})
    }

    fn pod() -> Value {
        let what = json!({
            "accessor": "a1", "grant": "look", "mount": "database", "name": "grant-1", "namespace": "shop", "request": "r1",
            "role": "readers", "uid": "p1",
        });
        record("operator/7", "pod", "operator", what)
    }

    const FIRST: &str = "0b9a2f0e-0000-4000-8000-000000000001/0123456789abcdef";
    const SECOND: &str = "0b9a2f0e-0000-4000-8000-000000000001/fedcba9876543210";

    fn credential(stream: &str, lease: &str) -> Value {
        let what = json!({"expires": "2026-01-01T12:30:00.000000Z", "lease": lease, "user": "v-user"});
        record(stream, "credential", "proxy", what)
    }

    fn owners() -> Vec<Told> {
        let owner = |stream, accessor| record(stream, "owner", "proxy", json!({"accessor": accessor}));
        serde_json::from_value(json!([owner(FIRST, "a1"), owner(SECOND, "a2")])).unwrap()
    }

    fn entry(pod: &Value, credentials: &[Value]) -> Option<LetOn> {
        let text = json!({"pod": pod, "credentials": credentials}).to_string();
        LetOn::of(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn what_the_operator_let_on_is_known_by_its_own_record_and_its_lease_by_its_own_token() {
        let (own, other) =
            (credential(FIRST, "database/creds/readers/1"), credential(SECOND, "database/creds/readers/2"));
        let lease = |credentials: &[Value]| entry(&pod(), credentials).unwrap().lease(&owners());
        assert_eq!(lease(&[other.clone(), own.clone()]).as_deref(), Some("database/creds/readers/1"));
        assert_eq!(lease(&[other]), None, "of another proxy of the grant");
        assert_eq!(lease(&[]), None);
        assert!(entry(&own, std::slice::from_ref(&own)).is_none(), "by a proxy's word alone");
    }

    #[test]
    fn a_lease_of_another_role_is_not_the_proxys_to_name() {
        for other in
            ["database/creds/writers/1", "other/creds/readers/1", "database/creds/readers/../writers/1"]
        {
            let found = entry(&pod(), &[credential(FIRST, other)]).unwrap();
            assert_eq!(found.lease(&owners()), None, "{other}");
        }
    }

    #[test]
    fn a_sweep_says_proved_only_of_what_vault_shows_gone() {
        let grant: Uid = "0b9a2f0e-0000-4000-8000-000000000001".parse().unwrap();
        let state = |shut| outcome(&grant, shut).map(|(_, state)| state);
        assert_eq!(state(Shut::Asked), None);
        assert_eq!(state(Shut::Open("sealed".into())), None);
        assert_eq!(state(Shut::Unseen("others".into())), Some(State::Unprovable));
        assert_eq!(state(Shut::Gone), Some(State::Proved));
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_is_in_hand_until_the_log_has_its_sweep() {
        let records = Records::default();
        records.begin(Lead { leadership: 7, after: None, since: Instant::now() }, "a replica".into());
        let written = || records.own().handed_over.get();
        let desk = LeaseDesk::new(Obedient, crate::leases::Records::default(), mpsc::unbounded_channel().0);
        let one = entry(&pod(), &[credential(FIRST, "database/creds/readers/1")]).unwrap();
        let shut = || is_shut(&desk, &records, (&one, one.lease(&owners())));
        assert!(!shut().await, "nobody has asked Vault yet");
        sleep(Duration::from_secs(1)).await;
        assert!(!shut().await && desk.in_hand() == 0, "Vault has ended it, and the log does not answer");
        assert_eq!(written(), 2, "the beginning of the leadership, and the sweep");
        records.stream.get().unwrap().heard.below.send_replace(Count::of(100));
        assert!(shut().await);
        assert_eq!(written(), 3, "the same again, for nobody knows whether the log has the first");
        assert!(!shut().await && desk.in_hand() == 1, "forgotten here: whoever asks again begins anew");
    }
}
