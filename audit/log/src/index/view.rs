//! Answers: what the index points to, read from the bundles. The index says where to look, never what there is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLockReadGuard};

use record::{Head, Record, StreamName, Uid, What};
use rusqlite::{Connection, params};
use tlog::Hash;

use super::bundles::{Bundles, Found, index_of, place_of};
use super::facts::{Sort, Term, Whose, request_of, terms};
use super::known::{self, KnowError, Known, KnownGrant};
use super::search::{Search, Step, Walk};
use super::store::{integer, number, term};

/// How many bundles one answer may read.
const BUNDLES: u32 = 4096;

/// How many bytes of records a page has, if it has more than one: a story of ten thousand usual ones.
const BYTES_OF_PAGE: usize = 8 << 20;

/// How many bytes of records an answer about what is not over has, if it is about more than one thing.
pub const BYTES: usize = 1 << 20;

/// The index and the tree at one moment.
pub struct View<'a> {
    pub(super) index: Connection,
    pub(super) bundles: Bundles,
    pub(super) begins: u64,
    pub(super) indexed: u64,
    /// What the index passed over, because it could not be read.
    pub(super) passed: Vec<Range<u64>>,
    /// The bundles that could not be read for this answer.
    pub(super) damaged: RefCell<BTreeSet<u64>>,
    pub(super) _open: RwLockReadGuard<'a, bool>,
}

/// Records that were looked for.
#[derive(Debug)]
pub struct Page {
    /// In order, each with whose it is.
    pub records: Vec<(Found, Whose)>,
    /// Where to go on, if there may be more.
    pub next: Option<u64>,
}

/// How far a stream is.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    /// How far it is.
    pub head: Head,
    /// Whether its last record says that it is the last.
    pub closed: bool,
}

/// A stream that is not closed.
#[derive(Debug)]
pub struct Unclosed {
    /// Its number in the index.
    pub id: u64,
    /// Its last record.
    pub last: Found,
    /// The last of its records that names an owner.
    pub owner: Option<Found>,
    /// The last that names a credential.
    pub credential: Option<Found>,
    /// What is known of its grant.
    pub grant: Option<KnownGrant>,
    /// Records of sessions that are not over: the first 64.
    pub sessions: Vec<Found>,
    /// Statements of which is not known how they went: the first 64.
    pub statements: Vec<Found>,
}

impl Unclosed {
    /// How many bytes its records have.
    fn bytes(&self) -> usize {
        let Self { id: _, last, owner, credential, grant, sessions, statements } = self;
        let pod = grant.as_ref().and_then(|grant| grant.pod.as_ref());
        let some = [Some(last), owner.as_ref(), credential.as_ref(), pod].into_iter().flatten();
        let all = some.chain(sessions).chain(statements);
        all.fold(0, |bytes, found| bytes.saturating_add(found.leaf.len()))
    }
}

impl View<'_> {
    /// The same, of which no bundle is read any more from when this is set.
    pub fn until(self, is_left: Arc<AtomicBool>) -> Self {
        Self { bundles: self.bundles.until(is_left), ..self }
    }

    /// The index of the first record that the log has.
    pub fn begins(&self) -> u64 {
        self.begins
    }

    /// How many records the index knows.
    pub fn indexed(&self) -> u64 {
        self.indexed
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.bundles.size()
    }

    /// The records that this answer had to do without, in order: those that the index passed over, and those of bundles that could not be
    /// read just now.
    pub fn unread(&self) -> Vec<Range<u64>> {
        let whole =
            |bundle: &u64| index_of(*bundle, 0)..index_of(bundle.saturating_add(1), 0).min(self.size());
        let mut all: Vec<_> =
            self.damaged.borrow().iter().map(whole).chain(self.passed.iter().cloned()).collect();
        all.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in all {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Lets what cannot be read be unknown, and tells of it with the answer.
    pub(super) fn readable<T>(&self, looked: Result<T, KnowError>) -> Result<Option<T>, KnowError> {
        known::readable(&mut self.damaged.borrow_mut(), looked)
    }

    fn record(&self, index: u64) -> Result<Option<Found>, KnowError> {
        self.readable(self.bundles.record(index).map_err(KnowError::from))
    }

    /// Whether none of a grant's records can be among those that the index passed over: everything that is known of it, and of the
    /// request that it came from, stands behind them. `pod`: the operator's record of its newest proxy.
    pub fn is_younger_than_what_was_passed(
        &self,
        grant: &Uid,
        pod: Option<&Found>,
    ) -> Result<bool, KnowError> {
        let Some(passed) = self.passed.iter().map(|range| place_of(range.start).0).max() else {
            return Ok(true);
        };
        let Some(request) = pod.and_then(|pod| request_of(&pod.record)) else { return Ok(false) };
        let sql = "SELECT min(bundle) FROM posting WHERE term = ?1";
        for (sort, uid) in [(Sort::Grant, grant), (Sort::Request, request)] {
            let Some(id) = term(&self.index, sort.number(), uid.as_str())? else { return Ok(false) };
            let first: Option<i64> = self.index.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
            if first.is_none_or(|first| number(first) <= passed) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bundles.
    pub fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// What is known of a grant.
    pub fn grant(&self, uid: &Uid) -> Result<Option<KnownGrant>, KnowError> {
        Ok(self.readable(known::grant(&self.index, &self.bundles, uid))?.flatten())
    }

    /// Whose a record is.
    pub fn whose(&self, found: &Found) -> Result<Whose, KnowError> {
        let mut known = Known::default();
        let whose = known.whose(&self.index, &self.bundles, found);
        self.damaged.borrow_mut().extend(known.unread());
        whose
    }

    /// At most `limit` records behind `after`, and of more than one at most 8 MiB, each read again: it has every term that it was found by, or
    /// the index is wrong. What cannot be read is passed over.
    pub fn page(&self, search: &Search, after: Option<u64>, limit: usize) -> Result<Page, KnowError> {
        let mut known = Known::default();
        let page = self.page_of(&mut known, search, (after, limit));
        self.damaged.borrow_mut().extend(known.unread());
        page
    }

    fn page_of(
        &self,
        known: &mut Known,
        search: &Search,
        (after, limit): (Option<u64>, usize),
    ) -> Result<Page, KnowError> {
        let start = after.map_or(0, |after| after.saturating_add(1));
        let mut walk = Walk::new(&self.index, search, place_of(start).0)?;
        let (mut records, mut read, mut bytes) = (Vec::new(), 0_u32, 0_usize);
        loop {
            let (bundle, places) = match walk.step()? {
                Step::End => return Ok(Page { records, next: None }),
                Step::Tired(bundle) => return Ok(Page { records, next: before(bundle, after) }),
                Step::At(bundle, _) if read >= BUNDLES => {
                    return Ok(Page { records, next: before(bundle, after) });
                }
                Step::At(bundle, places) => (bundle, places),
            };
            read = read.saturating_add(1);
            let Some(loaded) = self.readable(self.bundles.load(bundle).map_err(KnowError::from))? else {
                continue;
            };
            for place in places.iter() {
                let index = index_of(bundle, place);
                if index < start || (search.groups.is_empty() && index >= self.indexed) {
                    continue;
                }
                if records.len() >= limit {
                    return Ok(Page { records, next: index.checked_sub(1) });
                }
                let Some(found) = self.readable(loaded.record(place).map_err(KnowError::from))? else {
                    continue;
                };
                let whose = known.whose(&self.index, &self.bundles, &found)?;
                has_each(search, &found.record, &whose)?;
                if search.takes(found.record.at) {
                    bytes = bytes.saturating_add(found.leaf.len());
                    if bytes > BYTES_OF_PAGE && !records.is_empty() {
                        return Ok(Page { records, next: index.checked_sub(1) });
                    }
                    records.push((found, whose));
                }
            }
        }
    }

    /// The streams of a grant, without those that the log still remembers; and whether each could be read.
    pub fn streams(&self, grant: &Uid, live: &[&StreamName]) -> Result<(Vec<Stream>, bool), KnowError> {
        let mut statement =
            self.index.prepare_cached("SELECT name, last FROM stream WHERE of_grant = ?1 ORDER BY id")?;
        let rows = statement
            .query_map([grant.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let live: BTreeSet<String> = live.iter().map(ToString::to_string).collect();
        let (mut streams, mut are_all) = (Vec::new(), true);
        for row in rows {
            let (name, last) = row?;
            if live.contains(&name) {
                continue;
            }
            let Some(Found { record, leaf, .. }) = self.record(number(last))? else {
                are_all = false;
                continue;
            };
            if record.stream.to_string() != name || record.stream.grant() != Some(grant) {
                return Err(KnowError::Misfit);
            }
            let head = Head { count: record.n.next(), last: Some(Hash::of_leaf(&leaf)) };
            streams.push(Stream { name: record.stream, head, closed: matches!(record.what, What::Close(_)) });
        }
        Ok((streams, are_all))
    }

    /// Streams of proxies that are not closed, behind the one with the number `after`: at most `limit`, and of more than one at most 1 MiB
    /// of records. With them where to go on, if there may be more.
    pub fn unclosed(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<Unclosed>, Option<u64>), KnowError> {
        let sql = "SELECT id, last, owner, credential FROM stream
                   WHERE closed = 0 AND of_grant IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.index.prepare_cached(sql)?;
        let rows = statement.query_map(params![after.map_or(-1, integer), limit], |row| {
            let some = |column| row.get::<_, Option<i64>>(column);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, some(2)?, some(3)?))
        })?;
        let (mut streams, mut bytes, mut before, mut count) = (Vec::new(), 0_usize, None, 0_u32);
        for row in rows {
            let row = row?;
            count = count.saturating_add(1);
            let Some(unclosed) = self.readable(self.unclosed_stream(row))? else {
                before = Some(number(row.0));
                continue;
            };
            bytes = bytes.saturating_add(unclosed.bytes());
            if before.is_some() && bytes > BYTES {
                return Ok((streams, before));
            }
            before = Some(unclosed.id);
            streams.push(unclosed);
        }
        Ok((streams, before.filter(|_| count >= limit)))
    }

    fn unclosed_stream(
        &self,
        (id, last, owner, credential): (i64, i64, Option<i64>, Option<i64>),
    ) -> Result<Unclosed, KnowError> {
        let last = self.bundles.record(number(last))?;
        let stream = &last.record.stream;
        let open = !matches!(last.record.what, What::Close(_));
        let grant = stream.grant().filter(|_| open).ok_or(KnowError::Misfit)?;
        let of = |at: Option<i64>, kind| at.map(|at| self.of_stream(at, stream, kind)).transpose();
        Ok(Unclosed {
            id: number(id),
            owner: of(owner, "owner")?,
            credential: of(credential, "credential")?,
            grant: self.grant(grant)?,
            sessions: self.not_over(
                "SELECT said FROM session WHERE stream = ?1 ORDER BY said LIMIT 64",
                id,
                (stream, "session-open"),
            )?,
            statements: self.not_over(
                "SELECT said FROM running WHERE stream = ?1 ORDER BY said LIMIT 64",
                id,
                (stream, "statement"),
            )?,
            last,
        })
    }

    fn not_over(
        &self,
        sql: &str,
        id: i64,
        (stream, kind): (&StreamName, &str),
    ) -> Result<Vec<Found>, KnowError> {
        let mut statement = self.index.prepare_cached(sql)?;
        let rows = statement.query_map([id], |row| row.get::<_, i64>(0))?;
        rows.map(|at| self.of_stream(at?, stream, kind)).collect()
    }

    /// The record of this kind there.
    fn of_stream(&self, at: i64, stream: &StreamName, kind: &str) -> Result<Found, KnowError> {
        let found = self.bundles.record(number(at))?;
        let fits = found.record.stream == *stream && found.record.what.kind().1 == kind;
        if fits { Ok(found) } else { Err(KnowError::Misfit) }
    }
}

/// That it has, of each group, a term by which it was found.
fn has_each(search: &Search, record: &Record, whose: &Whose) -> Result<(), KnowError> {
    let terms = terms(record, whose);
    let has = |group: &Vec<Term>| group.iter().any(|term| terms.contains(term));
    if search.groups.iter().all(has) { Ok(()) } else { Err(KnowError::Misfit) }
}

/// Behind which record a bundle begins.
fn before(bundle: u64, after: Option<u64>) -> Option<u64> {
    index_of(bundle, 0).checked_sub(1).max(after)
}
