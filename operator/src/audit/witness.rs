//! The leading operator as a witness of the audit log: it looks every ten seconds, and after each receipt, whether the log has grown out of
//! what it saw before, and signs what it sees (C2SP tlog-cosignature). A log that shows another past gets no signature, and nothing is opened
//! until a person says how it goes on; nor is anything opened while the log cannot be looked at, or does not show a record of the operator's
//! own that it acknowledged.
//!
//! Which past the log has had is known from the ConfigMap when a leader begins, and from then on by what it saw itself: a ConfigMap that is
//! changed or deleted while all is well is written again.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::admission::{LOG_ANCHOR, LOG_WITNESS};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use record::kinds::operator::Witness;
use record::{Count, Record, What};
use tlog::{Algorithm, Bundle, Checkpoint, Hash, Holds, Note, Range, Signer, TileName, VerifierKey};
use tokio::time::{Instant, sleep};

use super::anchor::{Anchor, Forked, has_grown, is_longer, note_fork, signed};
use super::facts::Fact;
use super::figures::RecordFigures;
use super::memory::{Before, Lack, Memory, Own, Pace};
use super::streams::{CannotAsk, Found, Log, Reader, Told};
use super::tree::{Sighting, Tree, Unread};
use super::{NotOnRecord, Records};
use crate::clock::now;
use crate::context::Context;
use crate::pki::log::SEED;
use access::chain;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// How soon it is looked at again when it could not be seen: what opens something waits for that.
const AGAIN: Duration = Duration::from_secs(1);

/// How the log is asked for its keys: it names them at each start, so these are the first of them that it still has.
const NAMED: &str = "v1/search?kind=key&limit=500";

/// The most tiles in which a look seeks a record: of 262,144 records. The next one goes on there.
const MOST: u64 = 1024;

/// The name of the witness's key.
const NAME: &str = "keyhole.internal/witness";

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    /// The log shows another past.
    #[error(transparent)]
    Forked(#[from] Forked),
    /// The API server.
    #[error("cannot read or write ConfigMap keyhole-log-anchor or Secret keyhole-witness")]
    Api(#[source] kube::Error),
    /// The log.
    #[error("cannot read the audit log")]
    Log(#[from] CannotAsk),
    /// What it answered is not what it signed.
    #[error("the audit log's files are not those of its checkpoint: {0}")]
    Files(&'static str),
    /// What it acknowledged does not come into its tree.
    #[error("the audit log acknowledged a record of this operator that its tree of {size} does not have")]
    Behind {
        /// How many records the tree has.
        size: u64,
    },
    /// It does not take the record of what is trusted.
    #[error("what is trusted of the audit log is not on record")]
    Record(#[source] NotOnRecord),
    /// The witness's own key.
    #[error("Secret keyhole-witness does not hold a key: delete it, and another is made")]
    Key,
}

impl From<Unread> for Unseen {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Log(error) => Self::Log(error),
            Unread::Files(what) => Self::Files(what),
        }
    }
}

impl Unseen {
    /// Whether what the log shows or says cannot be: then what was seen before counts no more. Whatever else kept a look from being made says
    /// nothing against the log. One that cannot be reached lets nothing be opened by that alone, for it acknowledges nothing; and where it
    /// is only its answers that do not come, one that is lost must not stop everybody's work.
    fn contradicts(&self) -> bool {
        match self {
            Self::Forked(_) | Self::Files(_) | Self::Behind { .. } => true,
            Self::Log(error) => error.is_wrong_answer(),
            Self::Api(_) | Self::Record(_) | Self::Key => false,
        }
    }
}

/// Looks until dropped.
pub async fn run(context: &Context) {
    let (mut memory, mut unseen) = (Memory::default(), String::new());
    loop {
        let began = Instant::now();
        let looked = look(context, &mut memory).await;
        heed(&context.records, began, &looked);
        let next = match looked {
            Ok(_) => {
                context.metrics.records.ahead_of_witness(0);
                unseen.clear();
                EVERY
            }
            Err(Unseen::Forked(forked)) => {
                context.metrics.failed(NotOnRecord::Forked.reason().word());
                tracing::error!(%forked, "nothing is opened: the audit log shows another past than before");
                EVERY
            }
            Err(error) => {
                context.metrics.failed("Witness");
                let error = chain(&error);
                if error != unseen {
                    tracing::warn!(error, "the audit log is not witnessed");
                    unseen = error;
                }
                AGAIN
            }
        };
        tokio::select! {
            () = sleep(next) => {}
            () = context.records.has_settled() => {}
        }
    }
}

/// What may be opened after a look that began then.
fn heed(records: &Records, began: Instant, looked: &Result<Checkpoint, Unseen>) {
    match looked {
        Ok(checkpoint) => records.witnessed(began, checkpoint.clone()),
        Err(unseen) if unseen.contradicts() => records.doubts(),
        Err(_) => {}
    }
}

/// One look: up to where the log has the past that it had.
async fn look(context: &Context, memory: &mut Memory) -> Result<Checkpoint, Unseen> {
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.config.namespace);
    let held = maps.get_opt(LOG_ANCHOR).await.map_err(Unseen::Api)?;
    let data = held.as_ref().map(|map| map.data.clone().unwrap_or_default());
    let witness = witness(context).await?;
    if let Some(forked) = context.records.convicted() {
        memory.forks(forked);
    }
    let seen = match memory.before(data.as_ref(), witness.verifier()) {
        Ok(before) => {
            let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
            let sight = Sight { log: &reader, figures: &context.metrics.records, witness: &witness };
            let own = || context.records.own();
            sight.sees(&before, &mut memory.pace, own).await.map(|anchor| (before, anchor))
        }
        Err(forked) => Err(forked.into()),
    };
    match seen {
        Ok((before, anchor)) => {
            if before.is_new {
                memory.owes = Some(met(&anchor, before.anchor.as_ref()));
            }
            let (data, checkpoint) = (anchor.write(witness.verifier()), anchor.checkpoint.clone());
            memory.sees(anchor);
            // Whom it trusts anew is on record before anybody can go by it.
            if let Some(fact) = &memory.owes {
                context.records.put(LOG_ANCHOR, vec![fact.clone()]).await.map_err(Unseen::Record)?;
                memory.owes = None;
            }
            write(&maps, held, data).await.map_err(Unseen::Api)?;
            Ok(checkpoint)
        }
        Err(Unseen::Forked(forked)) => {
            context.records.forks();
            let own = memory.forks(forked.clone()).map(|anchor| anchor.write(witness.verifier()));
            let mut data = own.or(data).unwrap_or_default();
            note_fork(&mut data, &forked);
            write(&maps, held, data).await.map_err(Unseen::Api)?;
            memory.told();
            Err(Unseen::Forked(forked))
        }
        Err(unseen) => Err(unseen),
    }
}

/// What is looked at, and by whom.
struct Sight<'a, L> {
    log: &'a L,
    figures: &'a RecordFigures,
    witness: &'a Signer,
}

impl<L: Log> Sight<'_, L> {
    /// What is to be kept of the log as it is now, where it has grown out of what was before, and shows what it acknowledged. `own`: this
    /// leader's own records, asked for when the tree has been seen.
    async fn sees(
        &self,
        before: &Before,
        pace: &mut Pace,
        own: impl FnOnce() -> Own,
    ) -> Result<Anchor, Unseen> {
        let anchor = self.grown(before).await?;
        // What is met as it is may be shorter than what was seen before.
        if before.anchor.is_none() {
            *pace = Pace::default();
        }
        self.shows(&anchor.checkpoint, pace, own()).await?;
        Ok(anchor)
    }

    async fn grown(&self, before: &Before) -> Result<Anchor, Unseen> {
        let Self { log, figures, witness } = *self;
        let mut note = log.note().await?;
        let keys = match &before.anchor {
            Some(anchor) => anchor.keys.clone(),
            None => first_keys(log, &note).await?,
        };
        let checkpoint = signed(&note, &keys)?;
        let seen = before.anchor.as_ref().map_or(0, |anchor| anchor.checkpoint.size);
        figures.ahead_of_witness(checkpoint.size.saturating_sub(seen));
        let time = u64::try_from(now().as_second()).unwrap_or_default();
        note.add(witness.sign(note.text(), time));
        let Some(anchor) = &before.anchor else {
            return Ok(Anchor::first(keys, (checkpoint, note.to_string()), witness, time)?);
        };
        if anchor.checkpoint == checkpoint && anchor.is_signed_by(witness.verifier()) {
            return Ok(anchor.clone());
        }
        let old = &anchor.checkpoint;
        is_longer(old, &checkpoint)?;
        has_grown(old, &checkpoint, &Tree::of(log, &checkpoint).growth(old.size).await?)?;
        Ok(anchor.clone().grown((checkpoint, note.to_string()), witness, time)?)
    }

    /// Has one record of the operator's own shown in this tree, at the most. It costs the tile of hashes that has it, those before it since
    /// the last look (8 KiB for 256 records each), and those above it.
    async fn shows(&self, checkpoint: &Checkpoint, pace: &mut Pace, own: Own) -> Result<(), Unseen> {
        let (now, size) = (Instant::now(), checkpoint.size);
        let Some(sought) = pace.seeks(now, size, own) else { return Ok(()) };
        let mut tree = Tree::of(self.log, checkpoint);
        match tree.find(sought.leaf, sought.from, MOST).await? {
            Sighting::At(index) if tree.has(index, sought.leaf).await? => pace.shows(sought, index),
            Sighting::At(_) => return Err(Unseen::Files("a hash of no leaf")),
            Sighting::NoneBelow(index) => match pace.lacks(sought, now, index) {
                Lack::OnItsWay => {}
                Lack::Late => return Err(Unseen::Behind { size }),
                Lack::Lost => return Err(Forked::Lost { size }.into()),
            },
        }
        Ok(())
    }
}

/// What this leader vouches for from now on, and what it knew of it.
fn met(anchor: &Anchor, before: Option<&Anchor>) -> Fact {
    let Checkpoint { origin, size, root } = &anchor.checkpoint;
    if before.is_none() {
        tracing::warn!(%origin, size, "the audit log is met first: what it has is trusted as it is");
    }
    let what = What::Witness(Witness {
        keys: anchor.keys.iter().map(ToString::to_string).collect(),
        knew: before.map(|before| Count::of(before.checkpoint.size)),
        origin: origin.to_string(),
        root: *root,
        size: Count::of(*size),
    });
    Fact::of_log(origin.as_str(), what)
}

/// With the version that was read: another leader's look is not undone.
async fn write(
    maps: &Api<ConfigMap>,
    held: Option<ConfigMap>,
    data: BTreeMap<String, String>,
) -> kube::Result<()> {
    let data = Some(data);
    let written = match held {
        Some(map) if map.data == data => return Ok(()),
        Some(map) => maps.replace(LOG_ANCHOR, &PostParams::default(), &ConfigMap { data, ..map }).await,
        None => {
            let metadata = ObjectMeta { name: Some(LOG_ANCHOR.to_owned()), ..ObjectMeta::default() };
            maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..ConfigMap::default() }).await
        }
    };
    written.map(drop)
}

async fn witness(context: &Context) -> Result<Signer, Unseen> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.config.namespace);
    let secret = secrets.get(LOG_WITNESS).await.map_err(Unseen::Api)?;
    let seed = secret.data.as_ref().and_then(|data| data.get(SEED)).ok_or(Unseen::Key)?;
    signer(&seed.0).ok_or(Unseen::Key)
}

/// The key from the line that `pki::log` writes.
fn signer(line: &[u8]) -> Option<Signer> {
    let seed = STANDARD.decode(line.trim_ascii_end()).ok()?;
    let seed: &[u8; 32] = seed.as_slice().try_into().ok()?;
    Signer::new(NAME.parse().ok()?, Algorithm::Cosignature, seed).ok()
}

/// The keys that the log names in its first records, when it is met first. From then on they are known.
/// That those records are the log's first is proved by its checkpoint. Of a log that was pruned they are gone: there it is those that it
/// has named since, as it does at each start and each time that it is pruned.
async fn first_keys(log: &impl Log, note: &Note) -> Result<Vec<VerifierKey>, Unseen> {
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| Unseen::Files("no checkpoint"))?;
    let name = TileName::in_tree(Holds::Entries, 0, checkpoint.size).ok_or(Unseen::Files("no entries"))?;
    let Some(bytes) = log.get(&name.to_string()).await? else {
        return Ok(named(log.asks(NAMED).await?));
    };
    let bundle = Bundle::parse(name, &bytes).map_err(|_| Unseen::Files("no bundle"))?;
    let key = |entry: &&[u8]| match Record::decode(entry).ok()?.what {
        What::Key(key) => key.verifier.parse().ok(),
        _ => None,
    };
    let mut range = Range::default();
    for entry in bundle.entries() {
        range.push(Hash::of_leaf(entry), |_, _| {}).map_err(|_| Unseen::Files("no tree"))?;
    }
    let first = Checkpoint { origin: checkpoint.origin.clone(), size: range.size(), root: range.root() };
    has_grown(&first, &checkpoint, &Tree::of(log, &checkpoint).growth(first.size).await?)?;
    Ok(bundle.entries().iter().filter_map(key).collect())
}

/// The keys that these records name, each once.
fn named(found: Found) -> Vec<VerifierKey> {
    let mut keys: Vec<VerifierKey> = Vec::new();
    for record in found.records.iter().filter_map(Told::record) {
        if let What::Key(key) = record.what
            && let Ok(key) = key.verifier.parse()
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use record::kinds::operator::Killed;
    use record::{About, Chain, StreamName, Time};
    use reqwest::{Client, StatusCode};
    use tokio::time::advance;

    use super::super::faked::FakeLog;
    use super::*;

    /// Whether the next thing may be opened right after a look that failed so.
    fn opens_after(unseen: Unseen) -> bool {
        let records = Records::default();
        records.witnessed(Instant::now(), checkpoint());
        assert!(records.is_witnessed());
        heed(&records, Instant::now(), &Err(unseen));
        records.is_witnessed()
    }

    fn checkpoint() -> Checkpoint {
        FakeLog::default().checkpoint()
    }

    #[test]
    fn an_answer_that_cannot_be_ends_what_an_earlier_look_allowed() {
        let refused = |status| Unseen::Log(CannotAsk::Refused(status));
        for unseen in [
            Unseen::Forked(Forked::Unsigned),
            Unseen::Forked(Forked::Smaller { now: 1, before: 2 }),
            Unseen::Forked(Forked::Rewritten { now: 2, before: 1 }),
            Unseen::Files("no tile"),
            Unseen::Behind { size: 1 },
            Unseen::Log(CannotAsk::Answer),
            refused(StatusCode::GONE),
            refused(StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let what = format!("{unseen:?}");
            assert!(!opens_after(unseen), "{what}");
        }
    }

    #[test]
    fn a_look_that_could_not_be_made_says_nothing_against_the_log() {
        let unreachable = Client::new().get("no address").build().unwrap_err();
        for unseen in [
            Unseen::Log(CannotAsk::Unreachable(unreachable)),
            Unseen::Log(CannotAsk::Name(std::io::ErrorKind::NotFound.into())),
            Unseen::Log(CannotAsk::Refused(StatusCode::SERVICE_UNAVAILABLE)),
            Unseen::Api(kube::Error::LinesCodecMaxLineLengthExceeded),
            Unseen::Record(NotOnRecord::Away),
            Unseen::Key,
        ] {
            let what = format!("{unseen:?}");
            assert!(opens_after(unseen), "{what}");
        }
    }

    #[test]
    fn a_log_that_is_seen_well_again_is_gone_by_again() {
        let records = Records::default();
        heed(&records, Instant::now(), &Err(Unseen::Behind { size: 1 }));
        assert!(!records.is_witnessed());
        heed(&records, Instant::now(), &Ok(checkpoint()));
        assert!(records.is_witnessed());
    }

    /// This leader's stream: so many records, of which the fourth says this.
    fn stream(count: u64, fourth: &str) -> (Vec<Vec<u8>>, Own) {
        let mut chain = Chain::new(StreamName::Operator { term: Count::of(3) });
        let mut next = |n: u64| {
            let why = if n == 3 { fourth } else { "it does not answer" };
            let what = What::Killed(Killed { pod: "look".into(), why: why.into() });
            let at = Time::from_micros(1_767_268_800_000_000).unwrap();
            chain.next(at, About::default(), what).unwrap().text
        };
        let texts = (0..count).map(&mut next).collect();
        (texts, Own { handed_over: chain.head().count, acknowledged: chain.head() })
    }

    /// A leader as the witness of a log.
    struct Leader {
        log: FakeLog,
        memory: Memory,
        own: Own,
    }

    impl Leader {
        /// It has seen a log that has the first three of its records.
        async fn begun() -> Self {
            let (texts, own) = stream(3, "");
            let mut leader = Self { log: FakeLog::begun(), memory: Memory::default(), own };
            leader.log.entries.extend(texts);
            leader.signs().await.unwrap();
            leader
        }

        /// The size that it signs in a look.
        async fn signs(&mut self) -> Result<u64, Unseen> {
            let witness = Signer::new(NAME.parse().unwrap(), Algorithm::Cosignature, &[3; 32]).unwrap();
            let before = self.memory.before(None, witness.verifier())?;
            let sight = Sight { log: &self.log, figures: &RecordFigures::default(), witness: &witness };
            let anchor = sight.sees(&before, &mut self.memory.pace, || self.own).await?;
            let size = anchor.checkpoint.size;
            self.memory.sees(anchor);
            Ok(size)
        }

        /// The log acknowledges three more of its records, and has these in its tree.
        fn writes(&mut self, true_ones: &(Vec<Vec<u8>>, Own), in_the_tree: &[Vec<u8>]) {
            self.own = true_ones.1;
            self.log.entries.extend_from_slice(in_the_tree);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_shows_other_records_than_it_acknowledged_is_not_signed_any_more() {
        let truth = stream(6, "it went on");
        let (forged, _) = stream(6, "it did as it was told");
        for (tree, is_true) in [(&truth.0, true), (&forged, false)] {
            let mut leader = Leader::begun().await;
            leader.writes(&truth, &tree[3..]);
            let mut size = 0;
            for _ in 0..3 {
                // Others write, too: by its size the tree has everything.
                leader.log.others(700);
                size = leader.signs().await.unwrap_or(0);
                advance(EVERY).await;
            }
            let last = leader.signs().await;
            assert_eq!(last.is_ok(), is_true, "{last:?} behind {size}");
            leader.log.others(9);
            advance(AGAIN).await;
            let last = leader.signs().await;
            assert_eq!(last.is_ok(), is_true, "{last:?}");
            if let Err(unseen) = last {
                assert!(matches!(unseen, Unseen::Behind { .. }), "{unseen:?}");
                assert!(!opens_after(unseen));
                // Whoever leads next did not write those records: so it is kept that the log has shown another past.
                let mut looks = 0;
                while !matches!(leader.signs().await, Err(Unseen::Forked(Forked::Lost { .. }))) {
                    looks += 1;
                    assert!(looks < 400);
                    advance(AGAIN).await;
                }
                assert!(looks > 200, "{looks}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_that_leads_to_no_root_shows_nothing() {
        let (_, truth) = stream(6, "it went on");
        let mut leader = Leader::begun().await;
        leader.log.entries.extend_from_slice(&stream(6, "it did as it was told").0[3..]);
        leader.own.handed_over = truth.handed_over;
        let size = leader.signs().await.unwrap();
        // The tile has the true hash, in a tree of false ones that was signed already.
        let name = TileName::in_tree(Holds::Hashes(0), 0, size).unwrap();
        let mut tile = leader.log.tile(name).await.unwrap();
        tile[Hash::LEN * 6..Hash::LEN * 7].copy_from_slice(&truth.acknowledged.last.unwrap().0);
        leader.log.answers.insert(name.to_string(), tile);
        leader.own = truth;
        let unseen = leader.signs().await.unwrap_err();
        assert!(matches!(unseen, Unseen::Files(_)), "{unseen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn to_have_a_record_shown_costs_few_files_however_large_the_log_is() {
        let truth = stream(6, "it went on");
        let mut leader = Leader::begun().await;
        leader.log.others(20_000);
        leader.signs().await.unwrap();
        leader.writes(&truth, &truth.0[3..]);
        leader.log.others(500);
        leader.log.asked.lock().unwrap().clear();
        leader.signs().await.unwrap();
        let asked = leader.log.asked.lock().unwrap().clone();
        assert!(asked.len() <= 8, "{asked:?}");
        leader.log.asked.lock().unwrap().clear();
        leader.signs().await.unwrap();
        assert_eq!(*leader.log.asked.lock().unwrap(), ["checkpoint"], "it was shown, and nothing is new");
    }

    #[test]
    fn the_key_that_is_made_is_the_key_that_is_read() {
        let data = crate::pki::log::key(SEED).unwrap();
        let read = signer(&data[SEED].0).unwrap();
        assert_eq!(read.verifier().name().as_str(), NAME);
        assert!(signer(b"short").is_none());
    }
}
