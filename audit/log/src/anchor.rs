//! The newest checkpoint that others have seen, in a file that somebody else writes. It is believed where this log signed it.

use std::io;
use std::path::{Path, PathBuf};

use tlog::{Checkpoint, Note};

use crate::engine::recover::Identity;
use crate::home::Predecessor;

/// What is no anchor.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The file.
    #[error("cannot read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("the anchor is no checkpoint of a log: whoever writes it must mend it")]
    Form,
    /// It is of another log, or signed by nobody.
    #[error("the anchor is of the log {0}, and this is another one")]
    Other(String),
    /// It names this log, which did not sign it.
    #[error("the anchor is not signed by this log: its keys are others, or somebody changed it")]
    Unsigned,
}

/// The note in a file. One that is not there or empty holds none.
pub fn read(path: Option<&Path>) -> Result<Option<Note>, AnchorError> {
    let Some(path) = path else { return Ok(None) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AnchorError::Read { path: path.to_owned(), source }),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| AnchorError::Form)
}

/// What it says of this log; nothing, where it is still of the log that this one goes on with.
pub fn of(
    note: Option<Note>,
    identity: &Identity,
    predecessor: Option<&Predecessor>,
) -> Result<Option<Checkpoint>, AnchorError> {
    let Some(note) = note else { return Ok(None) };
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| AnchorError::Form)?;
    if predecessor.is_some_and(|predecessor| predecessor.origin == checkpoint.origin.as_str()) {
        return Ok(None);
    }
    if checkpoint.origin != identity.origin {
        return Err(AnchorError::Other(checkpoint.origin.to_string()));
    }
    note.verify(&identity.keys).map_err(|_| AnchorError::Unsigned)?;
    Ok(Some(checkpoint))
}

#[cfg(test)]
mod tests {
    use tlog::{Algorithm, Hash, Signer};

    use super::*;
    use crate::engine::block::LogId;

    #[test]
    fn an_anchor_is_a_checkpoint_that_this_log_signed() {
        let signer =
            |name: &str, seed| Signer::new(name.parse().unwrap(), Algorithm::Ed25519, &[seed; 32]).unwrap();
        let (own, other) = (signer("keyhole.internal/log/1", 1), signer("keyhole.internal/log/1", 2));
        let identity = Identity {
            origin: own.verifier().name().clone(),
            id: LogId([0; 8]),
            keys: vec![own.verifier().clone()],
            anchor: None,
        };
        let checkpoint =
            |name: &str| Checkpoint { origin: name.parse().unwrap(), size: 7, root: Hash([1; 32]) };
        let note = |checkpoint: &Checkpoint, signer| Some(checkpoint.signed([signer], 0).unwrap());
        let ours = checkpoint("keyhole.internal/log/1");
        assert_eq!(of(note(&ours, &own), &identity, None).unwrap(), Some(ours.clone()));
        assert!(matches!(of(note(&ours, &other), &identity, None), Err(AnchorError::Unsigned)));
        let theirs = checkpoint("keyhole.internal/log/2");
        assert!(matches!(of(note(&theirs, &own), &identity, None), Err(AnchorError::Other(_))));
        let before = Predecessor {
            origin: "keyhole.internal/log/2".into(),
            size: 7,
            root: String::new(),
            missing_from: 0,
            why: String::new(),
        };
        assert_eq!(of(note(&theirs, &other), &identity, Some(&before)).unwrap(), None);
        assert_eq!(of(None, &identity, None).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_not_there_or_empty_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert!(read(None).unwrap().is_none() && read(Some(&path)).unwrap().is_none());
        std::fs::write(&path, "\n").unwrap();
        assert!(read(Some(&path)).unwrap().is_none());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(read(Some(&path)), Err(AnchorError::Form)));
    }
}
