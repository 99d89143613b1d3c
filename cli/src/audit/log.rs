//! The log in a folder and whom to trust with it; and, where it cannot be read, why, and what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use audit::{Signed, Unreadable};
use tlog::{BadPolicy, NotTrusted, Policy};

use super::folder::Folder;

/// A folder and a policy.
pub struct Log<'a> {
    path: &'a Path,
    /// The files.
    pub folder: Folder,
    /// Whom to trust.
    pub policy: Policy,
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
    #[error("cannot read the log in {path:?}")]
    Log {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Unreadable<io::Error>,
    },
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

impl<'a> Log<'a> {
    /// Reads the policy, and looks for the folder.
    pub fn open(path: &'a Path, policy: &Path) -> Result<Self, LogError> {
        let text = text_of(policy)?;
        let policy = text.parse().map_err(|source| LogError::Policy { path: policy.to_owned(), source })?;
        let folder = Folder::open(path).map_err(|source| LogError::Read { path: path.to_owned(), source })?;
        Ok(Self { path, folder, policy })
    }

    /// Its checkpoint, signed as the policy asks.
    pub fn signed(&self) -> Result<Signed<'_, Folder>, LogError> {
        Signed::open(&self.folder, &self.policy).map_err(|source| self.unreadable(source))
    }

    /// The error with the folder's name.
    pub fn unreadable(&self, source: Unreadable<io::Error>) -> LogError {
        LogError::Log { path: self.path.to_owned(), source }
    }
}

/// All of a file that is text.
pub fn text_of(path: &Path) -> Result<String, LogError> {
    fs::read_to_string(path).map_err(|source| LogError::Read { path: path.to_owned(), source })
}

impl LogError {
    /// What to do, in a sentence; `None`, where the error says it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Log { source, .. } => Some(advice(source)),
            Self::Policy { .. } => Some(
                "A policy has a line `log KEY` for the log, a line `witness NAME KEY` for each witness, and a line `quorum NAME`. Ask for \
                 the policy whoever answers for the log.",
            ),
            Self::NoGrant(_) => Some(
                "Take the uid from the AccessGrant, or find it by the grant's name: `kubectl keyhole audit show`.",
            ),
            Self::Name { .. } | Self::Read { .. } | Self::Output(_) => None,
        }
    }
}

fn advice(error: &Unreadable<io::Error>) -> &'static str {
    match error {
        Unreadable::Source { .. } => {
            "The folder must be readable, and hold the log's files and nothing in their place: copy it again."
        }
        Unreadable::NoCheckpoint => {
            "Name the folder that the file `checkpoint` lies in: the top of a copy, or the log's volume."
        }
        Unreadable::NoText | Unreadable::NotTrusted(NotTrusted::Note(_) | NotTrusted::Checkpoint(_)) => {
            "The file `checkpoint` is damaged: copy it again."
        }
        Unreadable::NotTrusted(NotTrusted::Unsigned(_) | NotTrusted::Log(_)) => {
            "Either the policy is another log's, or old: ask whoever answers for the log. Or the checkpoint is not this log's: then trust \
             nothing in the folder."
        }
        Unreadable::NotTrusted(NotTrusted::Quorum) => {
            "The log signed it, and too few witnesses did: copy the file `checkpoint` again in a minute. If they never sign it, they have seen \
             another history of this log: tell whoever answers for it."
        }
        Unreadable::OlderNotTrusted(_) | Unreadable::OtherLog(_) => {
            "With --since goes the file `checkpoint` of an older copy of this log, unchanged."
        }
    }
}
