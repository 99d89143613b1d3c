//! The leading operator as a witness of the audit log: it looks every ten seconds, and after each receipt, whether the log has grown out of
//! what it saw before, and signs what it sees (C2SP tlog-cosignature). A log that shows another past gets no signature, and nothing is opened
//! until a person says how it goes on; nor is anything opened while the log cannot be looked at.
//!
//! Which past the log has had is known from the ConfigMap when a leader begins, and from then on by what it saw itself: a ConfigMap that is
//! changed or deleted while all is well is written again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
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
use tlog::{
    Algorithm, Bundle, Checkpoint, Hash, Holds, NoProof, Note, Place, Range, Signer, Tile, TileName,
    VerifierKey, consistency,
};
use tokio::time::{Instant, sleep};

use super::anchor::{Anchor, Forked, has_grown, is_longer, note_fork, signed};
use super::facts::Fact;
use super::memory::{Before, Memory};
use super::streams::{CannotAsk, Reader};
use super::{NotOnRecord, Records};
use crate::clock::now;
use crate::context::Context;
use crate::pki::log::SEED;
use access::chain;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// How soon it is looked at again when it could not be seen: what opens something waits for that.
const AGAIN: Duration = Duration::from_secs(1);

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
    /// What it acknowledges does not come into its tree.
    #[error("the audit log acknowledges records of this operator that its tree of {size} does not have")]
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
            Ok(()) => {
                context.metrics.records.ahead_of_witness(0);
                unseen.clear();
                EVERY
            }
            Err(Unseen::Forked(forked)) => {
                context.metrics.failed("AuditForked");
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
fn heed(records: &Records, began: Instant, looked: &Result<(), Unseen>) {
    match looked {
        Ok(()) => records.witnessed(began),
        Err(unseen) if unseen.contradicts() => records.doubts(),
        Err(_) => {}
    }
}

/// One look.
async fn look(context: &Context, memory: &mut Memory) -> Result<(), Unseen> {
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.config.namespace);
    let held = maps.get_opt(LOG_ANCHOR).await.map_err(Unseen::Api)?;
    let data = held.as_ref().map(|map| map.data.clone().unwrap_or_default());
    let witness = witness(context).await?;
    let grown = match memory.before(data.as_ref(), witness.verifier()) {
        Ok(before) => grown(context, &before, &witness).await.map(|anchor| (before, anchor)),
        Err(forked) => Err(forked.into()),
    };
    match grown {
        Ok((before, anchor)) => {
            if before.is_new {
                memory.owes = Some(met(&anchor, before.anchor.as_ref()));
            }
            let (records, size) = (&context.records, anchor.checkpoint.size);
            let data = anchor.write(witness.verifier());
            memory.sees(anchor);
            if !memory.pace.keeps_up(Instant::now(), size, records.handed_over(), records.acknowledged()) {
                return Err(Unseen::Behind { size });
            }
            // Whom it trusts anew is on record before anybody can go by it.
            if let Some(fact) = &memory.owes {
                records.put(LOG_ANCHOR, vec![fact.clone()]).await.map_err(Unseen::Record)?;
                memory.owes = None;
            }
            write(&maps, held, data).await.map_err(Unseen::Api)
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

/// What is to be kept of the log as it is now, where it has grown out of what was before.
async fn grown(context: &Context, before: &Before, witness: &Signer) -> Result<Anchor, Unseen> {
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    let mut note = reader.note().await?;
    let keys = match &before.anchor {
        Some(anchor) => anchor.keys.clone(),
        None => first_keys(&reader, &note).await?,
    };
    let checkpoint = signed(&note, &keys)?;
    let seen = before.anchor.as_ref().map_or(0, |anchor| anchor.checkpoint.size);
    context.metrics.records.ahead_of_witness(checkpoint.size.saturating_sub(seen));
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
    has_grown(old, &checkpoint, &proof(&reader, old, &checkpoint).await?)?;
    Ok(anchor.clone().grown((checkpoint, note.to_string()), witness, time)?)
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
/// That those records are the log's first is proved by its checkpoint.
async fn first_keys(reader: &Reader<'_>, note: &Note) -> Result<Vec<VerifierKey>, Unseen> {
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| Unseen::Files("no checkpoint"))?;
    let name = TileName::in_tree(Holds::Entries, 0, checkpoint.size).ok_or(Unseen::Files("no entries"))?;
    let bytes = reader.tile(name).await?;
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
    has_grown(&first, &checkpoint, &proof(reader, &first, &checkpoint).await?)?;
    Ok(bundle.entries().iter().filter_map(key).collect())
}

/// The proof that the newer tree has grown out of the older one: which nodes it takes, then those nodes out of their tiles.
async fn proof(reader: &Reader<'_>, old: &Checkpoint, new: &Checkpoint) -> Result<Vec<Hash>, Unseen> {
    let mut tiles: HashMap<TileName, Tile> = HashMap::new();
    let mut wanted = Vec::new();
    let counted = consistency(old.size, new.size, |place| {
        wanted.push(place);
        Ok::<_, Unseen>(Hash::of_nothing())
    });
    counted.map_err(unread)?;
    for place in wanted {
        let name = TileName::above(place, new.size).ok_or(Unseen::Files("a node of no tile"))?;
        if let Entry::Vacant(tile) = tiles.entry(name) {
            let bytes = reader.tile(name).await?;
            tile.insert(Tile::parse(name, &bytes).map_err(|_| Unseen::Files("no tile"))?);
        }
    }
    let node = |place: Place| {
        let tile = TileName::above(place, new.size).and_then(|name| tiles.get(&name));
        tile.and_then(|tile| tile.node(place)).ok_or(Unseen::Files("a node is missing"))
    };
    consistency(old.size, new.size, node).map_err(unread)
}

fn unread(error: NoProof<Unseen>) -> Unseen {
    match error {
        NoProof::Node(unseen) => unseen,
        NoProof::OutOfTree { .. } => Unseen::Files("a tree that cannot be"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Client, StatusCode};

    use super::*;

    /// Whether the next thing may be opened right after a look that failed so.
    fn opens_after(unseen: Unseen) -> bool {
        let records = Records::default();
        records.witnessed(Instant::now());
        assert!(records.is_witnessed());
        heed(&records, Instant::now(), &Err(unseen));
        records.is_witnessed()
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
        heed(&records, Instant::now(), &Ok(()));
        assert!(records.is_witnessed());
    }

    #[test]
    fn the_key_that_is_made_is_the_key_that_is_read() {
        let data = crate::pki::log::key(SEED).unwrap();
        let read = signer(&data[SEED].0).unwrap();
        assert_eq!(read.verifier().name().as_str(), NAME);
        assert!(signer(b"short").is_none());
    }
}
