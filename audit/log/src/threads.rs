//! The two threads of the log: one makes what arrives durable, the other makes the tree of what is.

mod backlog;
mod room;
mod trees;
mod wishes;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use record::frame::{Refuse, Used};
use record::{Head, StreamName, TooLong, Uid, What};
use tlog::{Checkpoint, Signer};
use tokio::sync::{mpsc, oneshot, watch};

use crate::append::Held;
use crate::clock;
use crate::engine::commit::{Durable, Engine, Failed, Room, Submission};
use crate::engine::integrate::Stopped;
use crate::engine::journal::Journal as _;
use crate::engine::recover::Opened;
use crate::engine::storage::Storage;
use crate::engine::streams::Stream;
use crate::figures::Figures;
use crate::pruning::Said;
use crate::seal::Keys;

use backlog::{Backlog, bytes};
use room::LOOK;
use trees::Trees;
use wishes::{Fulfils, Wishes};

/// The most bytes that one block is made of, unless one submission alone has more.
const BLOCK: usize = 1 << 20;

/// The most submissions of one block.
const SUBMISSIONS: usize = 4096;

/// How often the tree is made, and the disk looked at.
const SECOND: Duration = Duration::from_secs(1);

/// How many blocks may wait for the tree. Then nothing more is made durable until one is in it.
const WAITING: usize = 1024;

/// What the thread that makes things durable is asked for.
pub enum Ask {
    /// How far a stream is.
    Greet {
        /// The stream.
        stream: StreamName,
        /// Hears it.
        reply: oneshot::Sender<Greeting>,
    },
    /// To make records durable.
    Append {
        /// The records.
        submission: Submission,
        /// When they were, and what waits with them.
        received: Received,
        /// Hears how far the stream is when they are.
        reply: mpsc::UnboundedSender<Answer>,
    },
    /// To write records of the log's own, all of them in one block or none.
    Own {
        /// The grant that they are about.
        grant: Option<Uid>,
        /// What they say.
        whats: Vec<What>,
        /// Hears when they are durable.
        reply: oneshot::Sender<Result<Head, OwnError>>,
    },
    /// How far each stream of a grant is.
    Streams {
        /// The grant.
        grant: Uid,
        /// Hears it.
        reply: oneshot::Sender<Vec<(StreamName, Head, bool)>>,
    },
    /// All below this index is in the tree.
    Published(u64),
}

/// Records that were received.
#[derive(Debug)]
pub struct Received {
    /// When.
    pub since: Instant,
    /// What nobody else may have waiting until they are acknowledged.
    pub held: Held,
}

/// What a writer hears of records that it handed over.
#[derive(Debug)]
pub struct Answer {
    /// When they were received, and what waits with them.
    pub received: Received,
    /// How far the stream is now that they are durable, or why none of them is.
    pub head: Result<Head, Refuse>,
}

/// How far a stream is, for who begins to write it.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// How far it is.
    pub head: Head,
    /// What its grant has used.
    pub used: Used,
}

/// Why a record of the log's own is not there.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It has more bytes than a record may.
    #[error("the record is too long")]
    TooLong(#[source] TooLong),
    /// The disk is full.
    #[error("the record is not taken: {}", .0.sentence)]
    Refused(Refuse),
}

/// Why the log ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The journal.
    #[error("the journal failed")]
    Journal(#[source] Failed),
    /// The tree.
    #[error("the tree failed")]
    Tree(#[source] Stopped),
    /// The journal's file is not at its path any more.
    #[error("the journal's file was removed or replaced while it was written")]
    Displaced,
    /// The disk says nothing of its room.
    #[error("cannot look at the disk")]
    Disk(#[source] io::Error),
    /// The other thread ended first.
    #[error("the other thread has ended")]
    Other,
}

/// What the rest of the log asks and hears. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    asks: Sender<Ask>,
    wishes: Wishes,
    tree: SyncSender<ToTree>,
    published: watch::Receiver<Option<Checkpoint>>,
}

enum ToTree {
    Durable(Vec<Durable>),
    /// Somebody wishes for a checkpoint.
    Wish,
    Prune(Said, oneshot::Sender<()>),
}

impl Log {
    /// Asks; the answer comes by the way that the question names, or never, if the log ends.
    pub fn ask(&self, ask: Ask) {
        // Who waits for an answer hears of the end.
        let _ = self.asks.send(ask);
    }

    /// The newest checkpoint.
    pub fn published(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.published.clone()
    }

    /// Makes the tree of everything that is durable now, and says its checkpoint. `None`: the log ends.
    pub async fn publish(&self) -> Option<Checkpoint> {
        let (reply, checkpoint) = oneshot::channel();
        if self.wishes.add(reply) {
            // Where there is no place for this, the tree has more to do, and looks at the wishes before each thing.
            let _ = self.tree.try_send(ToTree::Wish);
        }
        checkpoint.await.ok()
    }

    /// The log begins later from now on, as a record says that is in a checkpoint: that is durable when this returns, and what is before
    /// goes. `None`: the log ends.
    pub async fn prune(&self, said: Said) -> Option<()> {
        let (reply, begins) = oneshot::channel();
        let mut ask = ToTree::Prune(said, reply);
        while let Err(error) = self.tree.try_send(ask) {
            match error {
                TrySendError::Full(back) => ask = back,
                TrySendError::Disconnected(_) => return None,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begins.await.ok()
    }
}

#[cfg(test)]
impl Log {
    /// One without threads: whoever makes it hears what it is asked for.
    pub fn by_hand() -> (Self, Receiver<Ask>) {
        let (asks, asked) = channel();
        let (tree, _) = sync_channel(1);
        let (_, published) = watch::channel(None);
        (Self { asks, wishes: Wishes::default(), tree, published }, asked)
    }
}

/// Starts both threads. `ended` hears why one of them ends, or that both have: then the process must.
pub fn start<S>(
    opened: Opened<S>,
    (storage, figures): (S, Arc<Figures>),
    (signers, keys): (Vec<Signer>, Keys),
    ended: mpsc::UnboundedSender<Ended>,
) -> io::Result<Log>
where
    S: Storage<Journal: Send, Files: Send, Keys: Send> + Send + 'static,
{
    let Opened { engine, tree, files, signed, pruned } = opened;
    let (asks, asked) = channel();
    let (blocks, waiting) = sync_channel(WAITING);
    let (publisher, published) = watch::channel(signed);
    let wishes = Wishes::default();
    let log = Log { asks: asks.clone(), wishes: wishes.clone(), tree: blocks.clone(), published };
    let backlog = Arc::new(Backlog::default());
    let (also, started) = (Arc::clone(&figures), Instant::now());
    let commits = Commits {
        engine,
        storage,
        asked,
        tree: blocks,
        backlog: Arc::clone(&backlog),
        keys,
        room: Room::Enough,
        unlooked: 0,
        figures: also,
        started,
    };
    let wishes = Fulfils(wishes);
    let trees =
        Trees { tree, files, pruned, signers, waiting, wishes, backlog, taken: 0, publisher, asks, figures };
    let also = ended.clone();
    thread::Builder::new().name("journal".to_owned()).spawn(move || tell(&ended, commits.run()))?;
    thread::Builder::new().name("tree".to_owned()).spawn(move || tell(&also, trees.run()))?;
    Ok(log)
}

/// Says why a thread has ended. One that ends because the other did says nothing: it would be heard first, and the cause never.
fn tell(ended: &mpsc::UnboundedSender<Ended>, why: Ended) {
    match why {
        Ended::Other => (),
        Ended::Journal(_) | Ended::Tree(_) | Ended::Displaced | Ended::Disk(_) => _ = ended.send(why),
    }
}

/// The thread that makes things durable.
struct Commits<S: Storage> {
    engine: Engine<S::Journal, S::Keys>,
    storage: S,
    asked: Receiver<Ask>,
    tree: SyncSender<ToTree>,
    backlog: Arc<Backlog>,
    keys: Keys,
    room: Room,
    /// How many bytes came since the disk was looked at.
    unlooked: usize,
    figures: Arc<Figures>,
    started: Instant,
}

/// Who hears of a submission.
enum Reply {
    Writer(mpsc::UnboundedSender<Answer>, Received),
    Own(oneshot::Sender<Result<Head, OwnError>>),
}

/// What is asked for at once.
#[derive(Default)]
struct Batch {
    submissions: Vec<Submission>,
    replies: Vec<Reply>,
    bytes: usize,
    others: Vec<Ask>,
}

impl<S: Storage> Commits<S> {
    fn run(mut self) -> Ended {
        let mut looked = Instant::now();
        if let Err(ended) = self.look_at_the_room() {
            return ended;
        }
        loop {
            let result = match self.asked.recv_timeout(SECOND) {
                Ok(ask) => self.work(ask),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => Err(Ended::Other),
            };
            let result = result.and_then(|()| {
                if looked.elapsed() < SECOND && self.unlooked < LOOK {
                    return Ok(());
                }
                (looked, self.unlooked) = (Instant::now(), 0);
                self.look_at_the_room()
            });
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    /// Whatever is queued becomes one block. The next one gathers while the disk syncs.
    fn work(&mut self, first: Ask) -> Result<(), Ended> {
        let mut batch = Batch::default();
        self.gather(&mut batch, first);
        while batch.bytes < BLOCK
            && batch.submissions.len() < SUBMISSIONS
            && let Ok(ask) = self.asked.try_recv()
        {
            self.gather(&mut batch, ask);
        }
        let Batch { submissions, replies, others, bytes } = batch;
        self.unlooked = self.unlooked.saturating_add(bytes);
        if !submissions.is_empty() {
            self.commit(submissions, replies)?;
        }
        others.into_iter().try_for_each(|ask| self.answer(ask))
    }

    fn gather(&mut self, batch: &mut Batch, ask: Ask) {
        match ask {
            Ask::Append { submission, received, reply } => {
                batch.bytes = batch.bytes.saturating_add(submission.length());
                batch.submissions.push(submission);
                batch.replies.push(Reply::Writer(reply, received));
            }
            Ask::Own { grant, whats, reply } => match self.engine.all_own(clock::now(), grant, whats) {
                Ok(submission) => {
                    batch.submissions.push(submission);
                    batch.replies.push(Reply::Own(reply));
                }
                Err(error) => _ = reply.send(Err(OwnError::TooLong(error))),
            },
            other => batch.others.push(other),
        }
    }

    fn commit(&mut self, submissions: Vec<Submission>, replies: Vec<Reply>) -> Result<(), Ended> {
        let committed =
            self.engine.commit(submissions, self.room, self.started.elapsed()).map_err(Ended::Journal)?;
        self.figures.committed(&committed.kinds, self.engine.size());
        for durable in &committed.durable {
            if let Some(grant) = &durable.erases {
                self.keys.erased(grant);
            }
        }
        // Before anybody hears of it: who has heard, and then asks for a checkpoint, finds it there.
        self.backlog.add(committed.durable.iter().map(bytes).sum());
        self.tree.send(ToTree::Durable(committed.durable)).map_err(|_| Ended::Other)?;
        for (reply, answer) in replies.into_iter().zip(committed.answers) {
            // Who is gone asks again.
            match reply {
                Reply::Writer(reply, received) => _ = reply.send(Answer { received, head: answer }),
                Reply::Own(reply) => _ = reply.send(answer.map_err(OwnError::Refused)),
            }
        }
        Ok(())
    }

    fn answer(&mut self, ask: Ask) -> Result<(), Ended> {
        match ask {
            Ask::Greet { stream, reply } => {
                let streams = self.engine.streams();
                let used = stream.grant().map(|grant| streams.used(grant)).unwrap_or_default();
                let _ = reply.send(Greeting { head: streams.head(&stream), used });
            }
            Ask::Streams { grant, reply } => {
                let of_grant = self.engine.streams().of_grant(&grant);
                let _ = reply.send(
                    of_grant.map(|(name, stream)| (name.clone(), stream.head, stream.closed)).collect(),
                );
            }
            Ask::Published(below) => self.engine.release(below).map_err(Ended::Journal)?,
            Ask::Append { .. } | Ask::Own { .. } => (),
        }
        Ok(())
    }

    fn look_at_the_room(&mut self) -> Result<(), Ended> {
        let counted = self.storage.free().map_err(Ended::Disk)?;
        // In a bucket nobody counts it: there is as much as anybody pays for.
        let free = counted.unwrap_or(u64::MAX);
        let is_live = |(name, stream): &(&StreamName, &Stream)| name.grant().is_some() && !stream.closed;
        self.figures.looked(counted, self.engine.streams().iter().filter(is_live).count());
        let room = room::left(free);
        if std::mem::replace(&mut self.room, room) != room {
            tracing::warn!(free, ?room, "the room on the disk has changed");
        }
        match self.engine.journal().is_in_place() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Ended::Displaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Ended::Displaced),
            // Another process leads the log in the bucket.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Ended::Journal(Failed::Journal(error)))
            }
            Err(error) => Err(Ended::Disk(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use record::kinds::log::Key;

    use super::*;
    use crate::engine::disk::OsDisk;
    use crate::engine::journal::SegmentLength;
    use crate::engine::recover::open;
    use crate::figures::MeasuredDisk;
    use crate::home::Home;
    use crate::seal::KeyEncryptionKeys;

    /// Enough that the last one hears of it long after the first one.
    const AT_ONCE: usize = 2_000;

    /// How many ask for a checkpoint at once: more than there is room for blocks that wait for the tree.
    const WISHES: usize = 1_500;

    /// How long an acknowledgement may take on a machine that does much else.
    const SOON: Duration = Duration::from_secs(1);

    fn started(folder: &std::path::Path) -> Log {
        let length = SegmentLength(8 << 20);
        let Home { identity, signers, .. } = Home::create(folder, length).unwrap();
        let figures = Arc::new(Figures::default());
        let disk = MeasuredDisk::new(OsDisk::new(folder), Arc::clone(&figures));
        let opened = open(disk.clone(), &identity, length).unwrap();
        let keys =
            Keys::new(KeyEncryptionKeys::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap());
        let (ended, _) = mpsc::unbounded_channel();
        start(opened, (disk, figures), (signers, keys), ended).unwrap()
    }

    fn asks(log: &Log) -> oneshot::Receiver<Result<Head, OwnError>> {
        let (reply, durable) = oneshot::channel();
        let whats = vec![What::Key(Key { verifier: "a".to_owned() })];
        log.ask(Ask::Own { grant: None, whats, reply });
        durable
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn many_who_ask_for_a_checkpoint_at_once_get_one_and_no_writer_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = started(folder.path());
        block_on(async {
            asks(&log).await.unwrap().unwrap();
            let wish = |_| {
                let log = log.clone();
                tokio::spawn(async move { log.publish().await })
            };
            let wishes: Vec<_> = (0..WISHES).map(wish).collect();
            tokio::task::yield_now().await;
            let asked = Instant::now();
            for _ in 0..3 {
                asks(&log).await.unwrap().unwrap();
            }
            assert!(asked.elapsed() < 3 * SOON, "{:?} for three records", asked.elapsed());
            let mut sizes = std::collections::BTreeSet::new();
            for wish in wishes {
                sizes.insert(wish.await.unwrap().unwrap().size);
            }
            assert!(sizes.len() <= 2, "{sizes:?}");
            assert!(asked.elapsed() < 3 * SOON, "{:?} for one checkpoint", asked.elapsed());
        });
    }

    #[test]
    fn who_has_heard_that_a_record_is_durable_finds_it_in_the_checkpoint_that_he_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = started(folder.path());
        block_on(async {
            for _ in 0..10 {
                let mut durable: Vec<_> = (0..AT_ONCE).map(|_| asks(&log)).collect();
                let head = durable.swap_remove(0).await.unwrap().unwrap();
                let size = log.publish().await.unwrap().size;
                assert!(size >= head.count.get(), "{size} records, and {} are durable", head.count);
                for durable in durable {
                    durable.await.unwrap().unwrap();
                }
            }
        });
    }
}
