//! What proxies put on record as they ended, for those whose last words nobody heard: whoever leads now needs no memory of who led then. What
//! the log answers is where to look; what counts is in the tree that its witness has seen.

use access::Outcome;
use access::report::ProofLine;
use record::kinds::State;
use record::kinds::proxy::Proofs;
use record::{StreamName, What};
use tlog::Checkpoint;

use super::anchor::Forked;
use super::streams::{CannotAsk, Found, Log, Told};
use super::tree::{Tree, Unread};

/// How many records of a kind are looked at. A grant has no more proxies than its status has lines.
const MOST: usize = 1000;

/// What a proxy put on record as it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOnRecord {
    /// Accessor of the token that it named before it was let on to a credential.
    pub token_accessor: String,
    /// Why it ended, in one word.
    pub reason: String,
    /// What it proved.
    pub proofs: Vec<ProofLine>,
}

/// Why nobody knows what proxies put on record.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The log.
    #[error(transparent)]
    Log(#[from] CannotAsk),
    /// Its tree.
    #[error(transparent)]
    Tree(#[from] Unread),
    /// It says otherwise than it signed.
    #[error("the end of a proxy is not where the audit log says that it is")]
    Forked(#[source] Forked),
}

/// The ends on record of those proxies of the grant that named these tokens, up to this checkpoint, as is proved of its tree. `None`: the log
/// has not looked up all that it has, or has something of them that its witness has not seen yet.
pub async fn read(
    log: &impl Log,
    grant: &str,
    accessors: &[&str],
    checkpoint: &Checkpoint,
) -> Result<Option<Vec<EndOnRecord>>, NotRead> {
    let path = |kind: &str| format!("v1/search?grant={grant}&kind={kind}&limit={MOST}");
    let owners: Found = log.asks(&path("owner")).await?;
    let ends: Found = log.asks(&path("end")).await?;
    if !owners.is_all_looked_up() || !ends.is_all_looked_up() {
        return Ok(None);
    }
    let mut tree = Tree::of(log, checkpoint);
    let mut all = Vec::new();
    for accessor in accessors {
        let Some(owner) = Named::first(grant, accessor, &owners) else { continue };
        let Some(end) = Ended::first(&owner.stream, &ends) else { continue };
        for (index, leaf) in [(owner.told.index, owner.told.leaf()), (end.told.index, end.told.leaf())] {
            if index >= checkpoint.size {
                return Ok(None);
            }
            if !tree.has(index, leaf).await? {
                return Err(NotRead::Forked(Forked::Another { index }));
            }
        }
        all.push(end.of(accessor));
    }
    Ok(Some(all))
}

/// That a proxy named a token.
struct Named<'a> {
    told: &'a Told,
    stream: StreamName,
}

impl<'a> Named<'a> {
    /// By the first proxy that did: it was on record before the operator confirmed it, and nobody else knew of it. A later one of the same grant
    /// would speak for one that is not its own.
    fn first(grant: &str, accessor: &str, owners: &'a Found) -> Option<Self> {
        let of = |told: &'a Told| {
            let record = told.record()?;
            let is_of_grant = record.stream.grant().is_some_and(|own| own.as_str() == grant);
            let What::Owner(owner) = record.what else { return None };
            (is_of_grant && owner.accessor == accessor).then_some(Self { told, stream: record.stream })
        };
        owners.records.iter().filter_map(of).min_by_key(|named| named.told.index)
    }
}

/// That a proxy has ended.
struct Ended<'a> {
    told: &'a Told,
    proofs: Proofs,
}

impl<'a> Ended<'a> {
    fn first(stream: &StreamName, ends: &'a Found) -> Option<Self> {
        let of = |told: &'a Told| {
            let record = told.record().filter(|record| record.stream == *stream)?;
            let What::Proofs(proofs) = record.what else { return None };
            Some(Self { told, proofs })
        };
        ends.records.iter().filter_map(of).min_by_key(|ended| ended.told.index)
    }

    fn of(self, accessor: &str) -> EndOnRecord {
        let Proofs { items, reason } = self.proofs;
        let line = |item: record::kinds::proxy::ProofItem| {
            let outcome = match item.state {
                State::Proved => Outcome::Proved,
                State::Open => Outcome::Open,
                State::Unprovable => Outcome::Unprovable,
            };
            ProofLine { item: item.item, outcome: outcome.word().to_owned(), detail: item.how }
        };
        let proofs = items.into_iter().map(line).collect();
        EndOnRecord { token_accessor: accessor.to_owned(), reason, proofs }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use record::kinds::proxy::{Open, Owner, ProofItem};
    use record::{About, Chain, RunId, Time, Uid};
    use serde_json::{Value, json};

    use super::super::faked::FakeLog;
    use super::*;

    const GRANT: &str = "0b9a2f0e-0000-4000-8000-000000000001";

    /// The records of a proxy that named this token, and ended or did not.
    fn life(run: u8, accessor: &str, proved: Option<&str>) -> Vec<Vec<u8>> {
        let grant: Uid = GRANT.parse().unwrap();
        let mut chain = Chain::new(StreamName::Proxy { grant, run: RunId([run; 8]) });
        let at = Time::from_micros(1_767_268_800_000_000).unwrap();
        let open = What::Open(Open {
            database: "orders".into(),
            name: "look-1".into(),
            namespace: "shop".into(),
            pod: None,
            release: "0.1.0".into(),
            user: "requester".into(),
        });
        let owner = What::Owner(Owner { accessor: accessor.into() });
        let end = proved.map(|how| {
            let (item, state) = ("sockets".to_owned(), State::Proved);
            let items = vec![ProofItem { how: how.into(), item, state }];
            What::Proofs(Proofs { items, reason: "Revoked".into() })
        });
        let mut next = |what| chain.next(at, About::default(), what).unwrap().text;
        [Some(open), Some(owner), end].into_iter().flatten().map(&mut next).collect()
    }

    /// A log of these lives, in which it finds what is there.
    fn log(lives: &[Vec<Vec<u8>>]) -> FakeLog {
        let mut log = FakeLog::begun();
        log.others(300);
        lives.iter().flatten().for_each(|leaf| log.entries.push(leaf.clone()));
        log.others(5);
        finds(&mut log, true);
        log
    }

    fn finds(log: &mut FakeLog, is_all: bool) {
        for kind in ["owner", "end"] {
            let told = |(index, leaf): (usize, &Vec<u8>)| {
                let record: Value = serde_json::from_slice(leaf).ok()?;
                (record["kind"] == kind).then(|| json!({"index": index, "record": record}))
            };
            let records: Vec<Value> = log.entries.iter().enumerate().filter_map(told).collect();
            let size = log.entries.len();
            let answer = json!({"records": records, "indexed": size - usize::from(!is_all), "size": size});
            let path = format!("v1/search?grant={GRANT}&kind={kind}&limit={MOST}");
            log.answers.insert(path, answer.to_string().into_bytes());
        }
    }

    async fn proved(log: &FakeLog, checkpoint: &Checkpoint) -> Option<Vec<(String, String)>> {
        let ends = read(log, GRANT, &["a1", "a2"], checkpoint).await.unwrap();
        let pair = |end: EndOnRecord| (end.token_accessor, end.proofs[0].detail.clone());
        ends.map(|ends| ends.into_iter().map(pair).collect())
    }

    fn pairs(of: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(of.iter().map(|(accessor, how)| ((*accessor).to_owned(), (*how).to_owned())).collect())
    }

    #[tokio::test]
    async fn an_end_on_record_is_that_of_the_proxy_that_named_the_token_first() {
        let lives =
            [life(1, "a1", Some("by the first")), life(2, "a2", None), life(3, "a1", Some("by another"))];
        let log = log(&lives);
        assert_eq!(proved(&log, &log.checkpoint()).await, pairs(&[("a1", "by the first")]));
        let ends = read(&log, GRANT, &["a2"], &log.checkpoint()).await.unwrap();
        assert_eq!(ends, Some(Vec::new()), "it was killed");
        let elsewhere = read(&log, "0b9a2f0e-0000-4000-8000-000000000002", &[], &log.checkpoint()).await;
        assert!(elsewhere.is_err(), "nothing is asked but for this grant: {elsewhere:?}");
    }

    #[tokio::test]
    async fn one_who_names_the_token_of_another_does_not_prove_its_end() {
        let log = log(&[life(1, "a1", None), life(2, "a1", Some("by another"))]);
        assert_eq!(proved(&log, &log.checkpoint()).await, pairs(&[]));
    }

    #[tokio::test]
    async fn what_is_not_looked_up_or_not_witnessed_yet_is_not_known() {
        let mut log = log(&[life(1, "a1", Some("seen"))]);
        let whole = log.checkpoint();
        finds(&mut log, false);
        assert_eq!(proved(&log, &whole).await, None, "the index is behind");
        finds(&mut log, true);
        assert_eq!(proved(&log, &whole).await, pairs(&[("a1", "seen")]));
        let before = FakeLog { entries: log.entries[..303].to_vec(), ..FakeLog::default() }.checkpoint();
        assert_eq!(proved(&log, &before).await, None, "its witness has not seen the end");
    }

    #[tokio::test]
    async fn an_end_that_is_not_in_the_tree_proves_nothing_and_convicts_the_log() {
        let mut log = log(&[life(1, "a1", Some("seen"))]);
        // Its tree has that the proxy was killed.
        log.entries[303] = b"something else".to_vec();
        let read = read(&log, GRANT, &["a1"], &log.checkpoint()).await;
        assert!(matches!(read, Err(NotRead::Forked(Forked::Another { index: 303 }))), "{read:?}");
    }
}
