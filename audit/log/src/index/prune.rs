//! What the index knows of what may be pruned.

use record::{Time, What};
use rusqlite::OptionalExtension as _;
use tlog::WIDTH;

use super::bundles::{index_of, place_of};
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

impl View<'_> {
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

    /// The first record of the bundle in which the first record stands of any grant that is not over, or of its request.
    pub fn first_of_open_grants(&self) -> Result<Option<u64>, KnowError> {
        let mut statement = self.index.prepare_cached(NOT_OVER)?;
        let grants = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut first: Option<u64> = None;
        for uid in grants {
            let uid = uid?.parse().map_err(|_| KnowError::Misfit)?;
            let pod = self.grant(&uid)?.and_then(|known| known.pod);
            let request = pod.as_ref().and_then(|pod| request_of(&pod.record));
            let of_request = request.map(|request| (Sort::Request, request.as_str()));
            for (sort, uid) in [(Sort::Grant, uid.as_str())].into_iter().chain(of_request) {
                if let Some(bundle) =
                    self.edge("SELECT min(bundle) FROM posting WHERE term = ?1", sort, uid)?
                {
                    first = Some(first.map_or(bundle, |first| first.min(bundle)));
                }
            }
        }
        Ok(first.map(|bundle| index_of(bundle, 0)))
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
