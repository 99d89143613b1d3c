//! What the index knows of what may be pruned.

use record::{Time, Uid, What, Writer};
use rusqlite::OptionalExtension as _;
use tlog::WIDTH;

use super::bundles::{Found, index_of, place_of};
use super::facts::{Sort, request_of};
use super::known::KnowError;
use super::store::{integer, number, term};
use super::view::View;
use crate::pruning::Said;

/// The grants of which something may still stand: a proxy that was let on to a credential, a credential, a stream that is not closed.
const NOT_OVER: &str = "SELECT of_grant FROM unended UNION SELECT of_grant FROM credential
     UNION SELECT of_grant FROM stream WHERE closed = 0 AND of_grant IS NOT NULL";

/// Of each bundle its newest time, and whether some of it could not be read.
const BUNDLES: &str = "SELECT number, last, EXISTS (SELECT 1 FROM unread WHERE unread.bundle = bundle.number)
     FROM bundle WHERE number >= ?1 ORDER BY number";

/// What must stay of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// From this record on, the first of its bundle.
    pub first: u64,
    /// For the sake of this grant.
    pub grant: Uid,
}

impl View<'_> {
    /// The first record of the log; `None`, where there is none that can be read.
    pub fn first(&self) -> Result<Option<Found>, KnowError> {
        if self.begins() >= self.size() {
            return Ok(None);
        }
        self.readable(self.bundles.record(self.begins()).map_err(KnowError::from))
    }

    /// The newest time of each bundle from this record on, up to the first bundle that has one which is not before `oldest`, or cannot be
    /// read.
    pub fn newest_of_bundles(&self, from: u64, oldest: Time) -> Result<Vec<Option<Time>>, KnowError> {
        let (first, _) = place_of(from);
        let mut statement = self.index.prepare_cached(BUNDLES)?;
        let rows = statement.query_map([integer(first)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
        })?;
        let mut newest = Vec::new();
        for (expected, row) in (first..).zip(rows) {
            let (bundle, last, is_unread) = row?;
            let last = Time::from_micros(last).filter(|_| number(bundle) == expected && !is_unread);
            newest.push(last);
            if last.is_none_or(|last| last >= oldest) {
                break;
            }
        }
        Ok(newest)
    }

    /// Whether a bundle behind this one has records that are all before `oldest`.
    pub fn is_old_behind(&self, bundle: u64, oldest: Time) -> Result<bool, KnowError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM bundle WHERE number > ?1 AND last < ?2)";
        let mut statement = self.index.prepare_cached(sql)?;
        Ok(statement.query_row([integer(bundle), oldest.micros()], |row| row.get(0))?)
    }

    /// What must stay of grants that are not over, with their requests, and of these, whose texts have a key. Who erases those looks for their
    /// records.
    pub fn first_needed(&self, with_keys: Vec<Uid>) -> Result<Option<Needed>, KnowError> {
        let mut statement = self.index.prepare_cached(NOT_OVER)?;
        let open = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut all = Vec::new();
        for uid in open {
            let grant: Uid = uid?.parse().map_err(|_| KnowError::Misfit)?;
            let pod = self.grant(&grant)?.and_then(|known| known.pod);
            if let Some(request) = pod.as_ref().and_then(|pod| request_of(&pod.record)) {
                all.push((self.first_of(Sort::Request, request)?, grant.clone()));
            }
            all.push((self.first_of(Sort::Grant, &grant)?, grant));
        }
        for grant in with_keys {
            all.push((self.first_of(Sort::Grant, &grant)?, grant));
        }
        let needed = all.into_iter().filter_map(|(first, grant)| Some(Needed { first: first?, grant }));
        Ok(needed.min_by_key(|needed| needed.first))
    }

    /// The first record of the bundle in which the first record of this stands.
    fn first_of(&self, sort: Sort, uid: &Uid) -> Result<Option<u64>, KnowError> {
        let first = self.edge("SELECT min(bundle) FROM posting WHERE term = ?1", sort, uid.as_str())?;
        Ok(first.map(|bundle| index_of(bundle, 0)))
    }

    /// Whether there may be a record that is not before `oldest` among those that the index does not know, or that could not be read for this
    /// answer. Records come in the order of their times, but for how far the clocks of those who write them are apart: what stands before
    /// a bundle whose records are all older came before them.
    pub fn may_hide(&self, oldest: Time) -> Result<bool, KnowError> {
        if self.indexed() < self.size() {
            return Ok(true);
        }
        let own = "SELECT EXISTS (SELECT 1 FROM bundle WHERE number BETWEEN ?1 AND ?2 AND last >= ?3)";
        let behind = "SELECT number, last FROM bundle WHERE number > ?1 \
                      AND number NOT IN (SELECT bundle FROM unread) ORDER BY number";
        for range in self.unread() {
            let (first, last) = (place_of(range.start).0, place_of(range.end.saturating_sub(1)).0);
            let bounds = [integer(first), integer(last), oldest.micros()];
            if self.index.prepare_cached(own)?.query_row(bounds, |row| row.get(0))? {
                return Ok(true);
            }
            let mut statement = self.index.prepare_cached(behind)?;
            let mut rows = statement.query([integer(last)])?;
            let newest = loop {
                let Some(row) = rows.next()? else { break None };
                if !self.damaged.borrow().contains(&number(row.get(0)?)) {
                    break Some(row.get::<_, i64>(1)?);
                }
            };
            if newest.is_none_or(|newest| newest >= oldest.micros()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The time of the operator's last record among the first `before`; of one that cannot be read, that of one before it.
    pub fn newest_of_operator(&self, before: u64) -> Result<Option<Time>, KnowError> {
        let kinds = What::KINDS.iter().filter(|(writer, ..)| *writer == Writer::Operator);
        let ids = kinds.map(|(_, kind, _)| term(&self.index, Sort::Kind.number(), kind));
        let ids: Vec<i64> = ids.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let sql = "SELECT max(bundle) FROM posting WHERE term = ?1 AND bundle <= ?2";
        let mut statement = self.index.prepare_cached(sql)?;
        let (mut bundle, _) = place_of(before);
        loop {
            let mut last: Option<i64> = None;
            for id in &ids {
                last = last.max(statement.query_row([*id, integer(bundle)], |row| row.get(0))?);
            }
            let Some(last) = last.map(number) else { return Ok(None) };
            let read = self.bundles.load(last).and_then(|loaded| loaded.records()).map_err(KnowError::from);
            let is_its =
                |found: &&Found| found.index < before && found.record.stream.writer() == Writer::Operator;
            let read = self.readable(read)?.unwrap_or_default();
            if let Some(found) = read.iter().rev().find(is_its) {
                return Ok(Some(found.record.at));
            }
            match last.checked_sub(1) {
                Some(before) => bundle = before,
                None => return Ok(None),
            }
        }
    }

    /// The newest record that says that the log was pruned.
    pub fn said_last(&self) -> Result<Option<Said>, KnowError> {
        let last = self.edge("SELECT max(bundle) FROM posting WHERE term = ?1", Sort::Kind, "prune")?;
        let Some(bundle) = last else { return Ok(None) };
        let loaded = self.bundles.load(bundle)?;
        for place in (0..WIDTH.min(loaded.width())).rev().filter_map(|place| u8::try_from(place).ok()) {
            let found = loaded.record(place)?;
            if let What::Prune(prune) = found.record.what {
                return Ok(Some(Said { minimum: prune.minimum.get(), record: found.index }));
            }
        }
        Err(KnowError::Misfit)
    }

    /// The first or last bundle in which a term stands.
    fn edge(&self, sql: &str, sort: Sort, text: &str) -> Result<Option<u64>, KnowError> {
        let Some(id) = term(&self.index, sort.number(), text)? else { return Ok(None) };
        let bundle: Option<Option<i64>> =
            self.index.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        Ok(bundle.flatten().map(number))
    }
}
