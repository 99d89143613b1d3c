//! The running log: opened, held against itself, started, and stopped.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use record::kinds::log::{Key, Loss, Start};
use record::{Count, What};
use tlog::{KeyName, VerifierKey};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::anchor::{self, AnchorError};
use crate::append::{self, Callers, Desk};
use crate::args::{MirrorArgs, Serve};
use crate::bucket::{Place, S3};
use crate::engine::disk::OsDisk;
use crate::engine::journal::SegmentLength;
use crate::engine::recover::{NotOpened, open};
use crate::figures::{Figures, MeasuredDisk};
use crate::home::{Home, HomeError, Predecessor};
use crate::index::Index;
use crate::mend::advice;
use crate::mirror::{Mirroring, Original};
use crate::read;
use crate::retention;
use crate::scrubbing::Scrubbing;
use crate::seal::{KeyEncryptionKeys, Keys, SealError};
use crate::source::Folder;
use crate::threads::{Ask, Ended, Log, start};
use crate::tls::{Tls, TlsError};

/// Why the log does not run, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder.
    #[error("there is no log to run")]
    Home(#[source] HomeError),
    /// The identity.
    #[error("the log has no identity on the network")]
    Tls(#[source] TlsError),
    /// The file of key-encryption keys.
    #[error("cannot read {path:?}")]
    ReadKeys {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("{path:?} cannot be used")]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// What is on the disk.
    #[error("the log is not started; {advice}. What is on its disk contradicts itself")]
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
            Self::Open { .. } | Self::Ended(_) | Self::Silent => 3,
            Self::Anchored { .. } | Self::Anchor(_) => 4,
            Self::Home(_)
            | Self::Tls(_)
            | Self::ReadKeys { .. }
            | Self::Keys { .. }
            | Self::Listen { .. }
            | Self::System(_) => 1,
        }
    }
}

/// Runs until the process is told to stop, or the disk fails.
pub async fn serve(args: &Serve) -> Result<(), ServeError> {
    let tls = Arc::new(Tls::new(&args.identity, record::frame::ALPN).map_err(ServeError::Tls)?);
    let tls_read = Arc::new(Tls::new(&args.identity, b"http/1.1").map_err(ServeError::Tls)?);
    let keys = Keys::new(key_encryption_keys(&args.kek)?);
    let (append, read, health) = (
        listen(args, args.port_append).await?,
        listen(args, args.port_read).await?,
        listen(args, args.port_health).await?,
    );
    let mut stop = signal(SignalKind::terminate()).map_err(ServeError::System)?;
    let (ended, mut why) = mpsc::unbounded_channel();
    // No other process opens the log as long as this one lives.
    let figures = Arc::new(Figures::default());
    let Begun { log, files, index, origin, verifiers, _lock } =
        match begin(args, keys.clone(), ended, &figures).await {
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
        published: log.published(),
        rest,
        figures: Arc::clone(&figures),
    };
    scrubbing.start().map_err(ServeError::System)?;
    if let Some(place) = place(&args.mirror, &origin) {
        let original = Original { files: files.clone(), origin, keys: verifiers };
        let mirroring = Mirroring { original, published: log.published(), figures: Arc::clone(&figures) };
        tracing::info!(mirror = place.url.to_string(), "the log's files are copied");
        mirroring.start(move || S3::new(&place)).map_err(ServeError::System)?;
    }
    let source = Arc::clone(files.source());
    let reading = read::Desk::new(log.clone(), files, index.clone(), keys.clone());
    let desk =
        Desk { log: log.clone(), keys, source, figures: Arc::clone(&figures), callers: Callers::default() };
    tokio::select! {
        () = append::serve(append, tls, desk) => Err(ServeError::Silent),
        () = retention::keep(reading.clone(), args.texts_for) => Err(ServeError::Silent),
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

fn key_encryption_keys(path: &std::path::Path) -> Result<KeyEncryptionKeys, ServeError> {
    let failed = |source| ServeError::ReadKeys { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(failed)?;
    KeyEncryptionKeys::parse(&text).map_err(|source| ServeError::Keys { path: path.to_owned(), source })
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
    origin: KeyName,
    verifiers: Vec<VerifierKey>,
    _lock: File,
}

/// Opens the log, puts its start on record, and makes the tree of all that the journal has.
async fn begin(
    args: &Serve,
    keys: Keys,
    ended: mpsc::UnboundedSender<Ended>,
    figures: &Arc<Figures>,
) -> Result<Begun, ServeError> {
    let anchor = anchor::read(args.anchor.as_deref()).map_err(ServeError::Anchor)?;
    let home = match Home::open(&args.dir) {
        Err(HomeError::Missing(_)) if args.create && anchor.is_none() => {
            Home::create(&args.dir, SegmentLength::default())
        }
        opened => opened,
    };
    let Home { path, mut identity, signers, predecessor, lock } = home.map_err(ServeError::Home)?;
    identity.anchor = anchor::of(anchor, &identity, predecessor.as_ref()).map_err(ServeError::Anchor)?;
    let disk = MeasuredDisk::new(OsDisk::new(&path), Arc::clone(figures));
    let opened = open(disk.clone(), &identity, SegmentLength::default());
    let opened = opened.map_err(|source| {
        let mirror = place(&args.mirror, &identity.origin).map(|place| place.url);
        let advice = advice(&source, mirror.as_ref());
        match source {
            NotOpened::Behind { .. } | NotOpened::Beside(_) => ServeError::Anchored { advice, source },
            source => ServeError::Open { advice, source },
        }
    })?;
    let is_first = opened.engine.size() == 0;
    tracing::info!(origin = identity.origin.as_str(), size = opened.engine.size(), "the log is opened");
    let (name, verifiers) = (identity.origin.clone(), identity.keys);
    let log =
        start(opened, (disk, Arc::clone(figures)), (signers, keys), ended).map_err(ServeError::System)?;
    let origin = identity.origin.to_string();
    let release = env!("CARGO_PKG_VERSION").to_owned();
    own(&log, What::Start(Start { origin, predecessor: predecessor.as_ref().and_then(named), release }))
        .await?;
    if let Some(Predecessor { missing_from, size, why, .. }) = predecessor.filter(|_| is_first) {
        let (from, to) = (Count::of(missing_from), Count::of(size.saturating_sub(1)));
        own(&log, What::Loss(Loss { from, to, why })).await?;
    }
    for verifier in verifiers.iter().map(ToString::to_string) {
        own(&log, What::Key(Key { verifier })).await?;
    }
    // Whoever reads finds what the journal has.
    log.publish().await.ok_or(ServeError::Silent)?;
    let files = read::Files::new(Arc::new(Folder(path.clone())));
    let index = Index::start(&path, files.clone(), identity.origin, log.published());
    let index = index.map_err(ServeError::System)?;
    Ok(Begun { log, files, index, origin: name, verifiers, _lock: lock })
}

/// Where the files are copied to: each log has a folder of its own, so that one that follows another goes into no other's.
fn place(args: &MirrorArgs, origin: &KeyName) -> Option<Place> {
    let MirrorArgs { mirror, mirror_endpoint: endpoint, mirror_region: region, mirror_credentials } =
        args.clone();
    let name = origin.as_str().rsplit('/').next().unwrap_or_default();
    Some(Place { url: mirror?.inside(name), endpoint, region, credentials: mirror_credentials? })
}

/// A log that was given up, as the record of a start names it.
fn named(predecessor: &Predecessor) -> Option<record::kinds::log::Predecessor> {
    let Predecessor { origin, size, root, .. } = predecessor;
    let (origin, root, size) = (origin.clone(), root.parse().ok()?, Count::of(*size));
    Some(record::kinds::log::Predecessor { origin, root, size })
}

async fn own(log: &Log, what: What) -> Result<(), ServeError> {
    let (reply, durable) = oneshot::channel();
    log.ask(Ask::Own { grant: None, what, reply });
    match durable.await {
        Ok(Ok(_)) => Ok(()),
        // A disk that is full is told to everybody who writes.
        Ok(Err(error)) => {
            tracing::error!(%error, "a record of the log's own is missing");
            Ok(())
        }
        Err(_) => Err(ServeError::Silent),
    }
}
