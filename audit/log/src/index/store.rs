//! The file of the index: what is in it, and whether it can be used.
//!
//! It holds no text of a statement and no answer: only where records stand, by what they are found. For each term and each bundle one row
//! says in which places of the bundle the records stand, so that what is in many records costs a bit for each.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tlog::{Hash, KeyName};

use super::bundles::{Bundles, Unread, index_of};

/// The version of what is below. Another one is made again.
const VERSION: i64 = 5;

/// After how many pages of 4 KiB what is written goes from SQLite's own journal into the file.
const CHECKPOINT_PAGES: i64 = 8192;

/// Everything that there is.
const SCHEMA: &str = "
    CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 0), origin TEXT NOT NULL, indexed INTEGER NOT NULL, last BLOB) STRICT;
    CREATE TABLE bundle (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
    CREATE TABLE unread (bundle INTEGER PRIMARY KEY, first INTEGER NOT NULL, past INTEGER NOT NULL) STRICT;
    CREATE TABLE term (id INTEGER PRIMARY KEY, sort INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (sort, text)) STRICT;
    CREATE TABLE posting (term INTEGER NOT NULL, bundle INTEGER NOT NULL, places BLOB NOT NULL,
                          PRIMARY KEY (term, bundle)) STRICT, WITHOUT ROWID;
    CREATE TABLE known_grant (uid TEXT PRIMARY KEY, open INTEGER, pod INTEGER) STRICT, WITHOUT ROWID;
    CREATE TABLE known_request (uid TEXT PRIMARY KEY, said INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, of_grant TEXT, last INTEGER NOT NULL,
                         owner INTEGER, credential INTEGER, closed INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX stream_of_grant ON stream (of_grant) WHERE of_grant IS NOT NULL;
    CREATE INDEX stream_open ON stream (id) WHERE closed = 0 AND of_grant IS NOT NULL;
    CREATE TABLE session (stream INTEGER NOT NULL, number INTEGER NOT NULL, said INTEGER NOT NULL,
                          PRIMARY KEY (stream, number)) STRICT, WITHOUT ROWID;
    CREATE TABLE running (stream INTEGER NOT NULL, n INTEGER NOT NULL, said INTEGER NOT NULL,
                          PRIMARY KEY (stream, n)) STRICT, WITHOUT ROWID;
    CREATE TABLE unended (pod INTEGER PRIMARY KEY, of_grant TEXT NOT NULL, accessor TEXT NOT NULL,
                          UNIQUE (accessor, of_grant)) STRICT;
    CREATE INDEX unended_of_grant ON unended (of_grant);
    CREATE TABLE credential (said INTEGER PRIMARY KEY, of_grant TEXT NOT NULL, lease TEXT NOT NULL, over INTEGER) STRICT;
    CREATE INDEX credential_of_grant ON credential (of_grant);
";

/// Why there is no index to use. It says nothing of what is in one.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error("the file of the index cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// It is another log's, or of another version, or knows of records that the log does not have.
    #[error("the index is not this log's: {0}")]
    Other(&'static str),
    /// It contradicts itself.
    #[error("the file of the index is damaged")]
    Damaged,
    /// Its last record cannot be compared.
    #[error("it cannot be said whether the index is this log's")]
    Tree(#[source] Unread),
    /// It cannot be removed.
    #[error("cannot remove the file of the index")]
    Remove(#[source] io::Error),
}

/// Opens the index for writing, and makes an empty one where there is none. One that was there is held against the log first.
///
/// SQLite's write-ahead log lets readers and the writer be. `synchronous=NORMAL`: the disk is waited for only when that log is emptied. With
/// `OFF`, a power cut could leave pages of two ages that fit each other, so that records are missing and nothing shows it: then an
/// answer would call itself complete that is not. A cache may be lost, but not lie.
pub fn open(path: &Path, origin: &KeyName, bundles: &Bundles) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let is_empty: bool =
        connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    set(&connection)?;
    if version == 0 && is_empty {
        make(&connection, origin)?;
    } else {
        check(&connection, version, origin, bundles)?;
    }
    Ok(connection)
}

fn set(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // There may be no folder for temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn make(connection: &Connection, origin: &KeyName) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT"))?;
    connection.execute("INSERT INTO progress VALUES (0, ?1, 0, NULL)", [origin.as_str()])?;
    Ok(())
}

fn check(
    connection: &Connection,
    version: i64,
    origin: &KeyName,
    bundles: &Bundles,
) -> Result<(), StoreError> {
    if version != VERSION {
        return Err(StoreError::Other("it is of another version"));
    }
    let whole: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if whole != "ok" {
        return Err(StoreError::Damaged);
    }
    let of: String = connection.query_row("SELECT origin FROM progress", [], |row| row.get(0))?;
    if of != origin.as_str() {
        return Err(StoreError::Other("it is of another origin"));
    }
    let Progress { indexed, last } = progress(connection)?;
    if indexed > bundles.size() {
        return Err(StoreError::Other("it is ahead of the checkpoint"));
    }
    let stands = indexed.checked_sub(1).map(|index| bundles.record(index));
    if let Some(Err(away @ Unread::Away(_))) = stands {
        return Err(StoreError::Tree(away));
    }
    let stands = stands.and_then(Result::ok).map(|found| Hash::of_leaf(&found.leaf));
    if stands == last { Ok(()) } else { Err(StoreError::Other("its last record is another one")) }
}

/// An index for reading.
pub fn open_to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // What is read is of one moment.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

/// An index that knows nothing, in memory: for answers while there is no other.
pub fn empty() -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT INTO progress VALUES (0, '', 0, NULL)", [])?;
    Ok(connection)
}

/// Removes the file and what SQLite keeps beside it. Nobody may have it open.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    for beside in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::Remove(error)),
            _ => (),
        }
    }
    Ok(())
}

/// How far an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many records it knows.
    pub indexed: u64,
    /// The leaf hash of the last of them.
    pub last: Option<Hash>,
}

/// Reads it.
pub fn progress(connection: &Connection) -> Result<Progress, rusqlite::Error> {
    connection.query_row("SELECT indexed, last FROM progress", [], |row| {
        Ok(Progress { indexed: number(row.get(0)?), last: row.get::<_, Option<[u8; 32]>>(1)?.map(Hash) })
    })
}

/// Writes it.
pub fn set_progress(connection: &Connection, progress: Progress) -> Result<(), rusqlite::Error> {
    let last = progress.last.map(|Hash(bytes)| bytes);
    let mut statement = connection.prepare_cached("UPDATE progress SET indexed = ?1, last = ?2")?;
    statement.execute(params![integer(progress.indexed), last]).map(|_| ())
}

/// Notes that records of a bundle could not be read: those from `first` on, to its end in a tree of this size. Says where that is.
pub fn note_unread(
    connection: &Connection,
    (bundle, first): (u64, u64),
    size: u64,
) -> Result<u64, rusqlite::Error> {
    let past = index_of(bundle.saturating_add(1), 0).min(size);
    let sql = "INSERT INTO unread VALUES (?1, ?2, ?3)
               ON CONFLICT (bundle) DO UPDATE SET first = min(first, excluded.first), past = max(past, excluded.past)";
    connection.prepare_cached(sql)?.execute(params![integer(bundle), integer(first), integer(past)])?;
    Ok(past)
}

/// The records that could not be read, of each bundle, in order.
pub fn unread(connection: &Connection) -> Result<Vec<Range<u64>>, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT first, past FROM unread ORDER BY bundle")?;
    let rows = statement.query_map([], |row| Ok(number(row.get(0)?)..number(row.get(1)?)))?;
    rows.collect()
}

/// The number of a term.
pub fn term(connection: &Connection, sort: i64, text: &str) -> Result<Option<i64>, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM term WHERE sort = ?1 AND text = ?2")?;
    statement.query_row(params![sort, text], |row| row.get(0)).optional()
}

/// Indexes are below 2^53.
pub fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is no index is beyond all.
pub fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(u64::MAX)
}
