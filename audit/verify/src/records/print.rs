//! Fingerprints: what stays of a name or a value that later ones are compared with.

use record::{Record, Uid};
use sha2::{Digest as _, Sha256};

/// Half of a SHA-256: nobody finds two values of one fingerprint by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 16]);

impl Print {
    fn new(hash: Sha256) -> Self {
        let hash: [u8; 32] = hash.finalize().into();
        let (half, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self(*half)
    }

    /// Of a name.
    pub(super) fn of(name: &str) -> Self {
        Self::new(Sha256::new_with_prefix(name))
    }

    /// Of a step in the life of a request.
    pub(super) fn of_step(kind: &str, uid: &Uid) -> Self {
        Self::new(Sha256::new_with_prefix(kind).chain_update([0]).chain_update(uid.as_str()))
    }

    /// Of one of several things of a request: an approval by its uid, terms by their digest.
    pub(super) fn of_part(kind: &str, request: &Uid, part: &str) -> Self {
        let hash = Sha256::new_with_prefix(kind).chain_update([0]).chain_update(request.as_str());
        Self::new(hash.chain_update([0]).chain_update(part))
    }

    /// Of what a record says, wherever and whenever it says it.
    pub(super) fn of_what(record: &Record) -> Self {
        let grant = record.grant.as_ref().map_or("", Uid::as_str);
        let what = serde_json::to_vec(&record.what).unwrap_or_default();
        let kind = record.what.kind().1;
        let hash = Sha256::new_with_prefix(grant).chain_update([0]).chain_update(kind).chain_update([0]);
        Self::new(hash.chain_update(what))
    }
}
