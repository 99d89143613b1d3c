//! The leading operator as a witness of the audit log: it looks every ten seconds, and after each receipt, whether the log has grown out of
//! what it saw before, and signs what it sees (C2SP tlog-cosignature). A log that shows another past gets no signature, and nothing is opened
//! until somebody has looked at it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::admission::{LOG_ANCHOR, LOG_WITNESS};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use record::{Record, What};
use tlog::{
    Algorithm, Bundle, Checkpoint, Hash, Holds, NoProof, Note, Place, Signer, Tile, TileName, VerifierKey,
    consistency,
};

use super::anchor::{Anchor, Forked, has_grown, is_longer, signed};
use super::streams::{CannotAsk, Reader};
use crate::clock::now;
use crate::context::Context;
use crate::pki::log::SEED;
use access::chain;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(10);

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
    /// The witness's own key.
    #[error("Secret keyhole-witness does not hold a key: delete it, and another is made")]
    Key,
}

/// Looks until dropped.
pub async fn run(context: &Context) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = context.records.has_settled() => {}
        }
        match look(context).await {
            Ok(()) => context.records.forks(false),
            Err(Unseen::Forked(forked)) => {
                context.records.forks(true);
                context.metrics.failed("AuditForked");
                tracing::error!(%forked, "nothing is opened: the audit log shows another past than before");
            }
            Err(error) => {
                context.metrics.failed("Witness");
                tracing::warn!(error = %chain(&error), "the audit log is not witnessed");
            }
        }
    }
}

async fn look(context: &Context) -> Result<(), Unseen> {
    let namespace = &context.config.namespace;
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let held = maps.get_opt(LOG_ANCHOR).await.map_err(Unseen::Api)?;
    let before = held.as_ref().map(|map| Anchor::read(map.data.as_ref().unwrap_or(&EMPTY))).transpose()?;
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    let mut note = reader.note().await?;
    let keys = match &before {
        Some(anchor) => anchor.keys.clone(),
        None => first_keys(&reader, &note).await?,
    };
    let checkpoint = signed(&note, &keys)?;
    let seen = before.as_ref().map_or(0, |anchor| anchor.checkpoint.size);
    context.metrics.records.ahead_of_witness(checkpoint.size.saturating_sub(seen));
    if before.as_ref().is_some_and(|anchor| anchor.checkpoint == checkpoint) {
        return Ok(());
    }
    if let Some(Anchor { checkpoint: old, .. }) = &before {
        is_longer(old, &checkpoint)?;
        has_grown(old, &checkpoint, &proof(&reader, old, &checkpoint).await?)?;
    }
    let witness = witness(context).await?;
    note.add(witness.sign(note.text(), u64::try_from(now().as_second()).unwrap_or_default()));
    let after = match before {
        Some(anchor) => anchor.grown(checkpoint, note.to_string()),
        None => Anchor { keys, checkpoint, notes: vec![note.to_string()] },
    };
    let data = Some(after.write(witness.verifier()));
    // With the version that was read: another leader's look is not undone.
    match held {
        Some(map) => maps.replace(LOG_ANCHOR, &PostParams::default(), &ConfigMap { data, ..map }).await,
        None => {
            let metadata = ObjectMeta { name: Some(LOG_ANCHOR.to_owned()), ..ObjectMeta::default() };
            maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..ConfigMap::default() }).await
        }
    }
    .map_err(Unseen::Api)?;
    context.metrics.records.ahead_of_witness(0);
    Ok(())
}

static EMPTY: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();

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
async fn first_keys(reader: &Reader<'_>, note: &Note) -> Result<Vec<VerifierKey>, Unseen> {
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| Unseen::Files("no checkpoint"))?;
    let name = TileName::in_tree(Holds::Entries, 0, checkpoint.size).ok_or(Unseen::Files("no entries"))?;
    let bytes = reader.tile(name).await?;
    let bundle = Bundle::parse(name, &bytes).map_err(|_| Unseen::Files("no bundle"))?;
    let key = |entry: &&[u8]| match Record::decode(entry).ok()?.what {
        What::Key(key) => key.verifier.parse().ok(),
        _ => None,
    };
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
    use super::*;

    #[test]
    fn the_key_that_is_made_is_the_key_that_is_read() {
        let data = crate::pki::log::key(SEED).unwrap();
        let read = signer(&data[SEED].0).unwrap();
        assert_eq!(read.verifier().name().as_str(), NAME);
        assert!(signer(b"short").is_none());
    }
}
