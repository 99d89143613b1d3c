//! Texts, sealed: AES-256-GCM with a key for each grant, which lies beside them, encrypted by a key that does not. To remove a grant's key
//! is to erase its texts.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use record::{Commitment, Uid};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::engine::commit::{KeyFrom, Sealed};

/// How many bytes a key has.
const KEY: usize = 32;

/// By how many bytes a key-encryption key is named.
const NAME: usize = 8;

/// How many bytes a wrapped key has: the name of the key that encrypts it, a nonce, the key, and a tag.
pub const WRAPPED: usize = NAME + NONCE_LEN + KEY + MAX_TAG_LEN;

/// Something cannot be sealed or opened. It says nothing of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The file of key-encryption keys.
    #[error("not a file of key-encryption keys: each line is the base64 of 32 bytes, the first one encrypts")]
    Keys,
    /// A wrapped key of a grant.
    #[error("no key-encryption key here opens it")]
    Wrapped,
    /// A text.
    #[error("the text is not what was sealed")]
    Text,
    /// The library gives no random bytes, or refuses to encrypt.
    #[error("nothing can be encrypted")]
    Library,
}

/// The keys that encrypt the grants' keys.
pub struct KeyEncryptionKeys {
    /// The first one encrypts; all of them decrypt.
    keys: Vec<([u8; NAME], LessSafeKey)>,
}

impl KeyEncryptionKeys {
    /// From the text of a file: a line for each, the base64 of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let keys: Vec<_> = text
            .lines()
            .map(|line| key_encryption_key(line).ok_or(SealError::Keys))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SealError::Keys) } else { Ok(Self { keys }) }
    }

    /// The wrapped form of a key that is bound to a name: name of the key that encrypts it, nonce, the key encrypted with its tag.
    pub fn wrap(&self, bound_to: &str, key: &[u8]) -> Result<Vec<u8>, SealError> {
        let (name, by) = self.keys.first().ok_or(SealError::Keys)?;
        let sealed = seal(by, bound_to.as_bytes(), key)?;
        Ok([name.as_slice(), &sealed].concat())
    }

    /// The key that was wrapped, bound to this name.
    pub fn unwrap(&self, bound_to: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (name, sealed) = wrapped.split_first_chunk::<NAME>().ok_or(SealError::Wrapped)?;
        let (_, by) = self.keys.iter().find(|(known, _)| known == name).ok_or(SealError::Wrapped)?;
        open(by, bound_to.as_bytes(), sealed).map(Zeroizing::new).ok_or(SealError::Wrapped)
    }
}

fn key_encryption_key(line: &str) -> Option<([u8; NAME], LessSafeKey)> {
    let bytes = Zeroizing::new(STANDARD.decode(line).ok()?);
    if bytes.len() != KEY {
        return None;
    }
    let hash: [u8; 32] =
        Sha256::new_with_prefix("name of a key-encryption key").chain_update(&*bytes).finalize().into();
    Some((*hash.first_chunk()?, cipher(&bytes)?))
}

fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

/// Nonce, what is encrypted, tag.
fn seal(key: &LessSafeKey, bound_to: &[u8], text: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| SealError::Library)?;
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed)
        .map_err(|_| SealError::Library)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &LessSafeKey, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = encrypted.to_vec();
    let length =
        key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound_to), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// The key of one grant's texts.
pub struct GrantKey {
    cipher: LessSafeKey,
    wrapped: Vec<u8>,
    from: KeyFrom,
}

impl GrantKey {
    /// A new one.
    fn generate(keys: &KeyEncryptionKeys, grant: &Uid) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY]);
        rand::fill(key.as_mut_slice()).map_err(|_| SealError::Library)?;
        let wrapped = keys.wrap(grant.as_str(), key.as_slice())?;
        Ok(Self { cipher: cipher(key.as_slice()).ok_or(SealError::Library)?, wrapped, from: KeyFrom::Made })
    }

    /// The one that was stored.
    pub fn stored(keys: &KeyEncryptionKeys, grant: &Uid, wrapped: Vec<u8>) -> Result<Self, SealError> {
        let key = keys.unwrap(grant.as_str(), &wrapped)?;
        Ok(Self { cipher: cipher(&key).ok_or(SealError::Wrapped)?, wrapped, from: KeyFrom::Stored })
    }

    /// A salt and payload, sealed. It can be opened in the place of no other: it is bound to the commitment of its record.
    pub fn seal(&self, salted: &[u8], commit: &Commitment) -> Result<Vec<u8>, SealError> {
        seal(&self.cipher, &commit.0.0, salted)
    }

    /// The salt and payload.
    pub fn open(&self, sealed: &[u8], commit: &Commitment) -> Result<Vec<u8>, SealError> {
        open(&self.cipher, &commit.0.0, sealed).ok_or(SealError::Text)
    }
}

impl fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantKey").finish_non_exhaustive()
    }
}

/// The keys of all grants whose texts arrive now. Clones share them.
#[derive(Clone)]
pub struct Keys {
    shared: Arc<Shared>,
}

struct Shared {
    keys: KeyEncryptionKeys,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    grants: HashMap<Uid, Arc<GrantKey>>,
    /// Those whose stored key is erased, and which have no other yet.
    erased: HashSet<Uid>,
    erasures: u64,
}

impl Known {
    fn of(&self, grant: &Uid) -> Option<(Arc<GrantKey>, Sealed)> {
        let key = Arc::clone(self.grants.get(grant)?);
        let (grant, wrapped, from) = (grant.clone(), key.wrapped.clone(), key.from);
        let sealed = Sealed { grant, wrapped, from, erasures: self.erasures };
        Some((key, sealed))
    }
}

impl Keys {
    /// None known yet.
    pub fn new(keys: KeyEncryptionKeys) -> Self {
        Self { shared: Arc::new(Shared { keys, known: Mutex::default() }) }
    }

    /// The grant's key: the one that is known; or else the stored one, which `stored` reads; or else a new one.
    pub fn of<E>(
        &self,
        grant: &Uid,
        stored: impl Fn() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(Arc<GrantKey>, Sealed), KeyError<E>> {
        loop {
            let before = {
                let known = self.known();
                if let Some(found) = known.of(grant) {
                    return Ok(found);
                }
                known.erasures
            };
            // It may take long, and nobody waits for it who needs another grant's key.
            let wrapped = stored().map_err(KeyError::Read)?;
            let mut known = self.known();
            // Somebody else may have read it meanwhile, or erased it.
            if known.grants.contains_key(grant) || known.erasures != before {
                continue;
            }
            // What was read may be older than an erasure before.
            let key = match wrapped.filter(|_| !known.erased.contains(grant)) {
                Some(wrapped) => GrantKey::stored(&self.shared.keys, grant, wrapped),
                None => GrantKey::generate(&self.shared.keys, grant),
            };
            known.erased.remove(grant);
            known.grants.insert(grant.clone(), Arc::new(key.map_err(KeyError::Seal)?));
        }
    }

    /// The grant's key, if nothing need be read for it.
    pub fn known_of(&self, grant: &Uid) -> Option<(Arc<GrantKey>, Sealed)> {
        self.known().of(grant)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the wrapped key of a grant.
    pub fn opens(&self, grant: &Uid, wrapped: Vec<u8>) -> bool {
        GrantKey::stored(&self.shared.keys, grant, wrapped).is_ok()
    }

    /// Opens what was sealed with a grant's key, whose wrapped form is given.
    pub fn open(
        &self,
        grant: &Uid,
        wrapped: Vec<u8>,
        (sealed, commit): (&[u8], &Commitment),
    ) -> Result<Vec<u8>, SealError> {
        GrantKey::stored(&self.shared.keys, grant, wrapped)?.open(sealed, commit)
    }

    #[cfg(test)]
    fn forget(&self, grant: &Uid) {
        self.known().grants.remove(grant);
    }

    /// Whether the key of a grant was erased since the start, and it has no other yet. The tree may not have the record of it.
    pub fn is_erased(&self, grant: &Uid) -> bool {
        self.known().erased.contains(grant)
    }

    /// The record of a grant's erasure is durable: nothing is sealed with its key any more.
    pub fn erased(&self, grant: &Uid) {
        let mut known = self.known();
        known.grants.remove(grant);
        known.erased.insert(grant.clone());
        known.erasures = known.erasures.saturating_add(1);
    }
}

/// Why there is no key for a grant.
#[derive(Debug, thiserror::Error)]
pub enum KeyError<E> {
    /// The stored one cannot be read.
    #[error("cannot read the key of the grant")]
    Read(#[source] E),
    /// It cannot be opened, or none be made.
    #[error("there is no key for the texts of the grant")]
    Seal(#[source] SealError),
}

#[cfg(test)]
mod tests {
    use record::samples::uid;
    use tlog::Hash;

    use super::*;

    fn keys(bytes: &[u8]) -> KeyEncryptionKeys {
        let lines: Vec<String> = bytes.iter().map(|byte| STANDARD.encode([*byte; KEY])).collect();
        KeyEncryptionKeys::parse(&lines.join("\n")).unwrap()
    }

    fn commit(byte: u8) -> Commitment {
        Commitment(Hash([byte; 32]))
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_key_in_its_place_alone() {
        let key = GrantKey::generate(&keys(&[1]), &uid(1)).unwrap();
        let sealed = key.seal(b"SELECT 1", &commit(1)).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"SELECT"));
        assert_eq!(key.open(&sealed, &commit(1)).unwrap(), b"SELECT 1");
        assert_eq!(key.open(&sealed, &commit(2)), Err(SealError::Text), "in another place");
        let other = GrantKey::generate(&keys(&[1]), &uid(1)).unwrap();
        assert_eq!(other.open(&sealed, &commit(1)), Err(SealError::Text), "by another key");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed, &commit(1)), Err(SealError::Text), "byte {at}");
        }
        assert_ne!(key.seal(b"SELECT 1", &commit(1)).unwrap(), sealed, "no nonce twice");
        assert_eq!(key.open(&sealed[..11], &commit(1)), Err(SealError::Text));
    }

    #[test]
    fn a_stored_key_is_opened_after_the_key_encryption_key_was_changed_and_by_no_other() {
        let key = GrantKey::generate(&keys(&[1]), &uid(1)).unwrap();
        let sealed = key.seal(b"SELECT 1", &commit(1)).unwrap();
        let stored = GrantKey::stored(&keys(&[2, 1]), &uid(1), key.wrapped.clone()).unwrap();
        assert_eq!(stored.open(&sealed, &commit(1)).unwrap(), b"SELECT 1");
        for (keys, grant) in [(keys(&[2]), uid(1)), (keys(&[1]), uid(2))] {
            let error = GrantKey::stored(&keys, &grant, key.wrapped.clone()).unwrap_err();
            assert_eq!(error, SealError::Wrapped);
        }
        assert!(GrantKey::stored(&keys(&[1]), &uid(1), vec![0; 3]).is_err());
    }

    #[test]
    fn a_file_of_keys_holds_keys() {
        for bad in ["", "\n", "AAAA", "not base64", &format!("{}\nAAAA", STANDARD.encode([1; KEY]))] {
            assert!(KeyEncryptionKeys::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_grant_has_one_key_until_it_is_erased() {
        let all = Keys::new(keys(&[1]));
        let nothing = || Ok::<_, ()>(None);
        let (first, sealed) = all.of(&uid(1), nothing).unwrap();
        let (again, _) = all.of(&uid(1), || panic!("it is known")).map_err(|_: KeyError<()>| ()).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(sealed.erasures, 0);
        let all = Keys::new(keys(&[1]));
        let text = first.seal(b"SELECT 1", &commit(1)).unwrap();
        let (stored, again) = all.of(&uid(1), || Ok::<_, ()>(Some(sealed.wrapped.clone()))).unwrap();
        assert_eq!((sealed.from, again.from), (KeyFrom::Made, KeyFrom::Stored));
        assert_eq!(stored.open(&text, &commit(1)).unwrap(), b"SELECT 1");
        all.erased(&uid(1));
        // The erased key lies there until the next checkpoint.
        let stored = || Ok::<_, ()>(Some(sealed.wrapped.clone()));
        let (other, sealed) = all.of(&uid(1), stored).unwrap();
        assert_eq!(sealed.erasures, 1);
        assert!(other.open(&text, &commit(1)).is_err());
    }

    #[test]
    fn a_key_that_was_read_before_its_erasure_is_not_used_after_it() {
        let all = Keys::new(keys(&[1]));
        let (first, sealed) = all.of(&uid(1), || Ok::<_, ()>(None)).unwrap();
        let text = first.seal(b"SELECT 1", &commit(1)).unwrap();
        all.forget(&uid(1));
        // The bucket answers, and before the answer is here somebody erases the texts, and others begin new ones.
        let slow = || {
            all.erased(&uid(1));
            all.of(&uid(1), || Ok::<_, ()>(None)).unwrap();
            all.forget(&uid(1));
            Ok::<_, ()>(Some(sealed.wrapped.clone()))
        };
        let is_first = std::cell::Cell::new(true);
        let newest = || if is_first.replace(false) { slow() } else { Ok(None) };
        let (second, sealed) = all.of(&uid(1), newest).unwrap();
        assert_eq!(sealed.erasures, 1);
        assert!(second.open(&text, &commit(1)).is_err());
    }

    #[test]
    fn who_reads_a_key_keeps_nobody_out_and_two_that_read_one_have_the_same() {
        let all = Keys::new(keys(&[1]));
        let others = || {
            all.of(&uid(2), || Ok::<_, ()>(None)).unwrap();
            let (first, _) = all.of(&uid(1), || Ok::<_, ()>(None)).unwrap();
            first
        };
        let known = std::cell::RefCell::new(None);
        let (key, _) = all
            .of(&uid(1), || {
                *known.borrow_mut() = Some(others());
                Ok::<_, ()>(None)
            })
            .unwrap();
        assert!(Arc::ptr_eq(&key, &known.take().unwrap()));
        assert!(all.known_of(&uid(2)).is_some() && all.known_of(&uid(3)).is_none());
    }
}
