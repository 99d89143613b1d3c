//! The running log: opened, held against itself, started, and stopped.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use record::kinds::log::{Key, Loss, Start};
use record::{Count, What};
use tlog::{Checkpoint, KeyName, Note};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::anchor::{self, AnchorError};
use crate::append::{self, Callers, Desk};
use crate::args::{MirrorArgs, Serve};
use crate::bucket::{Bucket as _, BucketError, BucketUrl, Place, S3};
use crate::engine::blocks::NotPut;
use crate::engine::commit::Failed;
use crate::engine::disk::OsDisk;
use crate::engine::journal::{BadJournal, Journal as _, SegmentLength};
use crate::engine::keys::Role;
use crate::engine::prune::Begins;
use crate::engine::recover::{Identity, NotOpened, open};
use crate::engine::storage::InBucket;
use crate::figures::{Figures, MeasuredBucket, MeasuredDisk};
use crate::home::in_bucket::{SIGNERS, folder_of};
use crate::home::{Home, HomeError, Predecessor};
use crate::index::Index;
use crate::mark::Mark;
use crate::mend::advice;
use crate::mirror::{Mirroring, Original};
use crate::place::{Lies, NoPlace, key_encryption_keys};
use crate::pruning::Pruning;
use crate::read;
use crate::retention::{self, Days, TextsOutlive};
use crate::scrubbing::Scrubbing;
use crate::seal::Keys;
use crate::threads::{Ask, Ended, Log, start};
use crate::tls::{Tls, TlsError};

/// The exit code of a process of which another one has taken the lead.
pub const LED: u8 = 5;

/// How long a start waits for a bucket that does not answer, before it ends.
const STORE: Duration = Duration::from_secs(120);

/// How long it waits between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Why the log does not run, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder.
    #[error("there is no log to run")]
    Home(#[source] HomeError),
    /// The identity.
    #[error("the log has no identity on the network")]
    Tls(#[source] TlsError),
    /// How long something is kept.
    #[error("what is kept for how long contradicts itself")]
    Days(#[source] TextsOutlive),
    /// Where it lies, and what opens its keys.
    #[error("it cannot be said where the log lies, or what opens its keys")]
    Place(#[source] NoPlace),
    /// What is on the disk.
    #[error("the log is not started; {advice}. What it has contradicts itself")]
    Open {
        /// What to do.
        advice: String,
        /// What is wrong.
        source: NotOpened,
    },
    /// What is on the disk is not what others have seen.
    #[error("the log is not started; {advice}. It is not the log that others have seen")]
    Anchored {
        /// What to do.
        advice: String,
        /// What is wrong.
        source: NotOpened,
    },
    /// Others have seen a log, and there is none.
    #[error(
        "others have seen {size} records of log {origin}, and there is no log in {dir:?}: restore a copy of it. Where there is none, \
         `keyhole-log accept-loss --dir {} --anchor FILE --why TEXT` begins a new log that says so; FILE is the anchor", dir.display()
    )]
    Gone {
        /// Its name.
        origin: String,
        /// How many.
        size: u64,
        /// Where it should be.
        dir: PathBuf,
    },
    /// Another pod has led the log since this one did.
    #[error(
        "another process leads the log in the bucket, and has begun after this pod led: it does not take the lead back by itself. To have it do so, delete its pod, or {0:?}"
    )]
    Overtaken(PathBuf),
    /// The anchor.
    #[error("cannot use the anchor")]
    Anchor(#[source] AnchorError),
    /// A port.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no threads or signals.
    #[error("the system gives no threads or signals")]
    System(#[source] io::Error),
    /// It ran, and ended.
    #[error("the log ends: nothing is acknowledged any more")]
    Ended(#[source] Ended),
    /// It ended before it said why.
    #[error("the log ended while it started")]
    Silent,
}

impl ServeError {
    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Ended(Ended::Journal(Failed::Journal(error))) if is_led(error) => LED,
            Self::Open { source: NotOpened::Journal(BadJournal::Disk(error)), .. } if is_led(error) => LED,
            Self::Overtaken(_) => LED,
            Self::Open { .. } | Self::Ended(_) | Self::Silent => 3,
            Self::Anchored { .. } | Self::Gone { .. } | Self::Anchor(_) => 4,
            Self::Home(_)
            | Self::Tls(_)
            | Self::Place(_)
            | Self::Days(_)
            | Self::Listen { .. }
            | Self::System(_) => 1,
        }
    }
}

/// Whether another process leads the log in the bucket.
fn is_led(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| matches!(inner.downcast_ref(), Some(NotPut::Taken(_))))
}

/// Runs until the process is told to stop, or the disk fails.
pub async fn serve(args: &Serve) -> Result<(), ServeError> {
    let days = Days::new(args.texts_for, args.entries_for).map_err(ServeError::Days)?;
    let tls = Arc::new(Tls::new(&args.identity, record::frame::ALPN).map_err(ServeError::Tls)?);
    let tls_read = Arc::new(Tls::new(&args.identity, b"http/1.1").map_err(ServeError::Tls)?);
    let keys = Keys::new(key_encryption_keys(&args.kek).map_err(ServeError::Place)?);
    let (append, read, health) = (
        listen(args, args.port_append).await?,
        listen(args, args.port_read).await?,
        listen(args, args.port_health).await?,
    );
    let mut stop = signal(SignalKind::terminate()).map_err(ServeError::System)?;
    let (ended, mut why) = mpsc::unbounded_channel();
    // No other process opens the log as long as this one lives.
    let figures = Arc::new(Figures::default());
    let begun = tokio::select! {
        begun = begin(args, keys.clone(), ended, &figures) => begun,
        // What was begun is as if it had been killed.
        _ = stop.recv() => return Ok(()),
    };
    let Begun { log, files, index, identity, predecessor, size, _lock } = match begun {
        // The thread that ended says why.
        Err(ServeError::Silent) => {
            return Err(why.recv().await.map_or(ServeError::Silent, ServeError::Ended));
        }
        begun => begun?,
    };
    tracing::info!(append = args.port_append, read = args.port_read, "the log takes records");
    let rest = Duration::from_secs(args.scrub_rest);
    let scrubbing = Scrubbing {
        files: files.clone(),
        keys: keys.clone(),
        verifiers: identity.keys.clone(),
        published: log.published(),
        rest,
        figures: Arc::clone(&figures),
    };
    scrubbing.start().map_err(ServeError::System)?;
    copies(args, &log, (&files, &identity), &figures)?;
    let source = Arc::clone(files.source());
    let reading = read::Desk::new(log.clone(), files, index.clone(), keys.clone());
    let pruning = Pruning {
        desk: reading.clone(),
        identity,
        predecessor,
        anchor: args.anchor.clone(),
        figures: Arc::clone(&figures),
        start: size,
    };
    let desk =
        Desk { log: log.clone(), keys, source, figures: Arc::clone(&figures), callers: Callers::default() };
    tokio::select! {
        () = append::serve(append, tls, desk) => Err(ServeError::Silent),
        () = retention::keep(reading.clone(), pruning, days) => Err(ServeError::Silent),
        () = read::serve(read, tls_read, reading) => Err(ServeError::Silent),
        () = read::serve_health(health, figures, index) => Err(ServeError::Silent),
        ended = why.recv() => Err(ended.map_or(ServeError::Silent, ServeError::Ended)),
        _ = stop.recv() => {
            // What is durable is in the tree when a reader looks next.
            log.publish().await;
            tracing::info!("the log was told to stop");
            Ok(())
        }
    }
}

/// Copies the log's files from now on, where they are to be copied.
fn copies(
    args: &Serve,
    log: &Log,
    (files, identity): (&read::Files, &Identity),
    figures: &Arc<Figures>,
) -> Result<(), ServeError> {
    let Some(place) = mirror(&args.mirror, &identity.origin) else { return Ok(()) };
    let (origin, keys) = (identity.origin.clone(), identity.keys.clone());
    let original = Original { files: files.clone(), origin, keys };
    let mirroring = Mirroring { original, published: log.published(), figures: Arc::clone(figures) };
    tracing::info!(mirror = place.url.to_string(), "the log's files are copied");
    mirroring.start(move || S3::new(&place)).map_err(ServeError::System)
}

async fn listen(args: &Serve, port: u16) -> Result<TcpListener, ServeError> {
    let address = SocketAddr::new(args.listen_address, port);
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// A log that runs.
struct Begun {
    log: Log,
    files: read::Files,
    index: Index,
    identity: Identity,
    predecessor: Option<Predecessor>,
    /// How many records it had when it was opened.
    size: u64,
    _lock: Option<File>,
}

/// Opens the log, puts its start on record, and makes the tree of all that the journal has.
async fn begin(
    args: &Serve,
    keys: Keys,
    ended: mpsc::UnboundedSender<Ended>,
    figures: &Arc<Figures>,
) -> Result<Begun, ServeError> {
    let anchor = anchor::read(args.anchor.as_deref()).map_err(ServeError::Anchor)?;
    let lies = Lies::at(Some(&args.dir), &args.bucket, Some(&args.kek)).map_err(ServeError::Place)?;
    if let Lies::Bucket(shelf) = &lies {
        answers(&shelf.bucket).await;
    }
    let home = match lies.open() {
        Err(HomeError::Missing(_)) if args.create && anchor.is_none() => match lies.create() {
            // Of two first starts one makes the log.
            Err(HomeError::Exists(_)) => lies.open(),
            made => made,
        },
        Err(HomeError::Missing(_)) if anchor.is_some() => return Err(gone(args, anchor.as_ref())),
        opened => opened,
    };
    let Home { mut identity, signers, predecessor, lock } = home.map_err(ServeError::Home)?;
    identity.anchor = anchor::of(anchor, &identity, predecessor.as_ref()).map_err(ServeError::Anchor)?;
    let mirror = mirror(&args.mirror, &identity.origin).map(|place| place.url);
    let (figures, length) = (|| Arc::clone(figures), SegmentLength::default());
    let (log, size, begins) = match &lies {
        Lies::Folder(folder) => {
            let disk = MeasuredDisk::new(OsDisk::new(folder), figures());
            let opened = open(disk.clone(), &identity, length).map_err(|error| not_opened(error, mirror))?;
            if let Some(block) = opened.engine.journal().dropped() {
                tracing::warn!(
                    block,
                    "the journal's last block was not finished, so never acknowledged: it is dropped"
                );
            }
            let (size, begins) = (opened.engine.size(), opened.pruned.minimum);
            (start(opened, (disk, figures()), (signers, keys), ended), size, begins)
        }
        Lies::Bucket(shelf) => {
            let bucket = MeasuredBucket::new(shelf.bucket.inside(&folder_of(&identity)), figures());
            let mark = may_lead(args, &bucket, mirror.as_ref())?;
            let storage = InBucket { bucket, role: Role::Leads, mark: mark.bytes() };
            let opened =
                open(storage.clone(), &identity, length).map_err(|error| not_opened(error, mirror))?;
            mark.leads().map_err(ServeError::System)?;
            let (size, begins) = (opened.engine.size(), opened.pruned.minimum);
            (start(opened, (storage, figures()), (signers, keys), ended), size, begins)
        }
    };
    let log = log.map_err(ServeError::System)?;
    tracing::info!(origin = identity.origin.as_str(), size, "the log is opened");
    let begins = Begins::with(begins);
    figures().begins(begins.index());
    let files = read::Files::new(lies.source(&identity)).beginning(begins);
    own(&log, of_the_start(&identity, predecessor.as_ref(), size)).await?;
    // Whoever reads finds what the journal has.
    log.publish().await.ok_or(ServeError::Silent)?;
    let index = Index::start(&args.dir, files.clone(), identity.origin.clone(), log.published());
    let index = index.map_err(ServeError::System)?;
    Ok(Begun { log, files, index, identity, predecessor, size, _lock: lock })
}

/// The records of a start that has found so many.
fn of_the_start(identity: &Identity, predecessor: Option<&Predecessor>, found: u64) -> Vec<What> {
    let (origin, release) = (identity.origin.to_string(), env!("CARGO_PKG_VERSION").to_owned());
    let mut whats = vec![What::Start(Start { origin, predecessor: predecessor.and_then(named), release })];
    // In one block with the first record: nothing that stops the log leaves one without the other.
    if let Some(Predecessor { missing_from, size, why, .. }) = predecessor.filter(|_| found == 0) {
        let (from, to) = (Count::of(*missing_from), Count::of(size.saturating_sub(1)));
        whats.push(What::Loss(Loss { from, to, why: why.clone() }));
    }
    whats.extend(identity.keys.iter().map(|key| What::Key(Key { verifier: key.to_string() })));
    whats
}

/// The mark of this pod, where no other one has led the log in the bucket since it did.
fn may_lead(args: &Serve, bucket: &MeasuredBucket, mirror: Option<&BucketUrl>) -> Result<Mark, ServeError> {
    fs::create_dir_all(&args.dir).map_err(ServeError::System)?;
    let mark = Mark::of(&args.dir).map_err(ServeError::System)?;
    match mark.is_overtaken(bucket) {
        Ok(false) => Ok(mark),
        Ok(true) => Err(ServeError::Overtaken(mark.file().to_owned())),
        Err(error) => Err(not_opened(NotOpened::Journal(error), mirror.cloned())),
    }
}

/// Waits until the bucket answers, for a while: each start that ends because it does not leaves a fence in the journal.
async fn answers(bucket: &S3) {
    let (began, mut is_told) = (Instant::now(), false);
    while began.elapsed() < STORE {
        let bucket = bucket.clone();
        match spawn_blocking(move || bucket.list(SIGNERS)).await {
            Ok(Err(error @ BucketError::Away { .. })) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "the log waits for its bucket");
                }
                sleep(LOOK).await;
            }
            _ => return,
        }
    }
}

/// The log that others have seen is not here.
fn gone(args: &Serve, anchor: Option<&Note>) -> ServeError {
    let seen: Option<Checkpoint> = anchor.and_then(|note| note.text().parse().ok());
    let (origin, size) = seen.map_or_else(Default::default, |seen| (seen.origin.to_string(), seen.size));
    ServeError::Gone { origin, size, dir: args.dir.clone() }
}

fn not_opened(source: NotOpened, mirror: Option<BucketUrl>) -> ServeError {
    let advice = advice(&source, mirror.as_ref());
    match source {
        NotOpened::Behind { .. } | NotOpened::Beside(_) => ServeError::Anchored { advice, source },
        source => ServeError::Open { advice, source },
    }
}

/// Where the files are copied to: each log has a folder of its own, so that one that follows another goes into no other's.
fn mirror(args: &MirrorArgs, origin: &KeyName) -> Option<Place> {
    let place = args.place()?;
    let name = origin.as_str().rsplit('/').next().unwrap_or_default();
    Some(Place { url: place.url.inside(name), ..place })
}

/// A log that was given up, as the record of a start names it.
fn named(predecessor: &Predecessor) -> Option<record::kinds::log::Predecessor> {
    let Predecessor { origin, size, root, .. } = predecessor;
    let (origin, root, size) = (origin.clone(), root.parse().ok()?, Count::of(*size));
    Some(record::kinds::log::Predecessor { origin, root, size })
}

async fn own(log: &Log, whats: Vec<What>) -> Result<(), ServeError> {
    let (reply, durable) = oneshot::channel();
    log.ask(Ask::Own { grant: None, whats, reply });
    match durable.await {
        Ok(Ok(_)) => Ok(()),
        // A disk that is full is told to everybody who writes.
        Ok(Err(error)) => {
            tracing::error!(%error, "records of the log's own are missing");
            Ok(())
        }
        Err(_) => Err(ServeError::Silent),
    }
}
