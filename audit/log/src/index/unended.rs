//! Proxies that the operator let on and of which no record says that their credentials are gone: by its own records, whatever the proxies
//! say.
//!
//! A receipt by which Vault has no lease of the grant any more says it of all proxies that were let on before it, a sweep of the one whose
//! accessor it names. A receipt that leaves the lease unproved (somebody gave it up, or Vault shows other leases of the role) says it of none,
//! even where the login is proved to be refused: that is one user's, and a token that stands may read another. What comes later is not over
//! by what was said before: a cluster that was restored from a backup may open a grant again whose receipt is on record.

use record::kinds::State;
use record::kinds::operator::Item;
use record::{Uid, What};
use rusqlite::{Connection, params};

use super::bundles::Found;
use super::known::KnowError;
use super::store::{integer, number};
use super::view::{BYTES, View};

/// The item of a receipt that says that Vault has no lease of the grant any more.
const LEASE: &str = "lease";

/// The most proxies of one answer.
const PROXIES: u32 = 200;

/// The most proxies of one grant: it has no more leases.
const PROXIES_OF_GRANT: u32 = 256;

/// The most credentials that are told of one proxy.
const CREDENTIALS: usize = 16;

/// The most bytes of the credentials' records that are told of one proxy.
const BYTES_OF_CREDENTIALS: usize = 256 << 10;

/// A proxy of which no record says that its credentials are gone.
#[derive(Debug)]
pub struct Unended {
    /// The operator's record of it.
    pub pod: Found,
    /// The records of credentials of its grant, each with the index of the record that says that it is gone: first those of which none
    /// does, and of either the newest first.
    pub credentials: Vec<(Found, Option<u64>)>,
    /// How many others of the grant there are, with those that cannot be read.
    pub more: u64,
}

/// Takes the next record of the log. Says which grant is over by it, so that nothing runs in its streams.
pub fn take<'a>(index: &Connection, found: &'a Found) -> Result<Option<&'a Uid>, rusqlite::Error> {
    let (record, at) = (&found.record, integer(found.index));
    let grant = record.grant.as_ref();
    let uid = grant.map(Uid::as_str);
    match &record.what {
        What::Pod(pod) => {
            // It may be written again when another operator leads.
            let sql = "INSERT INTO unended (pod, of_grant, accessor) SELECT ?1, ?2, ?3 WHERE ?2 IS NOT NULL
                       ON CONFLICT (accessor, of_grant) DO NOTHING";
            index.prepare_cached(sql)?.execute(params![at, uid, pod.accessor])?;
        }
        What::Credential(credential) => {
            let sql = "INSERT INTO credential (said, of_grant, lease) SELECT ?1, ?2, ?3 WHERE ?2 IS NOT NULL";
            index.prepare_cached(sql)?.execute(params![at, uid, credential.lease])?;
        }
        What::Shut(item) if is_no_lease_left(item) => {
            let sql = "UPDATE credential SET over = ?1 WHERE of_grant = ?2 AND over IS NULL";
            index.prepare_cached(sql)?.execute(params![at, uid])?;
        }
        What::Sweep(sweep) if sweep.state != State::Open => {
            let sql = "UPDATE credential SET over = ?1 WHERE lease = ?2 AND over IS NULL";
            index.prepare_cached(sql)?.execute(params![at, sweep.lease])?;
            index
                .prepare_cached("DELETE FROM unended WHERE accessor = ?1")?
                .execute(params![sweep.accessor])?;
            let sql = "SELECT count(*) = 0 FROM unended WHERE of_grant = ?1";
            let is_last: bool = index.prepare_cached(sql)?.query_row([uid], |row| row.get(0))?;
            if is_last {
                forget_credentials(index, uid)?;
                return Ok(grant);
            }
        }
        What::Receipt(receipt) => {
            if receipt.items.iter().any(is_no_lease_left) {
                index.prepare_cached("DELETE FROM unended WHERE of_grant = ?1")?.execute([uid])?;
                forget_credentials(index, uid)?;
            }
            return Ok(grant);
        }
        _ => (),
    }
    Ok(None)
}

/// Whether it says that Vault has no lease of the grant, and its tokens are revoked.
fn is_no_lease_left(item: &Item) -> bool {
    item.item == LEASE && item.state == State::Proved
}

fn forget_credentials(index: &Connection, uid: Option<&str>) -> Result<(), rusqlite::Error> {
    index.prepare_cached("DELETE FROM credential WHERE of_grant = ?1")?.execute([uid]).map(|_| ())
}

fn is_of(found: &Found, grant: &str) -> bool {
    found.record.grant.as_ref().is_some_and(|uid| uid.as_str() == grant)
}

impl View<'_> {
    /// Proxies whose credentials may stand, the newest first: those that were let on before the record with the index `before`. At most
    /// 200 of them and 1 MiB of records; one whose record cannot be read is passed over. With them the `before` of the next answer, if there may be more.
    pub fn unended(&self, before: Option<u64>) -> Result<(Vec<Unended>, Option<u64>), KnowError> {
        let sql = "SELECT pod, of_grant, accessor FROM unended WHERE pod < ?1 ORDER BY pod DESC LIMIT ?2";
        let mut statement = self.index.prepare_cached(sql)?;
        let rows = statement.query_map(params![before.map_or(i64::MAX, integer), PROXIES], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        let (mut all, mut bytes, mut last, mut count) = (Vec::new(), 0_usize, None, 0_u32);
        for row in rows {
            let (at, grant, accessor) = row?;
            count = count.saturating_add(1);
            let Some(one) = self.readable(self.unended_proxy(number(at), &grant, &accessor))? else {
                last = Some(number(at));
                continue;
            };
            let leaves = one.credentials.iter().map(|(found, _)| found.leaf.len());
            bytes = leaves.fold(bytes.saturating_add(one.pod.leaf.len()), usize::saturating_add);
            if bytes > BYTES {
                return Ok((all, last));
            }
            last = Some(number(at));
            all.push(one);
        }
        Ok((all, last.filter(|_| count >= PROXIES)))
    }

    /// The operator's records of this grant's proxies whose credentials may stand, in their order. One that cannot be read is passed over.
    pub fn unended_of(&self, grant: &Uid) -> Result<Vec<Found>, KnowError> {
        let sql = "SELECT pod, accessor FROM unended WHERE of_grant = ?1 ORDER BY pod LIMIT ?2";
        let mut statement = self.index.prepare_cached(sql)?;
        let rows = statement.query_map(params![grant.as_str(), PROXIES_OF_GRANT], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut pods = Vec::new();
        for row in rows {
            let (at, accessor) = row?;
            pods.extend(self.readable(self.unended_pod(number(at), grant.as_str(), &accessor))?);
        }
        Ok(pods)
    }

    fn unended_pod(&self, at: u64, grant: &str, accessor: &str) -> Result<Found, KnowError> {
        let pod = self.bundles.record(at)?;
        let names_it = matches!(&pod.record.what, What::Pod(pod) if pod.accessor == accessor);
        if names_it && is_of(&pod, grant) { Ok(pod) } else { Err(KnowError::Misfit) }
    }

    fn unended_proxy(&self, at: u64, grant: &str, accessor: &str) -> Result<Unended, KnowError> {
        let pod = self.unended_pod(at, grant, accessor)?;
        let sql =
            "SELECT said, over FROM credential WHERE of_grant = ?1 ORDER BY over IS NOT NULL, said DESC";
        let mut statement = self.index.prepare_cached(sql)?;
        let rows =
            statement.query_map([grant], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        let (mut credentials, mut bytes, mut more, mut unseen) = (Vec::new(), 0_usize, 0_u64, 0_u64);
        for row in rows {
            let (said, over) = row?;
            if more > 0 || credentials.len() >= CREDENTIALS {
                more = more.saturating_add(1);
                continue;
            }
            let Some(found) = self.readable(self.bundles.record(number(said)).map_err(KnowError::from))?
            else {
                unseen = unseen.saturating_add(1);
                continue;
            };
            if !(matches!(found.record.what, What::Credential(_)) && is_of(&found, grant)) {
                return Err(KnowError::Misfit);
            }
            bytes = bytes.saturating_add(found.leaf.len());
            if bytes > BYTES_OF_CREDENTIALS {
                more = 1;
                continue;
            }
            credentials.push((found, over.map(number)));
        }
        Ok(Unended { pod, credentials, more: more.saturating_add(unseen) })
    }
}
