//! What is not over: where the last records of streams, open sessions and running statements stand.

use std::collections::BTreeMap;

use record::{StreamName, Uid, What};
use rusqlite::{Connection, params};

use super::bundles::Found;
use super::store::integer;
use super::unended;

/// What the new records of a bundle change of one stream.
#[derive(Default)]
struct Change {
    last: i64,
    owner: Option<i64>,
    credential: Option<i64>,
    closed: bool,
    /// By their numbers: where they are on record, or `None`, where they are over.
    sessions: BTreeMap<u64, Option<i64>>,
    statements: BTreeMap<u64, Option<i64>>,
}

/// Takes the next records of the log, in order.
pub fn take(index: &Connection, new: &[Found]) -> Result<(), rusqlite::Error> {
    let mut changes = Changes::default();
    for found in new {
        if let Some(grant) = unended::take(index, found)? {
            // What comes later of its streams begins anew.
            std::mem::take(&mut changes).write(index)?;
            close(index, grant)?;
        }
        changes.take(found);
    }
    changes.write(index)
}

/// What new records change.
#[derive(Default)]
struct Changes {
    streams: BTreeMap<StreamName, Change>,
    late: Vec<(StreamName, u64)>,
}

impl Changes {
    fn take(&mut self, found: &Found) {
        let (record, at) = (&found.record, integer(found.index));
        let change = self.streams.entry(record.stream.clone()).or_default();
        change.last = at;
        match &record.what {
            What::Owner(_) => change.owner = Some(at),
            What::Credential(_) => change.credential = Some(at),
            What::SessionOpen(open) => _ = change.sessions.insert(open.session.get(), Some(at)),
            What::SessionClose(close) => over(&mut change.sessions, close.session.get()),
            What::Statement(_) => _ = change.statements.insert(record.n.get(), Some(at)),
            What::Outcome(outcome) => over(&mut change.statements, outcome.of.get()),
            What::Close(_) => change.closed = true,
            What::LateOutcome(late) => {
                let of = late.outcome.as_ref().map(|outcome| outcome.of.get());
                self.late.extend(of.map(|of| (late.stream.clone(), of)));
            }
            _ => (),
        }
    }

    fn write(self, index: &Connection) -> Result<(), rusqlite::Error> {
        self.streams.iter().try_for_each(|(stream, change)| write(index, stream, change))?;
        self.late.iter().try_for_each(|(stream, of)| late_outcome(index, stream, *of))
    }
}

/// The streams of a grant that is over are, too, whether or not their writers said so.
fn close(index: &Connection, grant: &Uid) -> Result<(), rusqlite::Error> {
    for sql in [
        "DELETE FROM session WHERE stream IN (SELECT id FROM stream WHERE of_grant = ?1)",
        "DELETE FROM running WHERE stream IN (SELECT id FROM stream WHERE of_grant = ?1)",
        "UPDATE stream SET closed = 1 WHERE of_grant = ?1",
    ] {
        index.prepare_cached(sql)?.execute([grant.as_str()])?;
    }
    Ok(())
}

/// What began among the same records needs no row.
fn over(begun: &mut BTreeMap<u64, Option<i64>>, number: u64) {
    if begun.get(&number).is_some_and(Option::is_some) {
        begun.remove(&number);
    } else {
        begun.insert(number, None);
    }
}

/// Of a stream that is closed or was never heard of nothing is running.
fn late_outcome(index: &Connection, stream: &StreamName, of: u64) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM running WHERE n = ?2 AND stream = (SELECT id FROM stream WHERE name = ?1)";
    index.prepare_cached(sql)?.execute(params![stream.to_string(), integer(of)]).map(|_| ())
}

fn write(index: &Connection, name: &StreamName, change: &Change) -> Result<(), rusqlite::Error> {
    let Change { last, owner, credential, closed, sessions, statements } = change;
    let sql =
        "INSERT INTO stream (name, of_grant, last, owner, credential, closed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (name) DO UPDATE SET last = excluded.last, owner = coalesce(excluded.owner, owner),
                   credential = coalesce(excluded.credential, credential), closed = excluded.closed
               RETURNING id";
    let grant = name.grant().map(ToString::to_string);
    let stream: i64 = index
        .prepare_cached(sql)?
        .query_row(params![name.to_string(), grant, last, owner, credential, closed], |row| row.get(0))?;
    if *closed {
        index.prepare_cached("DELETE FROM session WHERE stream = ?1")?.execute([stream])?;
        index.prepare_cached("DELETE FROM running WHERE stream = ?1")?.execute([stream])?;
        return Ok(());
    }
    let put = [
        "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3)",
        "INSERT OR REPLACE INTO running VALUES (?1, ?2, ?3)",
    ];
    let remove = [
        "DELETE FROM session WHERE stream = ?1 AND number = ?2",
        "DELETE FROM running WHERE stream = ?1 AND n = ?2",
    ];
    for (changed, (put, remove)) in [sessions, statements].into_iter().zip(put.into_iter().zip(remove)) {
        for (number, said) in changed {
            match said {
                Some(said) => index.prepare_cached(put)?.execute([stream, integer(*number), *said])?,
                None => index.prepare_cached(remove)?.execute([stream, integer(*number)])?,
            };
        }
    }
    Ok(())
}
