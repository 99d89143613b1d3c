//! What the records of grants and requests say of all others about them, read from the bundles whenever it is needed.

use std::collections::BTreeSet;

use record::Uid;
use rusqlite::{Connection, OptionalExtension as _};

use super::bundles::{Bundles, Found, Unread};
use super::facts::{Whose, request_of, whose};
use super::store::number;

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum KnowError {
    /// The index cannot be read.
    #[error("the index cannot be read")]
    Index(#[from] rusqlite::Error),
    /// The tree cannot.
    #[error("a record cannot be read")]
    Tree(#[source] Unread),
    /// The tree has something else where the index says that it is.
    #[error("the index does not fit the tree")]
    Misfit,
}

impl From<Unread> for KnowError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Beyond(_) => Self::Misfit,
            Unread::Damaged(_) | Unread::Away(_) | Unread::Left => Self::Tree(unread),
        }
    }
}

/// Lets what cannot be read be unknown, and notes in which bundle that is.
pub fn readable<T>(unread: &mut BTreeSet<u64>, looked: Result<T, KnowError>) -> Result<Option<T>, KnowError> {
    match looked {
        Err(KnowError::Tree(Unread::Damaged(name))) => {
            unread.insert(name.index);
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// A grant, as its own records have it.
#[derive(Clone, Debug)]
pub struct KnownGrant {
    /// Whose it is.
    pub whose: Whose,
    /// The operator's record of its newest proxy.
    pub pod: Option<Found>,
}

/// What is known of a grant; `None`, where no record names it as its own.
pub fn grant(index: &Connection, bundles: &Bundles, uid: &Uid) -> Result<Option<KnownGrant>, KnowError> {
    let mut statement = index.prepare_cached("SELECT open, pod FROM known_grant WHERE uid = ?1")?;
    let row = statement
        .query_row([uid.as_str()], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)));
    let Some((open, pod)) = row.optional()? else { return Ok(None) };
    let read = |at: Option<i64>| at.map(|index| bundles.record(number(index))).transpose();
    let (open, pod) = (read(open)?, read(pod)?);
    for (found, kind) in [(&open, "open"), (&pod, "pod")] {
        if let Some(found) = found
            && (found.record.grant.as_ref() != Some(uid) || found.record.what.kind().1 != kind)
        {
            return Err(KnowError::Misfit);
        }
    }
    let whose =
        Whose::of_grant(open.as_ref().map(|found| &found.record), pod.as_ref().map(|found| &found.record));
    Ok(Some(KnownGrant { whose, pod }))
}

/// What is known of a request.
pub fn request(index: &Connection, bundles: &Bundles, uid: &Uid) -> Result<Option<Whose>, KnowError> {
    let mut statement = index.prepare_cached("SELECT said FROM known_request WHERE uid = ?1")?;
    let said: Option<i64> = statement.query_row([uid.as_str()], |row| row.get(0)).optional()?;
    let Some(said) = said else { return Ok(None) };
    let found = bundles.record(number(said))?;
    if request_of(&found.record) != Some(uid) || found.record.what.kind().1 != "request" {
        return Err(KnowError::Misfit);
    }
    Ok(Some(Whose::of_request(&found.record)))
}

/// How many grants and requests are remembered at once.
const REMEMBERED: usize = 4096;

/// What was read of late.
#[derive(Default)]
pub struct Known {
    grants: std::collections::HashMap<Uid, Option<Whose>>,
    requests: std::collections::HashMap<Uid, Option<Whose>>,
    /// The bundles that could not be read for it.
    unread: BTreeSet<u64>,
}

impl Known {
    /// Whose a record is.
    pub fn whose(
        &mut self,
        index: &Connection,
        bundles: &Bundles,
        found: &Found,
    ) -> Result<Whose, KnowError> {
        let record = &found.record;
        let (mut of_grant, mut of_request) = (None, None);
        if let Some(uid) = &record.grant {
            of_grant = self.grant(index, bundles, uid)?;
        } else if let Some(uid) = request_of(record) {
            of_request = self.request(index, bundles, uid)?;
        }
        Ok(whose(record, of_grant.as_ref(), of_request.as_ref()))
    }

    /// Whose a grant is.
    pub fn grant(
        &mut self,
        index: &Connection,
        bundles: &Bundles,
        uid: &Uid,
    ) -> Result<Option<Whose>, KnowError> {
        if let Some(whose) = self.grants.get(uid) {
            return Ok(whose.clone());
        }
        let known = readable(&mut self.unread, grant(index, bundles, uid))?.flatten();
        let whose = known.map(|known| known.whose);
        if self.grants.len() >= REMEMBERED {
            self.grants.clear();
        }
        self.grants.insert(uid.clone(), whose.clone());
        Ok(whose)
    }

    /// Whose a request is.
    pub fn request(
        &mut self,
        index: &Connection,
        bundles: &Bundles,
        uid: &Uid,
    ) -> Result<Option<Whose>, KnowError> {
        if let Some(whose) = self.requests.get(uid) {
            return Ok(whose.clone());
        }
        let whose = readable(&mut self.unread, request(index, bundles, uid))?.flatten();
        if self.requests.len() >= REMEMBERED {
            self.requests.clear();
        }
        self.requests.insert(uid.clone(), whose.clone());
        Ok(whose)
    }

    /// Lets what cannot be read be unknown.
    pub fn readable<T>(&mut self, looked: Result<T, KnowError>) -> Result<Option<T>, KnowError> {
        readable(&mut self.unread, looked)
    }

    /// The bundles that could not be read since this was asked last.
    pub fn unread(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.unread)
    }

    /// Something new was said of a grant.
    pub fn forget_grant(&mut self, uid: &Uid) {
        self.grants.remove(uid);
    }

    /// Something new was said of a request.
    pub fn forget_request(&mut self, uid: &Uid) {
        self.requests.remove(uid);
    }
}
