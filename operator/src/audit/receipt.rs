//! Where the audit log has the receipt of a grant that has ended. Asked when all else is over, for nothing waits for it: a record has its place
//! when the witness has seen a tree that has it, some ten seconds after its acknowledgement. A leader that ends forgets whom it owed that; the
//! log can still be asked.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::{AccessGrant, CountedStreamStatus, ReceiptRecordStatus};
use kube::Api;
use kube::api::PostParams;
use kube::runtime::reflector::ObjectRef;
use record::What;
use record::kinds::operator::Stream;
use tlog::{Checkpoint, Hash};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::anchor::Forked;
use super::facts::of_receipt;
use super::streams::{CannotAsk, Found, Log, Reader, Told};
use super::tree::{Tree, Unread};
use crate::context::Context;

/// How long after its end the place of a grant's receipt is looked for.
const SOUGHT: Duration = Duration::from_secs(600);

/// How soon it is looked for, and how long is waited at most until it is looked for again.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(30);

/// The most grants whose receipts are looked for.
const MOST: usize = 20_000;

/// How many receipts of one grant are looked at. Leaders that followed each other may each have written the same one.
const SEVERAL: usize = 10;

/// Grants whose receipt is on record, and whose statuses do not say yet where.
#[derive(Default)]
pub struct Unplaced {
    /// The next to be looked at first.
    waiting: Mutex<VecDeque<Seeks>>,
    more: Notify,
}

#[derive(Clone)]
struct Seeks {
    grant: ObjectRef<AccessGrant>,
    since: Instant,
    next: Instant,
}

impl Unplaced {
    /// Takes in a grant that is settled. What is over more than can be kept is left without its place: whoever wants it asks the log.
    pub fn take(&self, grant: &AccessGrant) {
        let now = Instant::now();
        let seeks = Seeks { grant: ObjectRef::from_obj(grant), since: now, next: after(now, Duration::ZERO) };
        let mut waiting = self.locked();
        if waiting.len() < MOST {
            waiting.push_back(seeks);
            self.more.notify_one();
        }
    }

    /// Those whose turn it is.
    fn due(&self, now: Instant) -> Vec<Seeks> {
        let mut waiting = self.locked();
        let (due, later) = waiting.drain(..).partition(|seeks: &Seeks| seeks.next <= now);
        *waiting = later;
        Vec::from(due)
    }

    /// It is looked for again, later and later, unless that was done for long enough.
    fn again(&self, seeks: Seeks, now: Instant) {
        let sought = now.duration_since(seeks.since);
        if sought < SOUGHT {
            self.locked().push_back(Seeks { next: after(now, sought), ..seeks });
        }
    }

    fn next(&self) -> Option<Instant> {
        self.locked().iter().map(|seeks| seeks.next).min()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Seeks>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long again as it was sought, within bounds.
fn after(now: Instant, sought: Duration) -> Instant {
    now.checked_add(sought.clamp(SOON, LATE)).unwrap_or(now)
}

/// Says where receipts are, until dropped.
pub async fn run(context: &Context) {
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    loop {
        match context.unplaced.next() {
            Some(next) => sleep_until(next).await,
            None => context.unplaced.more.notified().await,
        }
        for seeks in context.unplaced.due(Instant::now()) {
            match says(context, &reader, &seeks.grant).await {
                Ok(true) => {}
                Ok(false) => context.unplaced.again(seeks, Instant::now()),
                Err(error) => {
                    if let NotSaid::Forked(forked) = &error {
                        context.records.convicts(forked.clone());
                    }
                    tracing::warn!(grant = %seeks.grant, error = %access::chain(&error), "nobody knows where the audit log has a receipt");
                    context.unplaced.again(seeks, Instant::now());
                }
            }
        }
    }
}

/// Why it is not said.
#[derive(Debug, thiserror::Error)]
enum NotSaid {
    #[error("cannot read the grant, or write its status")]
    Api(#[source] kube::Error),
    #[error(transparent)]
    Log(#[from] CannotAsk),
    #[error(transparent)]
    Tree(#[from] Unread),
    #[error("the receipt is not where the audit log says that it is")]
    Forked(#[source] Forked),
}

/// Whether nothing is left to be said.
async fn says(context: &Context, reader: &Reader<'_>, of: &ObjectRef<AccessGrant>) -> Result<bool, NotSaid> {
    let namespace = of.namespace.as_deref().unwrap_or_default();
    let grants: Api<AccessGrant> = Api::namespaced(context.client.clone(), namespace);
    let Some(mut grant) = grants.get_opt(&of.name).await.map_err(NotSaid::Api)? else { return Ok(true) };
    if grant.status.as_ref().is_none_or(|status| !status.settled || status.receipt_record.is_some()) {
        return Ok(true);
    }
    let Some(checkpoint) = context.records.checkpoint() else { return Ok(false) };
    let Some(place) = place(reader, &grant, &checkpoint).await? else { return Ok(false) };
    if let Some(status) = &mut grant.status {
        status.receipt_record = Some(place);
    }
    // With the version that was read.
    let written = grants.replace_status(&of.name, &PostParams::default(), &grant).await;
    written.map(|_| true).map_err(NotSaid::Api)
}

/// Where the log has it, up to this checkpoint, as is proved of its tree; `None`, where it has none yet. What the log answers is where to look.
/// The record names the one before it, and so the operator's whole stream, and the last of each proxy, and so theirs.
async fn place(
    log: &impl Log,
    grant: &AccessGrant,
    checkpoint: &Checkpoint,
) -> Result<Option<ReceiptRecordStatus>, NotSaid> {
    let Some(uid) = of_receipt(grant).into_iter().find_map(|fact| fact.grant) else { return Ok(None) };
    let path = format!("v1/search?grant={uid}&kind=receipt&limit={SEVERAL}");
    let found: Found = log.asks(&path).await?;
    let Some((leaf, place)) = placed(grant, &found, checkpoint) else { return Ok(None) };
    match Tree::of(log, checkpoint).has(place.index, leaf).await? {
        true => Ok(Some(place)),
        false => Err(NotSaid::Forked(Forked::Another { index: place.index })),
    }
}

/// The first record that says what the grant's status says, where the checkpoint has it.
fn placed(
    grant: &AccessGrant,
    found: &Found,
    checkpoint: &Checkpoint,
) -> Option<(Hash, ReceiptRecordStatus)> {
    let fact = of_receipt(grant).pop()?;
    let of = |told: &Told| {
        let record = told.record().filter(|_| told.index < checkpoint.size)?;
        let is_this = record.grant == fact.grant && record.what == fact.what;
        let What::Receipt(receipt) = record.what else { return None };
        let (leaf, origin) = (told.leaf(), checkpoint.origin.to_string());
        let streams = receipt.streams.iter().map(counted).collect();
        is_this.then(|| {
            (leaf, ReceiptRecordStatus { origin, index: told.index, leaf: leaf.to_string(), streams })
        })
    };
    found.records.iter().find_map(of)
}

fn counted(stream: &Stream) -> CountedStreamStatus {
    let Stream { count, head, stream } = stream;
    CountedStreamStatus { stream: stream.to_string(), count: count.get(), head: head.to_string() }
}

#[cfg(test)]
mod tests {
    use record::{About, Chain, Count, StreamName, Time};
    use serde_json::json;
    use tlog::Hash;

    use super::super::faked::FakeLog;
    use super::*;
    use crate::grant::plan::tests_grant;

    /// A grant that has ended, with a stream that the log has whole and one that it has not.
    fn ended() -> AccessGrant {
        let mut grant = tests_grant();
        let lease = |number: u64, acknowledged: u64| {
            json!({
                "podUid": format!("pod-{number}"), "tokenAccessor": format!("a{number}"), "record": {
                    "stream": format!("g1/000000000000000{number}"), "count": 7,
                    "head": Hash::of_leaf(b"x").to_string(), "acknowledged": acknowledged
                }
            })
        };
        grant.status = Some(
            serde_json::from_value(json!({
                "phase": "Ended", "endReason": "Revoked", "endingSince": "2026-01-01T12:10:00Z",
                "leases": [lease(1, 7), lease(2, 6)],
                "receipt": [{"item": "lease", "outcome": "Proved", "detail": "gone", "afterMillis": 240}]
            }))
            .unwrap(),
        );
        grant
    }

    fn leaf(grant: &AccessGrant, term: u64) -> Vec<u8> {
        let fact = of_receipt(grant).pop().unwrap();
        let about = About { grant: fact.grant, id: Some(fact.id) };
        let stream = StreamName::Operator { term: Count::of(term) };
        let at: jiff::Timestamp = "2026-01-01T12:10:01Z".parse().unwrap();
        Chain::new(stream).next(Time::from(at), about, fact.what).unwrap().text
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "keyhole.internal/log/0123456789abcdef".parse().unwrap(),
            size,
            root: Hash::of_nothing(),
        }
    }

    #[test]
    fn the_place_is_that_of_the_first_record_that_says_what_the_status_says() {
        let grant = ended();
        let mut other = ended();
        other.status.as_mut().unwrap().end_reason = Some("Expired".into());
        let told = |index: u64, leaf: Vec<u8>| -> Told {
            let record: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
            serde_json::from_value(json!({"index": index, "record": record})).unwrap()
        };
        let records = vec![told(40, leaf(&other, 1)), told(41, leaf(&grant, 2)), told(99, leaf(&grant, 3))];
        let found = Found { records, indexed: 100, size: 100 };
        let (_, place) = placed(&grant, &found, &checkpoint(100)).unwrap();
        assert_eq!((place.index, place.origin.as_str()), (41, "keyhole.internal/log/0123456789abcdef"));
        assert_eq!(place.leaf, Hash::of_leaf(&leaf(&grant, 2)).to_string());
        let counted: Vec<_> = place.streams.iter().map(|one| (one.stream.as_str(), one.count)).collect();
        assert_eq!(counted, [("g1/0000000000000001", 7)], "what the log has not whole is not counted");
        assert_eq!(placed(&grant, &found, &checkpoint(41)), None, "a place that no checkpoint has");
    }

    #[tokio::test]
    async fn a_place_is_where_the_tree_has_it_whatever_the_log_answers() {
        let grant = ended();
        let mut other = ended();
        other.status.as_mut().unwrap().end_reason = Some("Expired".into());
        let (receipt, forged) = (leaf(&grant, 2), leaf(&other, 2));
        let uid = of_receipt(&grant)[0].grant.clone().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
        let answer = |index: u64| json!({"records": [{"index": index, "record": record}]}).to_string();
        for (in_the_tree, told, expected) in [
            (&receipt, 303, Ok(Some(303))),
            (&receipt, 302, Err(302)),
            (&forged, 303, Err(303)),
            (&receipt, 310, Ok(None)),
        ] {
            let mut log = FakeLog::begun();
            log.others(302);
            log.entries.push(in_the_tree.clone());
            log.others(6);
            let path = format!("v1/search?grant={uid}&kind=receipt&limit={SEVERAL}");
            log.answers.insert(path, answer(told).into_bytes());
            let found = match place(&log, &grant, &log.checkpoint()).await {
                Ok(place) => Ok(place.map(|place| place.index)),
                Err(NotSaid::Forked(Forked::Another { index })) => Err(index),
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(found, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_looked_for_later_and_later_and_not_for_ever() {
        let unplaced = Unplaced::default();
        unplaced.take(&ended());
        let began = Instant::now();
        assert!(unplaced.due(began).is_empty(), "it has none before its tree is made");
        let mut looks = 0;
        while let Some(next) = unplaced.next() {
            sleep_until(next).await;
            for seeks in unplaced.due(Instant::now()) {
                looks += 1;
                unplaced.again(seeks, Instant::now());
            }
        }
        assert!(began.elapsed() >= SOUGHT && began.elapsed() <= SOUGHT + LATE, "{:?}", began.elapsed());
        assert!((10..40).contains(&looks), "{looks}");
    }
}
