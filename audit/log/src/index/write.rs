//! What a bundle adds to the index. Depends on nothing but the bundles: the same log gives the same index, in however many steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use record::{Record, Uid, What};
use rusqlite::{Connection, OptionalExtension as _, params};
use tlog::Hash;

use super::bundles::{Bundles, Found, Loaded, Unread, index_of, place_of};
use super::facts::{Sort, Term, Whose, terms, whose};
use super::known::{KnowError, Known};
use super::places::Places;
use super::state;
use super::store::{Progress, integer, note_unread, number, set_progress, term};

/// How many terms are remembered at once.
const REMEMBERED: usize = 65_536;

/// Adds to an index. It remembers what it needs often.
#[derive(Default)]
pub struct Writer {
    known: Known,
    terms: HashMap<Term, i64>,
}

/// A grant or request of which something new is known, and whose it was before.
struct Changed {
    sort: Sort,
    uid: Uid,
    before: Option<Whose>,
}

impl Writer {
    /// Adds the records from `indexed` on to the end of their bundle, and says how far the index is then. Within a transaction.
    pub fn step(&mut self, index: &Connection, bundles: &Bundles, indexed: u64) -> Result<u64, KnowError> {
        let (bundle, first) = place_of(indexed);
        let found = match bundles.load(bundle).and_then(|loaded| loaded.records()) {
            Err(Unread::Damaged(_)) => return pass(index, bundles, indexed),
            found => found?,
        };
        let new = found.get(usize::from(first)..).unwrap_or_default();
        for changed in self.learn(index, bundles, new)? {
            self.again(index, bundles, &changed)?;
        }
        state::take(index, new)?;
        self.post(index, bundles, (bundle, &found))?;
        let times = || found.iter().map(|found| found.record.at.micros());
        let mut statement = index.prepare_cached("INSERT OR REPLACE INTO bundle VALUES (?1, ?2, ?3)")?;
        statement.execute(params![integer(bundle), times().min(), times().max()])?;
        let indexed = found.last().map_or(indexed, |found| found.index.saturating_add(1));
        let last = found.last().map(|found| Hash::of_leaf(&found.leaf));
        set_progress(index, Progress { indexed, last })?;
        for bundle in self.known.unread() {
            note_unread(index, (bundle, index_of(bundle, 0)), bundles.size())?;
        }
        Ok(indexed)
    }

    /// Forgets what was not kept.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes what is said of grants and requests.
    fn learn(
        &mut self,
        index: &Connection,
        bundles: &Bundles,
        new: &[Found],
    ) -> Result<Vec<Changed>, KnowError> {
        let mut changed = Vec::new();
        for found in new {
            let at = integer(found.index);
            match (&found.record.what, &found.record.grant) {
                (What::Open(_), Some(uid)) => {
                    let before = self.known.grant(index, bundles, uid)?;
                    // The first one counts.
                    let sql = "INSERT INTO known_grant (uid, open) VALUES (?1, ?2)
                               ON CONFLICT (uid) DO UPDATE SET open = coalesce(open, excluded.open)";
                    index.prepare_cached(sql)?.execute(params![uid.as_str(), at])?;
                    self.known.forget_grant(uid);
                    changed.push(Changed { sort: Sort::Grant, uid: uid.clone(), before });
                }
                (What::Pod(_), Some(uid)) => {
                    let before = self.known.grant(index, bundles, uid)?;
                    let sql = "INSERT INTO known_grant (uid, pod) VALUES (?1, ?2)
                               ON CONFLICT (uid) DO UPDATE SET pod = excluded.pod";
                    index.prepare_cached(sql)?.execute(params![uid.as_str(), at])?;
                    self.known.forget_grant(uid);
                    changed.push(Changed { sort: Sort::Grant, uid: uid.clone(), before });
                }
                (What::Request(request), _) => {
                    let uid = &request.uid;
                    let before = self.known.request(index, bundles, uid)?;
                    let sql = "INSERT INTO known_request VALUES (?1, ?2) ON CONFLICT (uid) DO NOTHING";
                    index.prepare_cached(sql)?.execute(params![uid.as_str(), at])?;
                    self.known.forget_request(uid);
                    changed.push(Changed { sort: Sort::Request, uid: uid.clone(), before });
                }
                _ => (),
            }
        }
        Ok(changed)
    }

    /// Finds the earlier records of a grant or request by what is known of it now.
    fn again(&mut self, index: &Connection, bundles: &Bundles, changed: &Changed) -> Result<(), KnowError> {
        let Changed { sort, uid, before } = changed;
        let now = match sort {
            Sort::Grant => self.known.grant(index, bundles, uid)?,
            _ => self.known.request(index, bundles, uid)?,
        };
        if now == *before {
            return Ok(());
        }
        let by = |record: &Record, known: Option<&Whose>| match sort {
            Sort::Grant => terms(record, &whose(record, known, None)),
            _ => terms(record, &whose(record, None, known)),
        };
        for (bundle, places) in postings(index, *sort, uid.as_str())? {
            let read = |loaded: Loaded| {
                places
                    .iter()
                    .map(|place| Ok((place, loaded.record(place)?.record)))
                    .collect::<Result<Vec<_>, _>>()
            };
            let read = bundles.load(bundle).and_then(read).map_err(KnowError::from);
            for (place, record) in self.known.readable(read)?.unwrap_or_default() {
                // A grant's records are its own, whatever request they name.
                if *sort == Sort::Request && record.grant.is_some() {
                    continue;
                }
                let (old, new) = (by(&record, before.as_ref()), by(&record, now.as_ref()));
                let one: Places = [place].into_iter().collect();
                for gone in old.difference(&new) {
                    self.change(index, (gone, bundle), |places| places.without(one))?;
                }
                for added in new.difference(&old) {
                    self.change(index, (added, bundle), |places| places.or(one))?;
                }
            }
        }
        Ok(())
    }

    fn post(
        &mut self,
        index: &Connection,
        bundles: &Bundles,
        (bundle, found): (u64, &[Found]),
    ) -> Result<(), KnowError> {
        let mut postings: BTreeMap<Term, Places> = BTreeMap::new();
        for found in found {
            let whose = self.known.whose(index, bundles, found)?;
            let (_, place) = place_of(found.index);
            let all: BTreeSet<Term> = terms(&found.record, &whose);
            all.into_iter().for_each(|term| postings.entry(term).or_default().put(place));
        }
        for (term, places) in &postings {
            self.put(index, (term, bundle), *places)?;
        }
        Ok(())
    }

    fn change(
        &mut self,
        index: &Connection,
        (term, bundle): (&Term, u64),
        change: impl FnOnce(Places) -> Places,
    ) -> Result<(), KnowError> {
        let id = self.id(index, term)?;
        let mut before =
            index.prepare_cached("SELECT places FROM posting WHERE term = ?1 AND bundle = ?2")?;
        let before: Option<Vec<u8>> = before.query_row([id, integer(bundle)], |row| row.get(0)).optional()?;
        let before = Places::decode(&before.unwrap_or_default()).ok_or(KnowError::Misfit)?;
        let after = change(before);
        if after.is_empty() {
            let sql = "DELETE FROM posting WHERE term = ?1 AND bundle = ?2";
            index.prepare_cached(sql)?.execute([id, integer(bundle)])?;
            return Ok(());
        }
        self.put(index, (term, bundle), after)
    }

    fn put(
        &mut self,
        index: &Connection,
        (term, bundle): (&Term, u64),
        places: Places,
    ) -> Result<(), KnowError> {
        let id = self.id(index, term)?;
        let sql = "INSERT OR REPLACE INTO posting VALUES (?1, ?2, ?3)";
        index.prepare_cached(sql)?.execute(params![id, integer(bundle), places.encode()])?;
        Ok(())
    }

    fn id(&mut self, index: &Connection, (sort, text): &Term) -> Result<i64, KnowError> {
        let key = (*sort, text.clone());
        if let Some(id) = self.terms.get(&key) {
            return Ok(*id);
        }
        let id = match term(index, sort.number(), text)? {
            Some(id) => id,
            None => {
                let sql = "INSERT INTO term (sort, text) VALUES (?1, ?2)";
                index.prepare_cached(sql)?.insert(params![sort.number(), text])?
            }
        };
        if self.terms.len() >= REMEMBERED {
            self.terms.clear();
        }
        self.terms.insert(key, id);
        Ok(id)
    }
}

/// Passes over what cannot be read of the bundle in which this record stands: what comes later is known all the same.
fn pass(index: &Connection, bundles: &Bundles, indexed: u64) -> Result<u64, KnowError> {
    let past = note_unread(index, (place_of(indexed).0, indexed), bundles.size())?;
    set_progress(index, Progress { indexed: past, last: None })?;
    tracing::warn!(
        from = indexed,
        to = past,
        "the index passes over records that cannot be read: stop the log and run `keyhole-log check`"
    );
    Ok(past)
}

/// Where the records of one term stand.
fn postings(index: &Connection, sort: Sort, text: &str) -> Result<Vec<(u64, Places)>, KnowError> {
    let Some(id) = term(index, sort.number(), text)? else { return Ok(Vec::new()) };
    let mut statement = index.prepare_cached("SELECT bundle, places FROM posting WHERE term = ?1")?;
    let rows = statement.query_map([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (bundle, places) = row?;
        all.push((number(bundle), Places::decode(&places).ok_or(KnowError::Misfit)?));
    }
    Ok(all)
}
