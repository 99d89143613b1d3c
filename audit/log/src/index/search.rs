//! What is looked for, and where the index says that it stands.

use record::{Time, Uid};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::facts::{Sort, Term};
use super::known::KnowError;
use super::places::Places;
use super::store::{integer, number, term};

/// How many rows of the index one answer may cost. What is left is asked for with the next one.
const STEPS: u32 = 50_000;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Of each of these groups a record has at least one term. Without any: every record.
    pub groups: Vec<Vec<Term>>,
    /// Not earlier than this.
    pub from: Option<Time>,
    /// Earlier than this.
    pub to: Option<Time>,
}

impl Search {
    /// All that is about a grant, and about the request that it came from.
    pub fn story(grant: &Uid, request: Option<&Uid>) -> Self {
        let mut group = vec![(Sort::Grant, grant.to_string())];
        group.extend(request.map(|request| (Sort::Request, request.to_string())));
        Self { groups: vec![group], ..Self::default() }
    }

    /// Only what has this term too.
    pub fn and(mut self, sort: Sort, text: &str) -> Self {
        self.groups.push(vec![(sort, text.to_owned())]);
        self
    }

    /// Whether a moment lies within.
    pub fn takes(&self, at: Time) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }
}

/// Goes through an index, bundle by bundle, in order.
pub struct Walk<'a> {
    index: &'a Connection,
    /// The numbers of the terms.
    groups: Vec<Vec<i64>>,
    times: (i64, i64),
    next: u64,
    /// Behind the last bundle that may have something.
    end: u64,
    steps: u32,
}

/// Where a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At records.
    At(u64, Places),
    /// At its end: there are no others.
    End,
    /// It has cost enough. It goes on at this bundle.
    Tired(u64),
}

impl<'a> Walk<'a> {
    /// From this bundle on.
    pub fn new(index: &'a Connection, search: &Search, from: u64) -> Result<Self, KnowError> {
        let mut groups = Vec::with_capacity(search.groups.len());
        for group in &search.groups {
            let mut ids = Vec::with_capacity(group.len());
            for (sort, text) in group {
                ids.extend(term(index, sort.number(), text)?);
            }
            groups.push(ids);
        }
        let bound = |time: Option<Time>, none| time.map_or(none, Time::micros);
        let times = (bound(search.from, i64::MIN), bound(search.to, i64::MAX));
        let mut next = from;
        let mut end = u64::MAX;
        if search.from.is_some() {
            let first = "SELECT number FROM bundle WHERE last >= ?1 ORDER BY number LIMIT 1";
            next = next.max(bundle(index, first, times.0)?.unwrap_or(u64::MAX));
        }
        if search.to.is_some() {
            let last = "SELECT number FROM bundle WHERE first < ?1 ORDER BY number DESC LIMIT 1";
            end = bundle(index, last, times.1)?.map_or(0, |last| last.saturating_add(1));
        }
        Ok(Self { index, groups, times, next, end, steps: 0 })
    }

    /// The next bundle that has records of every group.
    pub fn step(&mut self) -> Result<Step, KnowError> {
        'bundles: loop {
            let Some((mut at, mut places)) = self.any(self.next)? else { return Ok(Step::End) };
            let mut index = 0;
            while let Some(group) = self.groups.get(index) {
                if self.steps > STEPS {
                    return Ok(Step::Tired(self.next));
                }
                let Some((there, some)) = self.of(&group.clone(), at)? else { return Ok(Step::End) };
                if there > at {
                    // Every other group begins again where this one is.
                    (at, places, index) = (there, Places::ALL, 0);
                    self.next = there;
                    continue;
                }
                places = places.and(some);
                index = index.saturating_add(1);
            }
            if at >= self.end {
                return Ok(Step::End);
            }
            self.next = at.saturating_add(1);
            if self.steps > STEPS {
                return Ok(Step::Tired(at));
            }
            if places.is_empty() || !self.has_time(at)? {
                continue 'bundles;
            }
            return Ok(Step::At(at, places));
        }
    }

    /// The next bundle that there is.
    fn any(&mut self, from: u64) -> Result<Option<(u64, Places)>, KnowError> {
        self.steps = self.steps.saturating_add(1);
        let sql = "SELECT number FROM bundle WHERE number >= ?1 ORDER BY number LIMIT 1";
        Ok(bundle(self.index, sql, integer(from))?.map(|number| (number, Places::ALL)))
    }

    /// The next bundle that has one of these terms.
    fn of(&mut self, group: &[i64], from: u64) -> Result<Option<(u64, Places)>, KnowError> {
        let sql =
            "SELECT bundle, places FROM posting WHERE term = ?1 AND bundle >= ?2 ORDER BY bundle LIMIT 1";
        let mut statement = self.index.prepare_cached(sql)?;
        let mut nearest: Option<(u64, Places)> = None;
        for term in group {
            self.steps = self.steps.saturating_add(1);
            let row = statement.query_row(params![term, integer(from)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            });
            let Some((bundle, places)) = row.optional()? else { continue };
            let (bundle, places) = (number(bundle), Places::decode(&places).ok_or(KnowError::Misfit)?);
            nearest = Some(match nearest {
                Some((other, both)) if other == bundle => (bundle, both.or(places)),
                Some(nearer) if nearer.0 < bundle => nearer,
                _ => (bundle, places),
            });
        }
        Ok(nearest)
    }

    fn has_time(&self, bundle: u64) -> Result<bool, KnowError> {
        let sql = "SELECT last >= ?2 AND first < ?3 FROM bundle WHERE number = ?1";
        let row = self
            .index
            .prepare_cached(sql)?
            .query_row(params![integer(bundle), self.times.0, self.times.1], |row| row.get(0));
        Ok(row.optional()?.unwrap_or(false))
    }
}

fn bundle(index: &Connection, sql: &str, bound: i64) -> Result<Option<u64>, KnowError> {
    let row = index.prepare_cached(sql)?.query_row([bound], |row| row.get::<_, i64>(0)).optional()?;
    Ok(row.map(number))
}
