//! The copying into a bucket in memory that fails, by seed: what the bucket holds is a whole log, after each call.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use record::samples::{every_kind, proxy_stream, salted, session_open, statement};
use record::{About, Chain, Record, Time, What};
use tempfile::TempDir;
use tlog::{Algorithm, Checkpoint, Hash, Holds, KeyName, Note, Range, Signer, TileName, VerifierKey};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::Mirroring;
use super::copy::{Copier, MirrorError, Original};
use super::next::Next;
use crate::bucket::Bucket as _;
use crate::bucket::sim::{Objects, SimBucket};
use crate::engine::block::{Entry, LogId};
use crate::engine::commit::Durable;
use crate::engine::disk::OsDisk;
use crate::engine::integrate::{CHECKPOINT, Partial, Tree, long_texts_path, texts_path};
use crate::engine::prune::{Begins, Pruned};
use crate::engine::recover::Identity;
use crate::engine::volume::Volume;
use crate::figures::Figures;
use crate::read::{Files, long_texts, texts_file};
use crate::source::Folder;

/// A log's tree in a folder, which grows.
pub(crate) struct Log {
    folder: TempDir,
    tree: Tree,
    volume: Volume<OsDisk>,
    signer: Signer,
    chain: Chain,
    receipt: Vec<u8>,
}

impl Log {
    pub(crate) fn new(seed: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin: KeyName = "keyhole.internal/log/0707070707070707".parse().unwrap();
        let signer = Signer::new(origin.clone(), Algorithm::Ed25519, &[seed; 32]).unwrap();
        let empty = Partial { range: Range::default(), levels: vec![], bundle: vec![], texts: vec![] };
        let is_receipt = |leaf: &Vec<u8>| matches!(Record::decode(leaf).unwrap().what, What::Receipt(_));
        Self {
            tree: Tree::new(origin, empty),
            volume: Volume::new(OsDisk::new(folder.path())).unwrap(),
            signer,
            chain: Chain::new(proxy_stream(1, seed)),
            receipt: every_kind().into_iter().map(|leaf| leaf.text).find(is_receipt).unwrap(),
            folder,
        }
    }

    /// Statements with sealed texts, one in fifty a long one, and a receipt as the last of them.
    pub(crate) fn grows_to(&mut self, size: u64) -> Checkpoint {
        while self.tree.size() < size {
            let number = self.tree.size();
            let payload = salted(&format!("SELECT {number}"));
            let length = if number % 50 == 7 { 20_000 } else { usize::try_from(number % 3).unwrap() * 20 };
            let what = if length > 0 { statement(1, &payload) } else { session_open(1) };
            let at = Time::from_micros(1_800_000_000_000_000).unwrap();
            let mut leaf = self.chain.next(at, About::default(), what).unwrap().text;
            if number + 1 == size {
                leaf.clone_from(&self.receipt);
            }
            let (hash, sealed) = (Hash::of_leaf(&leaf), vec![7; length]);
            self.tree.take(Durable { hash, entry: Entry { leaf, sealed }, erases: None }).unwrap();
        }
        self.tree.publish(&mut self.volume, std::slice::from_ref(&self.signer)).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn keys(&self) -> Vec<VerifierKey> {
        vec![self.signer.verifier().clone()]
    }

    fn original(&self) -> Original {
        let keys = self.keys();
        Original {
            files: Files::new(Arc::new(Folder(self.folder.path().to_owned()))),
            origin: self.signer.verifier().name().clone(),
            keys,
        }
    }
}

/// Who a log is.
pub(crate) fn identity_of(log: &Log) -> Identity {
    let Original { origin, keys, .. } = log.original();
    Identity { origin, id: LogId([7; 8]), keys, anchor: None }
}

/// Every file of a tree of this size, as it stands in the log's folder.
fn files_of(folder: &Path, size: u64) -> Objects {
    let source = Folder(folder.to_owned());
    let files = Files::new(Arc::new(source.clone()));
    let mut all = Objects::new();
    for name in TileName::all(size) {
        all.insert(name.to_string(), files.tile(name).unwrap().unwrap());
        if name.holds == Holds::Entries {
            all.extend(texts_file(&source, name).unwrap().map(|bytes| (texts_path(name), bytes)));
            for place in long_texts(&source, name).unwrap() {
                let path = format!("{}/{place}", long_texts_path(name));
                all.insert(path.clone(), std::fs::read(folder.join(path)).unwrap());
            }
        }
    }
    all
}

fn size_of(objects: &Objects) -> Option<u64> {
    let note: Note = std::str::from_utf8(objects.get(CHECKPOINT)?).unwrap().parse().unwrap();
    Some(note.text().parse::<Checkpoint>().unwrap().size)
}

/// Holds what is in a bucket against the log whose mirror it is.
fn holds(folder: &Path) -> Rc<dyn Fn(&Objects)> {
    let folder = folder.to_owned();
    Rc::new(move |objects: &Objects| {
        for path in objects.keys() {
            assert!(["tile/", "sealed/", CHECKPOINT].iter().any(|begin| path.starts_with(begin)), "{path}");
        }
        for (path, bytes) in files_of(&folder, size_of(objects).unwrap_or(0)) {
            assert!(
                objects.get(&path).is_some_and(|found| *found == bytes),
                "the checkpoint speaks of {path}"
            );
        }
    })
}

/// Copies until nothing is to be done, or a call fails.
fn copies(bucket: &SimBucket, log: &Log, published: &Checkpoint) -> Result<u64, MirrorError> {
    let mut copier = Copier::begin(bucket.clone(), log.original(), published)?;
    while !matches!(copier.step(published.size)?, Next::Wait(_)) {}
    Ok(copier.mirrored().size)
}

#[test]
fn whatever_fails_the_bucket_holds_a_whole_log_after_each_call_and_in_the_end_all_of_it() {
    let mut log = Log::new(3);
    let first: u64 = std::env::var("KEYHOLE_SEED").map_or(0, |seed| seed.parse().unwrap());
    let worlds: Vec<SimBucket> =
        (first..first + 20).map(|seed| SimBucket::new(seed, holds(log.folder.path()))).collect();
    let mut published = log.grows_to(1);
    for size in [2, 200, 256, 257, 511, 700, 768, 900] {
        published = log.grows_to(size);
        for world in &worlds {
            let (mut copier, mut before): (Option<Copier<SimBucket>>, u64) = (None, 0);
            world.0.borrow_mut().fails = 6;
            for _ in 0..20 {
                if world.0.borrow_mut().below(8) == 0 {
                    (copier, before) = (None, 0);
                }
                let begin = || {
                    let mut begun = Copier::begin(world.clone(), log.original(), &published)?;
                    begun.goes_on(before).map(|()| begun)
                };
                let stepped = copier.take().map_or_else(begin, Ok).and_then(|mut copier| {
                    copier.step(published.size)?;
                    Ok(copier)
                });
                copier = stepped.ok();
                before = copier.as_ref().map_or(before, |copier| copier.mirrored().bundles);
            }
        }
    }
    for world in &worlds {
        world.0.borrow_mut().fails = 0;
        assert_eq!(copies(world, &log, &published).unwrap(), published.size);
        assert!(world.0.borrow().failed > 10, "nothing failed");
    }
}

#[test]
fn what_is_whole_is_put_once_and_what_is_not_once_for_each_checkpoint() {
    let mut log = Log::new(3);
    let bucket = SimBucket::new(0, holds(log.folder.path()));
    let first = log.grows_to(300);
    let mut copier = Copier::begin(bucket.clone(), log.original(), &first).unwrap();
    assert_eq!(copier.step(300).unwrap(), Next::Bundle(0));
    assert!(bucket.object("tile/0/000").is_some() && bucket.object("tile/0/001.p/44").is_none());
    assert_eq!(bucket.object(CHECKPOINT), None, "it comes last");
    assert_eq!(copier.step(300).unwrap(), Next::Rest);
    assert_eq!(copier.step(300).unwrap(), Next::Wait(None));
    let paths = |bucket: &SimBucket| bucket.0.borrow().objects.keys().cloned().collect::<BTreeSet<_>>();
    let before = paths(&bucket);
    assert!(before.contains("sealed/001.p/44") && before.contains("sealed/001.long/1"), "{before:?}");
    let second = log.grows_to(310);
    assert_eq!(copier.step(second.size).unwrap(), Next::Rest, "a receipt is among them");
    let new: Vec<_> = paths(&bucket).difference(&before).cloned().collect();
    assert_eq!(new, ["sealed/001.long/51", "sealed/001.p/54", "tile/0/001.p/54", "tile/entries/001.p/54"]);
}

#[test]
fn after_a_failure_it_goes_on_where_it_was_unless_that_is_gone() {
    let mut log = Log::new(3);
    let bucket = SimBucket::new(0, holds(log.folder.path()));
    let published = log.grows_to(800);
    let begin = || Copier::begin(bucket.clone(), log.original(), &published).unwrap();
    let mut copier = begin();
    assert_eq!([0, 1].map(|_| copier.step(800).unwrap()), [Next::Bundle(0), Next::Bundle(1)]);
    let before = copier.mirrored().bundles;
    let mut again = begin();
    again.goes_on(before).unwrap();
    assert_eq!(again.step(800).unwrap(), Next::Bundle(2));
    bucket.0.borrow_mut().objects.clear();
    let mut anew = begin();
    anew.goes_on(before).unwrap();
    assert_eq!(anew.step(800).unwrap(), Next::Bundle(0), "somebody emptied the bucket");
}

#[test]
fn what_somebody_deleted_or_changed_in_the_bucket_is_put_back_or_told() {
    let mut log = Log::new(3);
    let bucket = SimBucket::new(0, Rc::new(|_: &Objects| ()));
    let published = log.grows_to(300);
    bucket.replace("tile/0/000", b"another").unwrap();
    let error = copies(&bucket, &log, &published).unwrap_err();
    assert!(matches!(&error, MirrorError::Differs(path) if path == "tile/0/000"), "{error}");
    assert_eq!(bucket.object("tile/0/000").unwrap(), b"another", "it replaces nothing that it did not put");
    bucket.0.borrow_mut().objects.remove("tile/0/000");
    assert_eq!(copies(&bucket, &log, &published).unwrap(), 300);
}

#[test]
fn a_mirror_that_this_log_has_not_grown_out_of_is_left_alone() {
    let (mut log, mut other) = (Log::new(3), Log::new(4));
    let bucket = SimBucket::new(0, Rc::new(|_: &Objects| ()));
    let early = log.grows_to(100);
    let late = log.grows_to(300);
    assert_eq!(copies(&bucket, &log, &late).unwrap(), 300);
    let error = copies(&bucket, &log, &early).unwrap_err();
    assert!(matches!(error, MirrorError::Ahead { mirror: 300, log: 100 }), "{error}");
    // The same name and key, and another past.
    let mut forked = Log::new(3);
    forked.grows_to(1);
    let fork = forked.grows_to(320);
    let error = copies(&bucket, &forked, &fork).unwrap_err();
    assert!(matches!(error, MirrorError::Beside(300)), "{error}");
    let published = other.grows_to(300);
    assert!(matches!(copies(&bucket, &other, &published).unwrap_err(), MirrorError::Foreign));
    assert_eq!(size_of(&bucket.0.borrow().objects), Some(300));
}

#[test]
fn a_mirror_that_is_made_for_a_pruned_log_begins_where_that_does_with_all_that_stands_above() {
    let mut log = Log::new(3);
    log.grows_to(900);
    let is_gone =
        |path: &str| ["000", "001"].iter().any(|gone| path.split('/').any(|part| part.starts_with(gone)));
    let left: Objects = files_of(log.folder.path(), 900)
        .into_iter()
        .filter(|(path, _)| path.starts_with("tile/1/") || !is_gone(path))
        .collect();
    let published = log.grows_to(900);
    let mut pruned = Pruned::default();
    pruned.begin(&mut log.volume, 512, 899).unwrap();
    while pruned.is_left() {
        pruned.step(&mut log.volume).unwrap();
    }
    let bucket = SimBucket::new(0, Rc::new(|_: &Objects| ()));
    let original = log.original();
    let files = original.files.beginning(Begins::with(512));
    let mut copier = Copier::begin(bucket.clone(), Original { files, ..original }, &published).unwrap();
    while !matches!(copier.step(900).unwrap(), Next::Wait(_)) {}
    assert_eq!(copier.mirrored().size, 900);
    let mut found = bucket.0.borrow().objects.clone();
    found.remove(CHECKPOINT).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), left.keys().collect::<Vec<_>>());
    assert!(found == left);
}

#[test]
fn a_mirror_that_ends_before_a_pruned_log_begins_is_left_as_it_is_and_told() {
    let mut log = Log::new(3);
    let bucket = SimBucket::new(0, Rc::new(|_: &Objects| ()));
    let early = log.grows_to(300);
    assert_eq!(copies(&bucket, &log, &early).unwrap(), 300);
    let published = log.grows_to(900);
    let before = bucket.0.borrow().objects.clone();
    let begins = |index| {
        let original = log.original();
        let files = original.files.beginning(Begins::with(index));
        Copier::begin(bucket.clone(), Original { files, ..original }, &published).map(|_| ())
    };
    assert!(begins(256).is_ok());
    let error = begins(512).unwrap_err();
    assert!(matches!(error, MirrorError::Pruned { mirror: 300, begins: 512 }), "{error}");
    assert!(bucket.0.borrow().objects == before);
}

/// How far the mirror is behind, as Prometheus reads it: in records and in seconds; and how many attempts failed.
fn lag(figures: &Figures) -> [f64; 3] {
    let page = figures.page(0, 0);
    ["lag_records", "lag_seconds", "failures_total"].map(|name| {
        let name = format!("keyhole_log_mirror_{name} ");
        page.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

#[test]
fn a_bucket_that_is_away_for_an_hour_is_asked_less_and_less_often_to_once_a_minute_and_catches_up_when_it_is_back()
 {
    const HOUR: Duration = Duration::from_secs(3600);
    // A clock that goes on to the next moment at which anybody waits for anything.
    let clock =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _on_it = clock.enter();
    let (log, bucket) = (RefCell::new(Log::new(3)), SimBucket::new(0, Rc::new(|_: &Objects| ())));
    let (publisher, published) = watch::channel(None);
    let publisher = Arc::new(Mutex::new(Some(publisher)));
    let figures = Arc::new(Figures::default());
    figures.has_mirror();
    let grows = |size: u64| {
        let checkpoint = log.borrow_mut().grows_to(size);
        figures.signed(size);
        publisher.lock().unwrap().as_ref().unwrap().send_replace(Some(checkpoint));
    };
    grows(300);
    let ends = Arc::clone(&publisher);
    clock.spawn(async move {
        sleep(2 * HOUR).await;
        ends.lock().unwrap().take();
    });
    let (began, asked) = (Instant::now(), RefCell::new(Vec::new()));
    let way = || {
        let (now, size) = (began.elapsed(), log.borrow().tree.size());
        let failed = f64::from(u32::try_from(asked.borrow().len()).unwrap());
        let [records, seconds, failures] = lag(&figures);
        assert_eq!((records, failures), (f64::from(u32::try_from(size).unwrap()), failed));
        assert!((seconds - now.as_secs_f64()).abs() < 0.01, "{seconds} after {now:?}");
        asked.borrow_mut().push(now.as_secs());
        grows(size + 20);
        bucket.0.borrow_mut().fails = u64::from(now < HOUR);
        Ok(bucket.clone())
    };
    let original = log.borrow().original();
    Mirroring { original, published, figures: Arc::clone(&figures) }.run(&clock, &way);
    let asked = asked.into_inner();
    assert_eq!(asked[..8], [0, 1, 3, 7, 15, 31, 63, 123]);
    assert!(asked[7..].windows(2).all(|pair| pair[1] - pair[0] == 60), "{asked:?}");
    assert_eq!(asked.last(), Some(&3603), "the first time that it is back");
    assert_eq!(lag(&figures), [0.0, 0.0, 65.0]);
    assert_eq!(size_of(&bucket.0.borrow().objects), Some(300 + 66 * 20));
    holds(log.borrow().path())(&bucket.0.borrow().objects);
}
