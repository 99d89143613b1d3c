//! A log and whom to trust with it: in a folder, on a server, or the cluster's; and, where it cannot be read, why, and what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use access::AuditorTask;
use audit::{Signed, Source, Unreadable};
use record::{Record, What};
use tlog::{BadPolicy, BadProofFile, NotTrusted, Policy};

use super::folder::Folder;
use super::live::{Live, LiveError, LiveFiles};
use super::web::{WebError, WebFiles};
use crate::args::{LiveArgs, LogUrl, Place, Texts};
use crate::cluster::Scope;

/// A log and a policy.
pub struct Log {
    name: String,
    /// The files.
    pub files: Files,
    /// Whom to trust.
    pub policy: Policy,
}

/// Where the files of a log are.
pub enum Files {
    /// In a folder.
    Folder(Folder),
    /// On a server.
    Web(WebFiles),
    /// In the cluster.
    Live(LiveFiles),
}

impl Source for Files {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => folder.read(path),
            Self::Web(files) => files.read(path),
            Self::Live(files) => files.read(path),
        }
    }
}

/// Where a log is that somebody names.
pub enum At<'a> {
    /// In a folder.
    Dir(&'a Path),
    /// Below a URL, on a server whose certificate is of these authorities, or of one that the system trusts.
    Url(&'a LogUrl, Option<&'a Path>),
}

/// What the command line says of a log.
pub struct Named<'a> {
    /// Where it is; without it, the cluster's.
    pub at: Option<At<'a>>,
    /// Whom to trust.
    pub policy: &'a Path,
    /// Whether texts are opened of the cluster's.
    pub texts: Texts,
    /// How that is reached.
    pub live: &'a LiveArgs,
}

/// Why nothing can be said of a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file that was named.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No policy.
    #[error("{path:?} is no policy")]
    Policy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadPolicy,
    },
    /// The log's own files.
    #[error("cannot read {name}")]
    Log {
        /// Which log.
        name: String,
        /// Why.
        source: Unreadable<io::Error>,
    },
    /// A server.
    #[error(transparent)]
    Web(WebError),
    /// An authority for no server.
    #[error("--certificate-authority goes with the https:// URL of a log")]
    NoServer,
    /// The cluster's log.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// No folder was named, and no cluster answers.
    #[error(transparent)]
    NoCluster(LiveError),
    /// A file of a copy.
    #[error("cannot write {path:?}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the folder for a copy holds already, or what the log has.
    #[error("{0}")]
    Copy(String),
    /// No proof.
    #[error("{path:?} is no proof")]
    BadProof {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadProofFile,
    },
    /// A proof with a checkpoint that is not to be trusted.
    #[error("the checkpoint of the proof in {path:?} is not to be trusted")]
    ProofOf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NotTrusted,
    },
    /// What cannot be proved, or is not what should be.
    #[error("{0}")]
    Proof(String),
    /// What the log's witness has seen cannot be read.
    #[error(
        "cannot read the checkpoint that the audit log's witness has signed, and nothing is proved without it"
    )]
    Witness(#[source] LiveError),
    /// What no witness has signed.
    #[error("{0}")]
    Unwitnessed(String),
    /// A grant that is in no record.
    #[error("no record of this log names the grant {0}")]
    NoGrant(record::Uid),
    /// What is no name of a grant.
    #[error("{name:?} names no grant")]
    Name {
        /// The text.
        name: String,
        /// Why.
        source: audit::story::BadName,
    },
    /// Standard output.
    #[error(transparent)]
    Output(#[from] anyhow::Error),
}

impl Log {
    /// Reads the policy, and looks for the log.
    pub fn open(place: &Place, named: &Named<'_>) -> Result<Self, LogError> {
        let Named { at, policy, texts, live } = named;
        let policy = policy_of(policy)?;
        let (name, files) = match at {
            Some(At::Dir(dir)) => {
                let read = |source| LogError::Read { path: dir.to_path_buf(), source };
                (format!("the log in {dir:?}"), Files::Folder(Folder::open(dir).map_err(read)?))
            }
            Some(At::Url(url, authorities)) => {
                let files = WebFiles::open(url, *authorities).map_err(LogError::Web)?;
                (format!("the log at {url}"), Files::Web(files))
            }
            None => {
                // The files hold every namespace's records.
                let live = Live::open(place, live, (AuditorTask::Audit, Scope::Everywhere));
                let live = live.map_err(|error| match error {
                    LiveError::Reach(_) | LiveError::Call(_) => LogError::NoCluster(error),
                    error => LogError::Live(error),
                })?;
                ("the cluster's log".to_owned(), Files::Live(LiveFiles::new(live, *texts)))
            }
        };
        Ok(Self { name, files, policy })
    }

    /// Its checkpoint, signed as the policy asks.
    pub fn signed(&self) -> Result<Signed<'_, Files>, LogError> {
        Signed::open(&self.files, &self.policy).map_err(|source| self.unreadable(source))
    }

    /// What it is called in a sentence.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The error with the log's name.
    pub fn unreadable(&self, source: Unreadable<io::Error>) -> LogError {
        LogError::Log { name: self.name.clone(), source }
    }
}

/// Whether a record says that the entries before this one were removed.
pub fn removes(record: &Record, before: u64) -> bool {
    matches!(&record.what, What::Prune(prune) if prune.minimum.get() >= before)
}

/// The policy in this file.
pub fn policy_of(path: &Path) -> Result<Policy, LogError> {
    text_of(path)?.parse().map_err(|source| LogError::Policy { path: path.to_path_buf(), source })
}

/// All of a file that is text.
pub fn text_of(path: &Path) -> Result<String, LogError> {
    fs::read_to_string(path).map_err(|source| LogError::Read { path: path.to_owned(), source })
}

impl LogError {
    /// What to do, in a sentence; `None`, where the error says it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Log { source, .. } => advice(source),
            Self::Policy { .. } => Some(
                "A policy has a line `log KEY` for the log, a line `witness NAME KEY` for each witness, and a line `quorum NAME`, or `quorum none` \
                 without a witness: a log's key alone makes a policy of the two lines `log KEY` and `quorum none`. Ask for the policy whoever \
                 answers for the log.",
            ),
            Self::NoGrant(_) => Some(
                "Take the uid from the AccessGrant, or find it by the grant's name: `kubectl keyhole audit show`.",
            ),
            Self::Web(error) => Some(error.advice()),
            Self::Live(error) => advice_of_live(error),
            Self::NoCluster(_) => Some(
                "Without a folder this asks the cluster's log. To read a copy, name its folder or its URL: `kubectl keyhole audit verify DIR --policy FILE`; \
                 with `audit export` and `audit show` it is --dir DIR.",
            ),
            Self::ProofOf { source, .. } => Some(advice_of_proof(source)),
            Self::BadProof { .. } => Some(
                "A proof is a file of C2SP tlog-proof, as `kubectl keyhole receipt GRANT --proof FILE` writes it: get it again.",
            ),
            Self::Witness(error @ LiveError::Anchor { .. }) => advice_of_live(error),
            Self::Witness(_) => Some(
                "Role keyhole-log-reader in the namespace of the release lets you read it: ask the platform team to bind it, or for a group of \
                 `auditors.groups`.",
            ),
            Self::Unwitnessed(_) => Some(
                "Ask again in a minute. If it stays so, the operator does not sign as the log's witness, or the log lacks the record: tell \
                 whoever answers for the log.",
            ),
            Self::Name { .. }
            | Self::NoServer
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Copy(_)
            | Self::Proof(_)
            | Self::Output(_) => None,
        }
    }
}

fn advice_of_live(error: &LiveError) -> Option<&'static str> {
    match error {
        LiveError::Forward { .. } => Some(
            "You need Role keyhole-log-reader in the namespace of the release: ask the platform team to bind it, or for a group of \
             `auditors.groups`.",
        ),
        LiveError::Anchor { .. } => Some(
            "Take nothing in its place: the log's own word is not its witness's. While the operator runs, it writes that ConfigMap anew within \
             a minute: ask again. If it stays so, somebody keeps changing it, or the operator does not run: tell the platform team, and keep the \
             policy that you have.",
        ),
        LiveError::Pass(_) => Some(
            "To ask for a certificate you need ClusterRole keyhole-log-connect, and for what it opens keyhole-records, or \
             keyhole-records-eraser to erase: the platform team binds them.",
        ),
        LiveError::Tls { .. } => Some(
            "Whoever answers is not the audit log that the operator vouches for, or does not know your certificate's authority yet: try \
             again in a minute, and tell the platform team if it stays.",
        ),
        _ => None,
    }
}

fn advice_of_proof(error: &NotTrusted) -> &'static str {
    match error {
        NotTrusted::Note(_) | NotTrusted::Checkpoint(_) => {
            "The proof is damaged: have it written again by `kubectl keyhole receipt GRANT --proof FILE`."
        }
        NotTrusted::Unsigned(_) | NotTrusted::Log(_) => {
            "Either the policy is another log's, or old: ask whoever answers for the log. Or the proof is not this log's: then it proves nothing."
        }
        NotTrusted::Quorum => {
            "The log signed it, and too few witnesses did: have it written again by `kubectl keyhole receipt GRANT --proof FILE`, which takes a \
             checkpoint with the witness's signature alone."
        }
    }
}

fn advice(error: &Unreadable<io::Error>) -> Option<&'static str> {
    Some(match error {
        Unreadable::Source { source, .. } => {
            let inner = source.get_ref();
            if let Some(error) = inner.and_then(|error| error.downcast_ref::<WebError>()) {
                return Some(error.advice());
            }
            let live = inner.and_then(|error| error.downcast_ref::<LiveError>());
            return live.map_or(Some(UNREADABLE_FOLDER), advice_of_live);
        }
        Unreadable::NoCheckpoint => {
            "Name the folder, or the URL, that the file `checkpoint` lies in: the top of a copy, or the log's volume."
        }
        Unreadable::NoText | Unreadable::NotTrusted(NotTrusted::Note(_) | NotTrusted::Checkpoint(_)) => {
            "The file `checkpoint` is damaged: copy it again."
        }
        Unreadable::NotTrusted(NotTrusted::Unsigned(_) | NotTrusted::Log(_)) => {
            "Either the policy is another log's, or old: ask whoever answers for the log. Or the checkpoint is not this log's: then trust \
             nothing in the folder."
        }
        Unreadable::NotTrusted(NotTrusted::Quorum) => {
            "The log signed it, and too few witnesses did. On the log's own volume and in its mirror no checkpoint has the witness's signature, \
             and waiting does not help: make a copy with `kubectl keyhole audit copy`, or take a policy with the line `quorum none`, and --since \
             with a checkpoint that the witness signed. Of a copy made by `audit copy` while nobody had signed: copy again in a minute. If the \
             witness never signs it, it has seen another history of this log: tell whoever answers for it."
        }
        Unreadable::OlderNotTrusted(_) | Unreadable::OtherLog(_) => {
            "With --since goes the file `checkpoint` of an older copy of this log, unchanged."
        }
    })
}

/// What to do with a folder that cannot be read.
const UNREADABLE_FOLDER: &str =
    "The folder must be readable, and hold the log's files and nothing in their place: copy it again.";
