//! The index: where in the tree records stand, by grant, request, person, `Database`, namespace, table and kind; and what is not over.
//!
//! A cache in one file on a disk, `index.sqlite`. It follows the published checkpoint by reading the bundles, as anybody could; it is
//! made again when it is missing, another log's, damaged, or found to be wrong; and it never answers: [`View`] reads every record again.

mod bundles;
mod facts;
mod known;
mod places;
mod prune;
mod search;
mod state;
mod store;
mod unended;
mod view;
mod write;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::Connection;
use tlog::{Checkpoint, KeyName};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::read::Files;

pub use bundles::{Bundles, Found, Loaded, Unread, index_of, place_of};
pub use facts::{Sort, Term, Whose, request_of};
pub use known::{KnowError, KnownGrant};
pub use prune::Needed;
pub use search::Search;
pub use unended::Unended;
pub use view::{Page, Stream, Unclosed, View};

use store::StoreError;
use write::Writer;

/// The name of its file.
pub const FILE: &str = "index.sqlite";

/// How many bundles are added before others may see them.
const BATCH: usize = 64;

/// How long is waited before an index that could not be made is tried again, in the beginning and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How often is looked whether the file is still there, and whether what could not be read can be read again.
const LOOK: Duration = Duration::from_secs(5);

/// How many of the bundles that could not be read are tried again at once.
const TRIED: usize = 16;

/// The index. Clones are the same.
#[derive(Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    files: Files,
    origin: KeyName,
    published: watch::Receiver<Option<Checkpoint>>,
    indexed: watch::Sender<u64>,
    /// How many records the index passed over, because they could not be read.
    unread: AtomicU64,
    /// Whether the file was held against the log. Whoever has it open to read holds this; whoever removes it excludes them all: SQLite
    /// would mistake the files beside a new one for those of the old one.
    usable: RwLock<bool>,
    wrong: Notify,
}

/// Why the index does not grow.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("the index cannot be used")]
    Store(#[source] StoreError),
    #[error("the index cannot be written")]
    Write(#[source] KnowError),
    #[error("the index was found to be wrong, or its file was removed")]
    Wrong,
    #[error("a bundle cannot be read, so the index waits")]
    Tree(#[source] Unread),
    #[error("records that could not be read can be read again")]
    Again,
    #[error("the log begins later: what was pruned is in the index")]
    Later,
}

impl From<KnowError> for Stuck {
    fn from(error: KnowError) -> Self {
        match error {
            KnowError::Tree(unread) => Self::Tree(unread),
            other => Self::Write(other),
        }
    }
}

impl From<StoreError> for Stuck {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Tree(unread) => Self::Tree(unread),
            other => Self::Store(other),
        }
    }
}

impl From<rusqlite::Error> for Stuck {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(StoreError::Sqlite(error))
    }
}

impl Index {
    /// Starts to follow what is published, on a thread of its own. `folder`: where its own file lies; `files`: those of the log.
    pub fn start(
        folder: &Path,
        files: Files,
        origin: KeyName,
        published: watch::Receiver<Option<Checkpoint>>,
    ) -> io::Result<Self> {
        let index = Self::of(folder, files, origin, published.clone());
        // Only to wait by: it has no sockets of its own.
        let waits = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let shared = Arc::clone(&index.shared);
        let mut follower = Follower { shared, published, writer: Writer::default(), pause: PAUSES.0 };
        thread::Builder::new().name("index".to_owned()).spawn(move || follower.run(&waits))?;
        Ok(index)
    }

    /// One that knows nothing, and follows nothing.
    pub(crate) fn of(
        folder: &Path,
        files: Files,
        origin: KeyName,
        published: watch::Receiver<Option<Checkpoint>>,
    ) -> Self {
        let shared = Shared {
            path: folder.join(FILE),
            files,
            origin,
            published,
            indexed: watch::Sender::new(0),
            unread: AtomicU64::new(0),
            usable: RwLock::new(false),
            wrong: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many records it knows: so far it lags behind the checkpoint.
    pub fn indexed(&self) -> u64 {
        *self.shared.indexed.borrow()
    }

    /// The index of the first record that the log has.
    pub fn begins(&self) -> u64 {
        self.shared.files.begins().index()
    }

    /// The log begins later from now on. Waits for those who look; when this returns, nobody looks at what is before, and the index is made
    /// again from there.
    pub fn begins_later(&self, index: u64) {
        let mut usable = self.shared.usable.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.files.begins().later(index);
        *usable = false;
        self.shared.indexed.send_replace(0);
        self.shared.wrong.notify_one();
    }

    /// How many of them it passed over, because they could not be read.
    pub fn unread(&self) -> u64 {
        self.shared.unread.load(Ordering::Relaxed)
    }

    /// Waits until it knows so many.
    pub async fn reaches(&self, size: u64) {
        // The sender lives as long as this.
        let _ = self.shared.indexed.subscribe().wait_for(|indexed| *indexed >= size).await;
    }

    /// The index and the tree as they are now. While there is no index to use: one that knows nothing.
    pub fn view(&self) -> Result<View<'_>, KnowError> {
        let usable = self.shared.usable.read().unwrap_or_else(PoisonError::into_inner);
        // Before the index is read: it is never ahead of this.
        let size = self.shared.published.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size);
        let opened = if *usable { store::open_to_read(&self.shared.path) } else { store::empty() };
        let index = opened.or_else(|_| {
            self.is_wrong();
            store::empty()
        })?;
        let indexed = store::progress(&index)?.indexed;
        let bundles = Bundles::new(self.shared.files.clone(), size.max(indexed));
        let (passed, damaged) = (store::unread(&index)?, RefCell::new(BTreeSet::new()));
        let begins = self.begins();
        Ok(View { index, bundles, begins, indexed, passed, damaged, _open: usable })
    }

    /// Somebody saw that it is wrong: it is made again.
    pub fn is_wrong(&self) {
        self.shared.wrong.notify_one();
    }
}

/// For what the index has waited.
enum Woken {
    /// More is published.
    Published,
    /// The log ends.
    Ends,
    /// Somebody saw that the index is wrong.
    Wrong,
    /// Nothing has happened for a while.
    Looks,
}

/// The thread that makes the index grow. It waits for events in `waits`, and for the log's files outside of it.
struct Follower {
    shared: Arc<Shared>,
    published: watch::Receiver<Option<Checkpoint>>,
    writer: Writer,
    pause: Duration,
}

impl Follower {
    /// Until the log ends.
    fn run(&mut self, waits: &Runtime) {
        loop {
            let Err(stuck) = self.follow(waits) else { return };
            let is_tree = matches!(stuck, Stuck::Tree(_));
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(stuck)), "the index stops");
            if !is_tree {
                self.drop_file();
            }
            thread::sleep(self.pause);
            self.pause = self.pause.saturating_mul(2).min(PAUSES.1);
        }
    }

    fn drop_file(&mut self) {
        let mut usable = self.shared.usable.write().unwrap_or_else(PoisonError::into_inner);
        *usable = false;
        self.shared.indexed.send_replace(0);
        // Whatever somebody saw of it is over.
        let _ = self.shared.wrong.notified().now_or_never();
        match store::remove(&self.shared.path) {
            Ok(()) => tracing::warn!("the index is removed, and made again"),
            Err(error) => tracing::error!(%error, "the index is not removed"),
        }
    }

    fn follow(&mut self, waits: &Runtime) -> Result<(), Stuck> {
        self.writer.forget();
        let (size, begins) = (self.size(), self.shared.files.begins().index());
        let mut connection = store::open(
            &self.shared.path,
            (&self.shared.origin, begins),
            &Bundles::new(self.shared.files.clone(), size),
        )?;
        let mut indexed = store::progress(&connection)?.indexed;
        self.is_usable_from(begins)?;
        self.shared.indexed.send_replace(indexed);
        self.cannot_be_read_yet(&connection)?;
        loop {
            let size = self.size();
            while indexed < size {
                indexed = self.add(&mut connection, indexed, size)?;
                self.shared.indexed.send_replace(indexed);
                self.is_right(begins)?;
            }
            self.pause = PAUSES.0;
            match waits.block_on(self.waits()) {
                Woken::Published => (),
                Woken::Ends => return Ok(()),
                Woken::Wrong => {
                    self.is_right(begins)?;
                    return Err(Stuck::Wrong);
                }
                Woken::Looks => {
                    self.is_right(begins)?;
                    self.cannot_be_read_yet(&connection)?;
                }
            }
        }
    }

    async fn waits(&mut self) -> Woken {
        tokio::select! {
            changed = self.published.changed() => if changed.is_ok() { Woken::Published } else { Woken::Ends },
            () = self.shared.wrong.notified() => Woken::Wrong,
            () = tokio::time::sleep(LOOK) => Woken::Looks,
        }
    }

    fn size(&self) -> u64 {
        self.published.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size)
    }

    /// Others may read it, if the log still begins there.
    fn is_usable_from(&self, begins: u64) -> Result<(), Stuck> {
        let mut usable = self.shared.usable.write().unwrap_or_else(PoisonError::into_inner);
        *usable = self.shared.files.begins().index() == begins;
        if *usable { Ok(()) } else { Err(Stuck::Later) }
    }

    /// That the log still begins there, and the file which is written is the one that others read.
    fn is_right(&self, begins: u64) -> Result<(), Stuck> {
        if self.shared.files.begins().index() != begins {
            return Err(Stuck::Later);
        }
        if self.shared.path.try_exists().unwrap_or(false) { Ok(()) } else { Err(Stuck::Wrong) }
    }

    /// That nothing of what was passed over has come back: what comes later may have another meaning by it, so the index is made again.
    fn cannot_be_read_yet(&self, connection: &Connection) -> Result<(), Stuck> {
        let bundles = Bundles::new(self.shared.files.clone(), self.size());
        let passed = store::unread(connection)?;
        let is_back = |range: &Range<u64>| {
            bundles.load(place_of(range.start).0).is_ok_and(|loaded| loaded.records().is_ok())
        };
        self.count(&passed);
        if passed.iter().take(TRIED).any(is_back) { Err(Stuck::Again) } else { Ok(()) }
    }

    fn count(&self, passed: &[Range<u64>]) {
        let count =
            passed.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add);
        self.shared.unread.store(count, Ordering::Relaxed);
    }

    /// Adds some bundles at once.
    fn add(&mut self, connection: &mut Connection, mut indexed: u64, size: u64) -> Result<u64, Stuck> {
        let bundles = Bundles::new(self.shared.files.clone(), size);
        let transaction = connection.transaction()?;
        for _ in 0..BATCH {
            if indexed >= size {
                break;
            }
            indexed = self.writer.step(&transaction, &bundles, indexed).map_err(Stuck::from)?;
        }
        self.count(&store::unread(&transaction)?);
        transaction.commit()?;
        Ok(indexed)
    }
}

#[cfg(test)]
mod tests;
