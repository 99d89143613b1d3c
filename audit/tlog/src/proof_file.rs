//! A proof that an entry is in a log, in one file that can be checked without it. Source: C2SP tlog-proof.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decimal;
use crate::hash::Hash;
use crate::policy::{NotTrusted, Policy, Trusted};
use crate::proof::{BadProof, verify_inclusion};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes on the way from a leaf to a root.
const LONGEST_WAY: usize = 64;

/// The proof: a leaf's number, the hashes beside its way to the root, and the checkpoint with that root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// What goes along and is **not** proved.
    pub extra: Option<Vec<u8>>,
    /// The number of the entry in the log, from 0.
    pub index: u64,
    /// From its sibling upwards.
    pub path: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
}

/// What is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProofFile {
    /// The first line.
    #[error("the first line is not {HEADER:?}")]
    Header,
    /// The extra line.
    #[error("what stands after `extra` is no base64")]
    Extra,
    /// The index line.
    #[error("the line `index NUMBER` is missing")]
    Index,
    /// A hash, or more of them than any tree needs.
    #[error("a line before the empty one is no hash, or there are more than 64")]
    Path,
    /// The empty line and what follows it.
    #[error("an empty line and the checkpoint are missing")]
    Checkpoint,
}

/// Why a proof does not prove that the entry is in a log that the policy trusts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// The checkpoint.
    #[error("the checkpoint is not to be trusted")]
    Checkpoint(#[source] NotTrusted),
    /// The way to its root.
    #[error("the entry is not in the log at {index}")]
    Entry {
        /// Where it should be.
        index: u64,
        /// Why not.
        source: BadProof,
    },
}

impl ProofFile {
    /// The checkpoint, if the entry is under its root and the policy trusts it.
    pub fn verify(&self, entry: &[u8], policy: &Policy) -> Result<Trusted, NotProved> {
        let trusted = policy.check(&self.checkpoint).map_err(NotProved::Checkpoint)?;
        let (leaf, tree) =
            ((self.index, Hash::of_leaf(entry)), (trusted.checkpoint.size, trusted.checkpoint.root));
        verify_inclusion(leaf, tree, &self.path)
            .map_err(|source| NotProved::Entry { index: self.index, source })?;
        Ok(trusted)
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for ProofFile {
    type Err = BadProofFile;

    fn from_str(text: &str) -> Result<Self, BadProofFile> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(BadProofFile::Checkpoint)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(BadProofFile::Header);
        }
        let extra =
            lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra = extra.map(|extra| STANDARD.decode(extra)).transpose().map_err(|_| BadProofFile::Extra)?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal::parse);
        let index = index.ok_or(BadProofFile::Index)?;
        let path: Vec<Hash> =
            lines.map(str::parse).collect::<Result<_, _>>().map_err(|_| BadProofFile::Path)?;
        if path.len() > LONGEST_WAY {
            return Err(BadProofFile::Path);
        }
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::key::{Algorithm, Signer};
    use crate::proof::inclusion;
    use crate::range::Range;

    /// A proof of entry "3" of five, and the policy that trusts its log.
    fn proof(extra: Option<Vec<u8>>) -> (ProofFile, Policy) {
        let (mut range, mut nodes) = (Range::default(), HashMap::new());
        for entry in ["0", "1", "2", "3", "4"] {
            let leaf = Hash::of_leaf(entry.as_bytes());
            range
                .push(leaf, |place, hash| {
                    nodes.insert(place, hash);
                })
                .unwrap();
        }
        let path = inclusion(3, 5, |place| Ok::<_, Infallible>(nodes[&place])).unwrap();
        let log = Signer::new("example.com/log".parse().unwrap(), Algorithm::Ed25519, &[7; 32]).unwrap();
        let checkpoint = Checkpoint { origin: log.verifier().name().clone(), size: 5, root: range.root() };
        let checkpoint = checkpoint.signed([&log], 0).unwrap().to_string();
        let policy = format!("log {}\nquorum none\n", log.verifier()).parse().unwrap();
        (ProofFile { extra, index: 3, path, checkpoint }, policy)
    }

    #[test]
    fn a_proof_has_one_text_and_proves_one_entry() {
        for extra in [None, Some(Vec::new()), Some(b"of grant 7".to_vec())] {
            let (proof, policy) = proof(extra);
            let text = proof.to_string();
            assert_eq!(text.parse(), Ok(proof.clone()));
            assert_eq!(proof.verify(b"3", &policy).unwrap().checkpoint.size, 5);
            let no_entry = |index| NotProved::Entry { index, source: BadProof::WrongRoot };
            assert_eq!(proof.verify(b"4", &policy), Err(no_entry(3)));
            assert_eq!(ProofFile { index: 2, ..proof.clone() }.verify(b"3", &policy), Err(no_entry(2)));
            let strangers = "quorum none\n".parse().unwrap();
            assert!(matches!(proof.verify(b"3", &strangers), Err(NotProved::Checkpoint(_))));
        }
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let (proof, _) = proof(Some(b"x".to_vec()));
        let text = proof.to_string();
        for (bad, error) in [
            (String::new(), BadProofFile::Checkpoint),
            (text.replace("@v1", "@v2"), BadProofFile::Header),
            (text.replace("extra eA==", "extra eA="), BadProofFile::Extra),
            (text.replace("extra eA==", "extr eA=="), BadProofFile::Index),
            (text.replace("index 3", "index 03"), BadProofFile::Index),
            (text.replace("index 3", "index -3"), BadProofFile::Index),
            (text.replace("index 3\n", "index 3\nAAAA\n"), BadProofFile::Path),
            (
                text.replace("index 3\n", &format!("index 3\n{}", format!("{}\n", proof.path[0]).repeat(63))),
                BadProofFile::Path,
            ),
            (text.replace("\n\n", "\n"), BadProofFile::Checkpoint),
        ] {
            assert_eq!(bad.parse::<ProofFile>(), Err(error), "{bad}");
        }
    }
}
