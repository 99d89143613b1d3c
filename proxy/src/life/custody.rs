//! Puts the accessor of the owning token on record before any credential is read: whatever happens to this process
//! later, somebody else can revoke everything by it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use access::report::failure;
use access::{Custody, Grant};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;

use super::failure::{Setback, setback};
use crate::ending::Ending;
use crate::status::Board;

/// How long we wait for the operator before the report says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line of the custody file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    grant_uid: &'a str,
    token_accessor: &'a str,
    written_at: Timestamp,
}

/// How waiting for custody ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited {
    /// The accessor is on record.
    OnRecord,
    /// The grant ended before it was.
    Over,
}

/// Waits until the accessor is on record.
///
/// The operator may take as long as the grant lasts: until it has the accessor nothing worth revoking exists.
pub async fn keep(grant: &Grant, board: &Board, ending: &Ending, accessor: &str) -> Result<Waited, Setback> {
    board.show_accessor(accessor);
    match &grant.custody {
        Custody::File(path) => {
            write(
                path,
                &Line {
                    grant_uid: &grant.identity.uid,
                    token_accessor: accessor,
                    written_at: crate::clock::now(),
                },
            )
            .map_err(|error| setback(failure::CUSTODY, &format!("cannot write {path:?}: {error}"), false))?;
            Ok(Waited::OnRecord)
        }
        Custody::Operator => Ok(wait(board, ending).await),
    }
}

async fn wait(board: &Board, ending: &Ending) -> Waited {
    let kept = async {
        tokio::select! {
            () = board.on_record() => Waited::OnRecord,
            _ = ending.began() => Waited::Over,
        }
    };
    tokio::pin!(kept);
    if let Ok(kept) = timeout(PATIENCE, &mut kept).await {
        return kept;
    }
    let message = "the operator has not put this proxy's token accessor on record for 60 s: is it running?";
    board.failed(setback(failure::CUSTODY, message, true).failure);
    kept.await
}

/// Adds a line and syncs file and folder. Earlier lines stay: their tokens may still have to be revoked.
fn write(path: &Path, line: &Line<'_>) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use access::EndReason;

    use super::*;
    use crate::ending::EndCause;
    use crate::life::sample;

    #[tokio::test]
    async fn nothing_goes_on_before_the_operator_has_the_very_accessor() {
        let (board, ending) = (Board::new("u".into(), Arc::default()), Ending::new());
        let grant = sample::grant();
        let kept = keep(&grant, &board, &ending, "ours");
        tokio::pin!(kept);
        assert!(futures_pending(&mut kept).await);
        assert!(board.confirm("another").is_err());
        assert!(futures_pending(&mut kept).await);
        board.confirm("ours").unwrap();
        assert_eq!(kept.await, Ok(Waited::OnRecord));
    }

    #[tokio::test]
    async fn a_grant_that_ends_meanwhile_is_over() {
        let (board, ending) = (Board::new("u".into(), Arc::default()), Ending::new());
        ending.begin(EndCause::of(EndReason::Revoked));
        assert_eq!(keep(&sample::grant(), &board, &ending, "ours").await, Ok(Waited::Over));
    }

    #[tokio::test]
    async fn a_custody_file_keeps_every_accessor_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("custody");
        let (board, ending) = (Board::new("u".into(), Arc::default()), Ending::new());
        let grant = Grant { custody: Custody::File(path.clone()), ..sample::grant() };
        for accessor in ["first", "second"] {
            assert_eq!(keep(&grant, &board, &ending, accessor).await, Ok(Waited::OnRecord));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"first\"") && text.contains("\"second\""), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_custody_file_that_cannot_be_written_stops_the_grant() {
        let (board, ending) = (Board::new("u".into(), Arc::default()), Ending::new());
        let grant = Grant { custody: Custody::File("/nonexistent/custody".into()), ..sample::grant() };
        let setback = keep(&grant, &board, &ending, "ours").await.unwrap_err();
        assert!(!setback.may_pass);
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
