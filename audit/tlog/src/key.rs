//! Keys that sign notes, and those that verify them. Source: C2SP signed-note, "Signatures" and "Verifier keys"; tlog-cosignature.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::note::Signature;

/// How many bytes a public key of Ed25519 has, and the seed of a private one.
const KEY: usize = 32;

/// How many bytes a signature of Ed25519 has.
const SIGNATURE: usize = 64;

/// The name of a key: a URL without its scheme, such as `keyhole.internal/log/0123456789abcdef`. Neither empty, nor with a white space,
/// a control character or `+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// Tells the keys of one name apart: the start of a SHA-256 over name, algorithm and public key. As text eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// What is signed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 over the text: a log.
    Ed25519,
    /// Ed25519 over a time and the text: a witness (`cosignature/v1`).
    Cosignature,
}

/// A public key. As text `name+id+key`, which C2SP calls a vkey.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    algorithm: Algorithm,
    public: [u8; KEY],
}

/// What is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVerifierKey {
    /// Not `name+id+key`.
    #[error("not a verifier key: NAME+8 HEXADECIMAL DIGITS+BASE64")]
    Form,
    /// The name.
    #[error("the name of the key is empty, or has a white space, a control character or a plus sign")]
    Name,
    /// An algorithm that is not known here.
    #[error("the key is neither Ed25519 of a log (1) nor of a witness (4)")]
    Algorithm,
    /// Its id belongs to another key.
    #[error("the id of the key does not belong to its name and bytes")]
    Id,
}

/// A private key. It has no text, and `Debug` shows its name alone.
pub struct Signer {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl KeyName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = BadVerifierKey;

    fn from_str(name: &str) -> Result<Self, BadVerifierKey> {
        let wrong = |sign: char| sign.is_whitespace() || sign.is_control() || sign == '+';
        if name.is_empty() || name.contains(wrong) {
            return Err(BadVerifierKey::Name);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Algorithm {
    /// "Signature types" of signed-note.
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

impl VerifierKey {
    /// Its name. That of a log's key is the log's origin.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether both are the same key, whatever they are called.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        let hash: [u8; 32] = Sha256::new_with_prefix(self.name.as_str())
            .chain_update([b'\n', self.algorithm.byte()])
            .chain_update(self.public)
            .finalize()
            .into();
        let [first, second, third, fourth, ..] = hash;
        KeyId([first, second, third, fourth])
    }

    /// Whether these bytes are its signature of the text: the time of a cosignature, in seconds since 1970, or `None` of a log's.
    pub(crate) fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NotSigned> {
        let (time, signature) = match self.algorithm {
            Algorithm::Ed25519 => (None, signature),
            Algorithm::Cosignature => {
                let (time, signature) = signature.split_first_chunk().ok_or(NotSigned)?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        let message = match time {
            None => text.to_owned(),
            // The specification's limit: what does not fit in 63 bits is no time.
            Some(time) if i64::try_from(time).is_ok() => cosigned(time, text),
            Some(_) => return Err(NotSigned),
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        key.verify(message.as_bytes(), signature).map_err(|_| NotSigned)?;
        Ok(time)
    }
}

/// A signature that is not the key's, or of another text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSigned;

/// What a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.algorithm.byte()];
        bytes.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = BadVerifierKey;

    fn from_str(text: &str) -> Result<Self, BadVerifierKey> {
        let (name, rest) = text.split_once('+').ok_or(BadVerifierKey::Form)?;
        let (id, key) = rest.split_once('+').ok_or(BadVerifierKey::Form)?;
        let name = name.parse()?;
        let bytes = STANDARD.decode(key).map_err(|_| BadVerifierKey::Form)?;
        let (algorithm, public) = bytes.split_first().ok_or(BadVerifierKey::Form)?;
        let algorithm = match algorithm {
            1 => Algorithm::Ed25519,
            4 => Algorithm::Cosignature,
            _ => return Err(BadVerifierKey::Algorithm),
        };
        let public = public.try_into().map_err(|_| BadVerifierKey::Form)?;
        let key = Self { name, algorithm, public };
        if key.id().to_string() == id { Ok(key) } else { Err(BadVerifierKey::Id) }
    }
}

impl Signer {
    /// A log's key, or a witness's, from the 32 random bytes that it was made of.
    pub fn new(name: KeyName, algorithm: Algorithm, seed: &[u8; KEY]) -> Result<Self, BadVerifierKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadVerifierKey::Form)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| BadVerifierKey::Form)?;
        Ok(Self { verifier: VerifierKey { name, algorithm, public }, pair })
    }

    /// Its public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text. `now`, in seconds since 1970, is part of a witness's signature; a log's has no time.
    pub fn sign(&self, text: &str, now: u64) -> Signature {
        let (mut bytes, message) = match self.verifier.algorithm {
            Algorithm::Ed25519 => (Vec::with_capacity(SIGNATURE), text.to_owned()),
            Algorithm::Cosignature => (now.to_be_bytes().to_vec(), cosigned(now, text)),
        };
        bytes.extend_from_slice(self.pair.sign(message.as_bytes()).as_ref());
        Signature { name: self.verifier.name.clone(), key: self.verifier.id(), bytes }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("name", &self.verifier.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(algorithm: Algorithm) -> Signer {
        Signer::new("example.com/log".parse().unwrap(), algorithm, &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_has_one_text() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Cosignature] {
            let key = signer(algorithm).verifier().clone();
            let text = key.to_string();
            assert_eq!(text.parse(), Ok(key));
            let parts: Vec<&str> = text.splitn(3, '+').collect();
            let [name, id, bytes] = parts[..] else { panic!("{text}") };
            for (bad, error) in [
                (String::new(), BadVerifierKey::Form),
                (name.to_owned(), BadVerifierKey::Form),
                (format!("{name}+{id}"), BadVerifierKey::Form),
                (format!("+{id}+{bytes}"), BadVerifierKey::Name),
                (format!("a b+{id}+{bytes}"), BadVerifierKey::Name),
                (format!("{name}x+{id}+{bytes}"), BadVerifierKey::Id),
                (format!("{name}+{}+{bytes}", id.to_uppercase()), BadVerifierKey::Id),
                (format!("{name}+00000000+{bytes}"), BadVerifierKey::Id),
                (format!("{name}+{id}+{bytes} "), BadVerifierKey::Form),
                (format!("{name}+{id}+{}", STANDARD.encode([1; 32])), BadVerifierKey::Form),
                (format!("{name}+{id}+{}", STANDARD.encode([2; 33])), BadVerifierKey::Algorithm),
                (format!("{name}+{id}+"), BadVerifierKey::Form),
            ] {
                // An id in capitals is the same where it has no letters.
                if bad != text {
                    assert_eq!(bad.parse::<VerifierKey>(), Err(error), "{bad}");
                }
            }
        }
    }

    /// Keys of the specifications, and of others' notes.
    #[test]
    fn ids_are_those_of_everybody() {
        let golang = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert_eq!(golang.parse::<VerifierKey>().unwrap().to_string(), golang);
    }

    #[test]
    fn a_signature_is_of_one_key_one_text_and_one_algorithm() {
        let (log, witness) = (signer(Algorithm::Ed25519), signer(Algorithm::Cosignature));
        let (by_log, by_witness) = (log.sign("text\n", 5), witness.sign("text\n", 5));
        assert_eq!(log.verifier().verify("text\n", &by_log.bytes), Ok(None));
        assert_eq!(witness.verifier().verify("text\n", &by_witness.bytes), Ok(Some(5)));
        assert_eq!(log.verifier().verify("texts\n", &by_log.bytes), Err(NotSigned));
        assert_eq!(log.verifier().verify("text\n", &by_witness.bytes), Err(NotSigned));
        assert_eq!(witness.verifier().verify("text\n", &by_log.bytes), Err(NotSigned));
        let mut later = by_witness.bytes.clone();
        later[7] = 6;
        assert_eq!(witness.verifier().verify("text\n", &later), Err(NotSigned), "its time is signed too");
        for bytes in [&by_witness.bytes[..8], &by_witness.bytes[..71], &[]] {
            assert_eq!(witness.verifier().verify("text\n", bytes), Err(NotSigned));
        }
        let never = witness.sign("text\n", u64::MAX);
        assert_eq!(witness.verifier().verify("text\n", &never.bytes), Err(NotSigned));
    }

    #[test]
    fn nothing_of_a_private_key_is_shown() {
        let shown = format!("{:?}", signer(Algorithm::Ed25519));
        assert_eq!(shown, r#"Signer { name: KeyName("example.com/log"), .. }"#);
    }
}
